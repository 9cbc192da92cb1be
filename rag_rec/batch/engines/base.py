"""The protocol of engines, and the part that all of them share: from users to records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rag_rec.batch.store.fingerprint import RunFingerprint
from rag_rec.batch.store.record import BatchRecord, FailureRecord, Record, failure_kind, record_type
from rag_rec.batch.users import BadUser, BatchUser, UserRow
from rag_rec.core import (
    Constraints,
    DataError,
    QuotaExhausted,
    RateLimited,
    RunStopped,
    Settings,
    UserHistory,
)
from rag_rec.index import Embedder
from rag_rec.list_types import Kind, kind_of
from rag_rec.llm import Admission, AdmittedModel, CachedModel, ChatModel, Completion, open_from
from rag_rec.pipeline import RecommendationRequest, RecommendationState, User
from rag_rec.recommender import Recommender

_UNNAMED = "no user_id, history, profile or request to go by"


class BatchEngine(Protocol):
    """Make records of users."""

    def run(self, users: Iterable[UserRow]) -> Iterator[Sequence[Record]]:
        """Yield records, some at a time, in any order; a bad row becomes a failure.

        Users are taken as they are needed. When the run is stopping, what was begun is finished;
        users without a record are left for the next run.
        """
        ...


@dataclass(frozen=True, slots=True)
class UserState:
    """A user of the file, and the state of the list that is made."""

    user: BatchUser
    state: RecommendationState


Prepared = tuple[list[UserState], list[Record]]
"""States of the users whose list can be made, in order, and failures of the other rows."""


class BatchPipeline:
    """The pipeline of a run, from rows of the user file to records; several threads may call it.

    Args:
        recommender: The pipeline for one list.
        list_type: Type of the lists, a name of `LIST_TYPES`.
        k: Length of the lists (of a row, for slates) where a row names none; that of the settings
            (plain lists) or of the type if None.
        new_items: Share of new items where a row's constraints name none; see
            `Constraints.new_items`.
        stopping: Returns True when the run is ending: nothing new is begun then.

    Attributes:
        fingerprint: The fingerprint of the lists.

    Raises:
        ConfigError: If there is no such list type.
    """

    def __init__(
        self,
        recommender: Recommender,
        *,
        list_type: str = "topk",
        k: int | None = None,
        new_items: float = 0,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        k = k or (recommender.settings.k if list_type == "topk" else None)
        self.recommender = recommender
        self.stopping = stopping
        self._kinds: dict[int | None, Kind] = {None: kind_of(list_type, k)}
        self.fingerprint = RunFingerprint.of(
            recommender, list_type=list_type, k=k, new_items=new_items
        )

    @property
    def concurrency(self) -> int:
        """Users in flight at most."""
        settings = self.recommender.settings
        alone = settings.llm.partition(":")[0] in {"local", "gguf"}
        return 1 if alone else settings.request.concurrency

    def begin(self, users: Sequence[UserRow]) -> Prepared:
        """Take the steps that need no model call; send nothing."""
        return self._prepare(self.recommender.begin, users)

    def preview(self, users: Sequence[UserRow]) -> Prepared:
        """Make the prompts, with facts in place of a model's words; send nothing."""
        return self._prepare(self.recommender.preview, users)

    def complete(self, users: Sequence[UserState]) -> list[Record]:
        """Ask the model and return the records of the users that the run did not stop before."""
        self.recommender.complete([one.state for one in users])
        made = (self._record(one) for one in users)
        return [record for record in made if record is not None]

    def ground(self, user: UserState, completions: Sequence[Completion]) -> list[Record]:
        """Return the record of a previewed user whose replies came by another way."""
        self.recommender.ground(user.state, completions)
        record = self._record(user)
        return [] if record is None else [record]

    def _prepare(
        self,
        step: Callable[[Iterable[RecommendationRequest]], list[RecommendationState]],
        users: Sequence[UserRow],
    ) -> Prepared:
        failures: list[Record] = [
            self._bad_row(user) for user in users if isinstance(user, BadUser)
        ]
        known = [user for user in users if isinstance(user, BatchUser)]
        states = step(self._request(user) for user in known)
        prepared = [UserState(*pair) for pair in zip(known, states, strict=True)]
        for one in prepared:
            if one.user.is_unnamed:
                one.state.failure = DataError(_UNNAMED, field="user_id")
        failures += [self._failure(one) for one in prepared if one.state.failure]
        return [one for one in prepared if not one.state.failure], failures

    def _request(self, user: BatchUser) -> RecommendationRequest:
        if user.k not in self._kinds:
            self._kinds[user.k] = kind_of(self.fingerprint.type, user.k)
        return RecommendationRequest(
            user=self._user(user),
            kind=self._kinds[user.k],
            profile=user.profile,
            constraints=self._constraints(user),
            text=user.request,
            deadline_s=self.recommender.settings.batch.user_deadline_s,
        )

    def _constraints(self, user: BatchUser) -> Constraints | None:
        share, own = self.fingerprint.new_items, user.constraints
        if not share or (own is not None and "new_items" in own.model_fields_set):
            return own
        return (own or Constraints()).model_copy(update={"new_items": share})

    def _user(self, user: BatchUser) -> User:
        """Return the history of the file, or the user id; words alone stand for new users."""
        if user.history is not None:
            return UserHistory(user_id=user.user_id, events=user.history)
        says = user.profile is not None or user.request is not None
        if user.user_id is None or (says and not self.recommender.index.has_user(user.user_id)):
            return UserHistory(user_id=user.user_id)
        return user.user_id

    def _record(self, one: UserState) -> Record | None:
        """Return the record of a finished user; None if the run stopped before the answer."""
        result, failure = one.state.result, one.state.failure
        if isinstance(failure, RunStopped | QuotaExhausted):
            return None
        if isinstance(failure, RateLimited) and self.stopping():
            return None
        if result is None or result.outcome == "failed":
            return self._failure(one)
        made = record_type(type(result))
        return _record(made.model_construct(custom_id=one.user.custom_id, **dict(result)))

    def _failure(self, one: UserState) -> Record:
        user, state, result = one.user, one.state, one.state.result
        reason = state.failure if result is None else result.error
        failed = FailureRecord(
            row=user.row,
            custom_id=user.custom_id,
            user_id=user.user_id,
            kind=failure_kind(state.failure),
            reason=str(reason or "the model gave nothing usable"),
            usage=state.usage,
            run_id=self.recommender.run_id,
            fallback=result,
        )
        return _record(failed)

    def _bad_row(self, user: BadUser) -> Record:
        run_id = self.recommender.run_id
        bad = FailureRecord(row=user.row, kind=user.kind, reason=user.reason, run_id=run_id)
        return _record(bad)


def _record(document: BatchRecord | FailureRecord) -> Record:
    return Record.of(document.model_dump_json())


def omitted_in(users: Sequence[UserState]) -> tuple[str, ...]:
    """Return the steps that a preview of some users left out, each once."""
    return tuple(dict.fromkeys(line for one in users for line in one.state.omitted))


def open_recommender(
    index: str | Path,
    settings: Settings,
    admission: Admission,
    *,
    llm: str | ChatModel | None = None,
    embedder: Embedder | None = None,
) -> Recommender:
    """Open the pipeline of a batch: cache, then admission, then model.

    A model object is not closed with the pipeline; that is left to its owner.
    """
    if isinstance(llm, str):
        settings = settings.model_copy(update={"llm": llm})
    if llm is None or isinstance(llm, str):
        model = open_from(settings, admission)
    else:
        settings = settings.model_copy(update={"llm": llm.name})
        model = AdmittedModel(llm, admission, owned=False)
    if model is not None and settings.batch.cache:
        model = CachedModel(model, settings.batch.cache, parameters=settings.parameters)
    return Recommender.open(
        index, model or "none", settings=settings, embedder=embedder, live=False
    )
