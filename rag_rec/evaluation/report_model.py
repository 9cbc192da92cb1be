"""The report of an experiment: the one object that measuring makes and every renderer reads.

`Report.document` is the JSON document of ``report.json``; `Report.model_validate` reads it back.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from rag_rec.core import Model
from rag_rec.evaluation.experiments.experiment import Experiment
from rag_rec.evaluation.statistics import Comparison
from rag_rec.pipeline import LengthWeight

FORMAT = 2
"""Version of the document; a report of another version cannot be read."""

MAX_LENGTH = 100_000
"""Most items of a list in a report, pages of several rows included."""

Place = Annotated[int, Field(ge=1)]

RowKind = Literal["baseline", "ceiling", "variant", "blend"]


class DataSummary(Model):
    """Counts of the catalog and of the fit, its weighting of sources, and the index's digest.

    ``reviews_hidden`` are those left out because they are about hidden events.
    """

    items: int
    users: int
    events_fitted_on: int
    reviews_fitted_on: int
    reviews_hidden: int
    fusion: Any = None
    index: str


class ListShape(Model):
    """Number of items of a list, and of candidates that a model may see."""

    length: int = Field(ge=1, le=MAX_LENGTH)
    n_shown: int


class UserCounts(Model):
    """Users planned, users measured, and the measured ones by stratum."""

    planned: int
    measured: int
    strata: dict[str, int]


class StratumFigures(Model):
    """Mean and interval of the deciding metric over the users of one stratum."""

    users: int
    value: float
    low: float
    high: float


class ReportRow(Model):
    """One row of the leaderboard.

    Attributes:
        metrics: Means by metric, such as ``ndcg@10``.
        value: Mean of the deciding metric; ``low`` and ``high`` are the ends of its interval.
        strata: The same by stratum.
        gap: Largest minus smallest mean over strata.
        repeats: Mean of the deciding metric of each repeat.
        delivered: Mean of the deciding metric of the lists that users would get, with failures
            filled from retrieval; None for rows that ask no model.
        comparison: The test against the baseline; None for rows that are not tested.
        beyond: Figures beyond accuracy; empty for the ceiling.
        behaviour: Rates and costs of the model; empty where none was asked.
        llm: Model spec of a variant; like ``prompt`` and ``retriever`` None for other rows.
    """

    name: str
    kind: RowKind
    metrics: dict[str, float]
    value: float
    low: float
    high: float
    strata: dict[str, StratumFigures]
    gap: float
    repeats: list[float]
    delivered: float | None
    comparison: Comparison | None = None
    beyond: dict[str, float | None] = Field(default_factory=dict)
    behaviour: dict[str, float | None] = Field(default_factory=dict)
    llm: str | None = None
    prompt: str | None = None
    retriever: str | None = None


class Funnel(Model):
    """Recall after each stage: by depth of retrieval, and by variant and stage."""

    retrieval: dict[str, float]
    variants: dict[str, dict[str, float]]


class Added(Model):
    """The gain of a blend over retrieval for some users: mean difference and its interval."""

    users: int
    value: float
    low: float
    high: float


class FittedBlend(Model):
    """A blend of one variant, fitted on validation.

    Attributes:
        weight: Overall weight of the model's order.
        by_stratum: Weight, validation users and reason of the choice, by stratum.
        curve: Mean of the metric on validation at each weight.
        validation_users: Users it was fitted on.
        calls_saved: Share of the test's users for whom the blend asks no model.
        added: Gain over retrieval on the test: over all users, by stratum, and over those whose
            target has few events (``rare items``).
        file: The blend file, relative to the run's folder.
    """

    weight: float
    by_history: tuple[LengthWeight, ...]
    by_stratum: dict[str, tuple[float, int, str]]
    curve: dict[str, float]
    validation_users: int
    calls_saved: float
    added: dict[str, Added] = Field(default_factory=dict, exclude_if=lambda added: not added)
    file: str


class ConditionFigures(Model):
    """A variant under another condition, over the users who were asked both ways.

    Attributes:
        value: Mean of the deciding metric under the condition.
        as_asked: Mean of the deciding metric in the test, same users.
        retrieval: Mean of retrieval's own order under the condition; None where candidates are
            shuffled.
        correlation: Mean Kendall tau between the two lists, over the items both name; 1 means that
            the order shown does not matter. This and what follows only where candidates are
            shuffled, and where there is something to compare.
        overlap: Mean share of items that both lists name, where the model made either.
        follows: Mean Kendall tau between the shuffled order shown and the list; 1 means that the
            model repeats what it was shown.
        by_position: For each place at which the target was shown: users, share of them with the
            target first, and mean reciprocal place in the list.
    """

    users: int
    planned: int
    value: float
    as_asked: float
    retrieval: float | None = None
    correlation: float | None = None
    overlap: float | None = None
    follows: float | None = None
    by_position: tuple[tuple[int, int, float, float], ...] = ()


class TargetPlaces(Model):
    """Places of the targets, from which every accuracy figure can be computed again.

    Attributes:
        task: Digest of users and targets.
        users: Pseudonyms, in the order of every list here.
        places: By row, repeat and user: places of the targets from 1.
    """

    task: str
    users: list[str]
    strata: list[str]
    n_relevant: list[Annotated[int, Field(ge=1, le=1 << 31)]]
    places: dict[str, Annotated[list[list[list[Place]]], Field(min_length=1)]]

    @model_validator(mode="after")
    def _of_the_same_users(self) -> Self:
        n = len(self.users)
        if {len(self.strata), len(self.n_relevant)} != {n}:
            raise ValueError(f"strata and n_relevant must have one entry for each of {n} users")
        for name, repeats in self.places.items():
            if any(len(places) != n for places in repeats):
                raise ValueError(f"places of '{name[:80]}' must have one entry for each user")
        return self


class Report(Model):
    """Results of an experiment.

    Attributes:
        version: Version of the package that measured.
        experiment: The experiment as it was run; its names are not looked up.
        lists: Shape of the lists.
        cores: Processor cores of the machine.
        notes: Shortfalls a reader must know.
        findings: Signs that answers were known; any of them makes the report void.
        blends: Fitted blends by variant.
        sensitivity: Figures by variant and condition.
    """

    format: Literal[2]
    version: str
    name: str
    description: str
    experiment: Experiment
    lists: ListShape
    cores: int | None
    data: DataSummary
    users: UserCounts
    notes: list[str]
    findings: list[str]
    rows: Annotated[list[ReportRow], Field(min_length=1)]
    funnel: Funnel
    blends: dict[str, FittedBlend]
    sensitivity: dict[str, dict[str, ConditionFigures]]
    hits: TargetPlaces

    @model_validator(mode="after")
    def _within_the_lists(self) -> Self:
        names = [row.name for row in self.rows]
        if len(set(names)) < len(names):
            raise ValueError("two rows have the same name")
        places = (place for rows in self.hits.places.values() for one in rows for place in one)
        if any(place and max(place) > self.lists.length for place in places):
            raise ValueError(f"a place lies beyond the lists, which have {self.lists.length} items")
        return self

    def row(self, name: str) -> ReportRow | None:
        """Return the row of a name, or None if there is none."""
        return next((row for row in self.rows if row.name == name), None)

    def document(self) -> dict[str, Any]:
        """Return the JSON document of ``report.json``."""
        return self.model_dump(mode="json")
