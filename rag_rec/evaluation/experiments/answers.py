"""Lists for tasks, kept on disk as they come: finished users are never paid for twice.

Nothing in this file can reach a target: it sees tasks (histories) and a recommender.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from rag_rec.core import (
    ConfigError,
    DataError,
    Repairs,
    Usage,
    first_problem,
    open_private,
    read_json,
)
from rag_rec.evaluation.experiments.recorder import RecordingModel
from rag_rec.evaluation.metrics.scorer import Task
from rag_rec.list_types import Kind
from rag_rec.pipeline import RecommendationRequest, RecommendationState
from rag_rec.recommender import Recommender


@dataclass(frozen=True, slots=True)
class UserAnswer:
    """A variant's list for one user, and how it came about.

    Attributes:
        user: The task's key.
        items: The list, best first.
        origins: Who chose each slot.
        statuses: Where each slot's reason comes from.
        reasons: The reasons.
        outcome: How the list came about.
        candidates: Item ids that were proposed, best first; label 1 is the first.
        n_shown: How many of them the model saw.
        messages: Role and text of the prompt.
        replies: Replies of the model, one a request.
        repairs: What had to be mended.
        usage: Calls, tokens, seconds, cached answers.
        error: Why the model gave less.
        history: What `digest_of` says of the history the list was made for.
        profiled: How many of the calls, cached ones included, were for the user's taste profile.
        labels: Item ids in the prompt by label, where candidates did not fit it; empty otherwise.
        scores: Natural logarithm of each shown item's share by the model; None for lists in words.
        prompts: Prompts the model was to answer: several where scores are averaged.
        others: Replies to requests that no user's state accounts for, kept with the first user of
            those asked together.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    user: str
    items: list[str]
    origins: list[str]
    statuses: list[str]
    reasons: list[str]
    outcome: str
    candidates: list[str] = field(default_factory=list)
    n_shown: int = 0
    messages: list[tuple[str, str]] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)
    repairs: Repairs = field(default_factory=Repairs)
    usage: Usage = field(default_factory=Usage)
    error: str | None = None
    history: str = ""
    profiled: int = 0
    labels: list[str] = field(default_factory=list)
    scores: dict[str, float] | None = None
    prompts: int = 1
    others: list[str] = field(default_factory=list)

    @property
    def asked(self) -> bool:
        """True where a model was to choose, even if it got no prompt."""
        return bool(self.messages) or self.outcome == "failed"

    @property
    def shown(self) -> list[str]:
        """Candidates that the model saw, in the order of the first prompt."""
        return self.labels or self.candidates[: self.n_shown]

    @property
    def counted(self) -> list[str]:
        """The list as it is scored: empty where a model was asked and failed."""
        return [] if self.outcome == "failed" else self.items

    @property
    def by_model(self) -> list[str]:
        """Items of the list that the model chose, in its order."""
        pairs = zip(self.items, self.origins, strict=True)
        return [item for item, origin in pairs if origin != "backfill"]


Answers = Mapping[str, UserAnswer]
"""Answers of one variant under one condition, by user."""

Gathered = Mapping[str, Mapping[str, Answers]]
"""Answers by condition and variant."""

_LINE = TypeAdapter(UserAnswer)


def answered(tasks: Sequence[Task], answers: Sequence[Answers]) -> list[Task]:
    """Return the tasks before the first one that some variant has no answer for."""
    n = 0
    while n < len(tasks) and all(tasks[n].key in found for found in answers):
        n += 1
    return list(tasks[:n])


def digest_of(task: Task) -> str:
    """Return the first half of the SHA-256 of everything that is known of a task's user."""
    known = json.dumps(task.history.model_dump(), sort_keys=True, default=sorted)  # of sets
    return hashlib.sha256(known.encode()).hexdigest()[:32]


class AnswerFile:
    """One variant's answers: a line that says what they are answers to, then a line a user.

    Args:
        path: The file; made by the first answers.
        identity: What is known of everything that can change an answer; the file may say more.

    Raises:
        ConfigError: If the file holds answers to something else, such as an edited prompt.
        DataError: If its first line is damaged.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        self._path, self._identity, self._is_open = path, identity, False
        lines = whole_lines(path)
        if not lines:
            return
        try:
            header = {"list_type": "topk"} | dict(read_json(lines[0]))
        except (ValueError, TypeError) as error:
            raise DataError(f"is not JSON ({error}); remove the file", path=path, row=1) from error
        changed = sorted(name for name in identity if header.get(name) != identity[name])
        if changed:
            raise ConfigError(
                f"{path} holds answers of another {', '.join(changed)}; they are not mixed with "
                "new ones: give another --out, or remove that file to ask again"
            )

    def read(self, tasks: Sequence[Task]) -> dict[str, UserAnswer]:
        """Return the answers to these tasks, by user; the file stays as it is.

        Raises:
            DataError: If a line is damaged, or a list was made for another history of its user.
        """
        digests = {task.key: digest_of(task) for task in tasks}
        found = {a.user: a for a in read_answers(self._path) if a.user in digests}
        other = next((user for user in found if found[user].history != digests[user]), None)
        if other is not None:
            raise DataError(
                f"holds a list for another history of user {other}: the data or the split has "
                "changed since; give another --out, or remove the file to ask again",
                path=self._path,
            )
        return found

    def add(self, answers: Sequence[UserAnswer]) -> None:
        """Append answers; the first time, after a line that a crash has torn is cut off."""
        if not self._is_open:
            if lines := whole_lines(self._path):
                os.truncate(self._path, sum(map(len, lines)))
            else:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with open_private(self._path, "wb") as file:
                    file.write(json.dumps(self._identity).encode() + b"\n")
            self._is_open = True
        with self._path.open("ab") as file:
            file.write(b"".join(_LINE.dump_json(answer) + b"\n" for answer in answers))


def whole_lines(path: Path) -> list[bytes]:
    """Return the lines of a file without a last one torn by a crash or still being written."""
    if not path.exists():
        return []
    return [line for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]


def read_answers(path: Path) -> list[UserAnswer]:
    """Return the answers of a file, in the order they were made.

    Raises:
        DataError: If a line is damaged or is no answer.
    """
    answers: list[UserAnswer] = []
    for row, line in enumerate(whole_lines(path)[1:], start=2):
        try:
            answers.append(_LINE.validate_json(line))
        except ValidationError as error:
            raise DataError(
                f"is no answer ({first_problem(error)}); remove the file", path=path, row=row
            ) from error
    return answers


def answer_tasks(
    recommender: Recommender,
    recorder: RecordingModel | None,
    tasks: Sequence[Task],
    kind: Kind | None = None,
) -> list[UserAnswer]:
    """Make lists for tasks through the pipeline as it is shipped.

    Args:
        recommender: Makes the lists.
        recorder: Its model, the audit's witness; None if it has none.
        tasks: The users.
        kind: The kind of list; a plain one of the settings' length if None.
    """
    requests = [RecommendationRequest(task.history, kind) for task in tasks]
    states = recommender.run(requests)
    answers = [_answer(task, state) for task, state in zip(tasks, states, strict=True)]
    strays = recorder.unaccounted(states) if recorder else []
    return [replace(answers[0], others=strays), *answers[1:]] if strays else answers


def _answer(task: Task, state: RecommendationState) -> UserAnswer:
    made = state.result
    if made is None:
        raise state.failure or AssertionError("a state without a failure has a result")
    chat = [exchange for exchange in state.exchanges if exchange.purpose in {"list", "reask"}]
    messages = chat[0].request.messages if chat else ()
    profiles = [e.completion.counted for e in state.exchanges if e.purpose == "profile"]
    return UserAnswer(
        user=task.key,
        history=digest_of(task),
        profiled=sum(usage.calls + usage.cached for usage in profiles),
        labels=[] if state.shows_the_first else [*state.shown],
        scores=state.scores,
        prompts=max(1, len(state.calls)),
        items=[slot.item_id for slot in made.items],
        origins=[slot.origin for slot in made.items],
        statuses=[slot.reason_status for slot in made.items],
        reasons=[slot.reason for slot in made.items],
        outcome=made.outcome,
        candidates=[candidate.item_id for candidate in state.candidates],
        n_shown=state.n_shown or len(state.candidates),
        messages=[(turn.role, turn.content) for turn in messages],
        replies=[exchange.completion.text for exchange in chat],
        repairs=made.repairs,
        usage=made.usage,
        error=made.error,
    )
