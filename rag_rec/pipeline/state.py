"""The request that comes in, and the one state that travels from step to step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from rag_rec.core import (
    Candidate,
    ConfigError,
    Constraints,
    PromptError,
    RagRecError,
    RecommendationList,
    TasteProfile,
    Understood,
    Usage,
    UserHistory,
)
from rag_rec.grounding import Reading
from rag_rec.list_types import Kind, ListTask
from rag_rec.llm import Completion, Deadline, Request, estimated_usage
from rag_rec.prompting import RenderedPrompt

User = str | UserHistory | Sequence[str]
"""A user id of the log, a history, or item ids oldest first (``[]`` for an unknown user)."""

_UNKNOWN, _NO_TASK = UserHistory(), ListTask()

Purpose = Literal["request", "profile", "list", "reask"]
"""The step that called the model.

``request``: read a request in plain words. ``profile``: write a taste profile. ``list``: choose the
items. ``reask``: choose again, after a reply that did not fill the list.
"""


@dataclass(frozen=True, slots=True)
class RecommendationRequest:
    """One list that is asked for.

    Attributes:
        user: The user.
        kind: `TopK`, `Bundle`, `PlaySequence` or `Slate`; `TopK` of the settings' length if None.
        profile: Plain words about the user; replaces those of a history that is given.
        constraints: Rules of the list; replace those of a history that is given.
        text: A wish in plain words, such as "a present for my father, under 40".
        deadline_s: Seconds that all model calls of this list may take together; 0 for no limit.

    Raises:
        ConfigError: If an option has the wrong type; the user is checked when it is resolved.
    """

    user: User = ()
    kind: Kind | None = None
    profile: str | None = None
    constraints: Constraints | None = None
    text: str | None = None
    deadline_s: float = 0.0

    def __post_init__(self) -> None:
        for name, kind, expected in (
            ("profile", str, "text"),
            ("text", str, "text"),
            ("constraints", Constraints, "Constraints (rag_rec.where reads them from text)"),
        ):
            value = getattr(self, name)
            if value is not None and not isinstance(value, kind):
                raise ConfigError(f"{name}: expected {expected}, found {value!r:.60}")


@dataclass(frozen=True, slots=True)
class Exchange:
    """One model call: its purpose, the request as sent, and the completion."""

    purpose: Purpose
    request: Request
    completion: Completion

    @property
    def usage(self) -> Usage:
        """Usage of the call; estimated where the backend counted nothing usable."""
        return self.completion.usage or estimated_usage(self.request, self.completion)


@dataclass(slots=True)
class RecommendationState:
    """Everything known of one list, filled in step by step.

    Attributes:
        request: The request.
        kind: The kind of list.
        history: The user's history with profile and constraints (resolve).
        deadline: Shared by all model calls of this list, or None.
        understood: The reading of ``request.text``, or None (read).
        candidates: Candidates, best first (retrieve).
        task: The list's task in words and themes, for prompt and composer (retrieve).
        weight: Share of the model's order in the list; at 0 the model is not asked (retrieve).
        profile: The taste profile, where the prompt shows one (profile).
        prompts: The prompts; none where there is nothing to ask, several where scores are averaged
            over orders of the candidates (render).
        calls: Each prompt as the request that is sent (render).
        exchanges: Every model call made for this list, in order.
        reading: The usable part of the replies; its labels are places among the candidates
            (generate).
        scores: Natural logarithm of each shown item's share, the mean over the prompts; None
            where no scores were asked for or none came (generate).
        result: The list (ground, blend).
        failure: The error that cost this user the list or part of it: `DataError`,
            `BudgetTooSmall`, or the `ModelError` of the last call; None if there was none.
        error: The words of that error where the model gave no reply at all.
        omitted: Steps that `Recommender.preview` left out, one line each.
    """

    request: RecommendationRequest
    kind: Kind
    history: UserHistory = _UNKNOWN
    deadline: Deadline | None = None
    understood: Understood | None = None
    candidates: list[Candidate] = field(default_factory=list)
    task: ListTask = _NO_TASK
    weight: float = 1.0
    profile: TasteProfile | None = None
    prompts: tuple[RenderedPrompt, ...] = ()
    calls: tuple[Request, ...] = ()
    exchanges: list[Exchange] = field(default_factory=list)
    reading: Reading | None = None
    scores: dict[str, float] | None = None
    result: RecommendationList | None = None
    failure: RagRecError | None = None
    error: str | None = None
    omitted: tuple[str, ...] = ()

    @property
    def usage(self) -> Usage:
        """Sum over all model calls of this list."""
        return sum((exchange.usage for exchange in self.exchanges), Usage())

    @property
    def prompt(self) -> RenderedPrompt | None:
        """The first prompt, or None."""
        return self.prompts[0] if self.prompts else None

    @property
    def call(self) -> Request | None:
        """The first prompt as the request that is sent, or None."""
        return self.calls[0] if self.calls else None

    @property
    def is_scored(self) -> bool:
        """True if the model is asked for scores."""
        return self.call is not None and self.call.ranking is not None

    @property
    def shown(self) -> tuple[str, ...]:
        """Item ids in the first prompt by label; label 1 is the first."""
        return self.prompt.labels if self.prompt else ()

    @property
    def shows_the_first(self) -> bool:
        """True if the first prompt shows the first candidates in their order, none left out."""
        first = self.candidates[: self.n_shown]
        return [*self.shown] == [candidate.item_id for candidate in first]

    @property
    def n_shown(self) -> int:
        """Number of candidates in the prompt; 0 without one."""
        return len(self.shown)

    @property
    def is_unread(self) -> bool:
        """True while a request in plain words has not been read."""
        return self.request.text is not None and self.understood is None

    def made(self) -> RecommendationList:
        """Return the list.

        Raises:
            RagRecError: The failure that left this user without a list, or without a prompt.
        """
        if self.result is None or isinstance(self.failure, PromptError):
            raise self.failure or AssertionError("a state without a failure has a result")
        return self.result

    def lacks_items(self) -> bool:
        """Return whether a reply came but names fewer items than it could."""
        if self.reading is None or self.error is not None or self.is_scored:
            return False
        return len(self.reading.entries) < min(self.kind.length, self.n_shown)
