"""The report of a measurement of retrieval: a document for JSON, with typed keys."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

Row = dict[str, Any]
"""Name and users, and for each k recall, ndcg and their standard errors."""


class RetrievalSetting(TypedDict):
    """The task, from `setting_of`: protocol and target, sizes, ties, repeats."""

    protocol: str
    target: str
    cut: float | None
    known_until: int | None
    hidden_items: float
    items: int
    users: int
    questions: int
    interactions: int
    fitted_interactions: int
    reviews: int
    fitted_reviews: int
    timed_interactions: int
    tied_interactions: int
    tied_targets: float
    repeated_targets: float


class FittedWith(TypedDict):
    """Choices of the fit, from the manifest: fusion, solve, weights, decays, room for new items."""

    fusion: str
    fusion_why: str
    solve: str
    solve_why: str
    weights: dict[str, float]
    decay: float
    replay: float
    replay_decay: float
    new_places: int
    new_bonus: float


class RetrievalReport(RetrievalSetting, FittedWith):
    """All that `evaluate_retrieval` measured.

    Attributes:
        rows: The fusion, its parts, yardsticks and ceilings; where items are hidden, over the
            users who took one.
        strata: The fusion in each stratum of all users.
        source_strata: The other rankings in each stratum; ``source`` is the ranking's name.
        against_sources: Documents of `AgainstSource`.
        shortcuts: Document of `Shortcuts`.
        cost: Seconds and peak memory of fit and retrieval.
        shuffled_ties: Seeds of the runs whose means these are; from the command, like the rest.
        min_rating: Lowest rating of the events that were kept.
        k_core: Fewest events of the users and items that were kept.
        cores: Cores of the machine.
    """

    mask_history: bool
    rows: list[Row]
    strata: list[Row]
    source_strata: list[Row]
    against_sources: list[Row]
    shortcuts: Row
    cost: dict[str, Row]
    shuffled_ties: NotRequired[list[int]]
    min_rating: NotRequired[float | None]
    k_core: NotRequired[int | None]
    cores: NotRequired[int | None]
