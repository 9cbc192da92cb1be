"""An experiment file: which data, split, variants and measures; one TOML file, every key known.

::

    name = "sample"
    k = 5
    metric = "ndcg@5"

    [data]
    sample = true

    [split]
    users = 200

    [matrix]
    prompts = ["all"]
    models = ["local", "none"]
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from rag_rec.core import ConfigError, first_problem, read_toml
from rag_rec.data import format_named
from rag_rec.evaluation.metrics.accuracy import parse_metric
from rag_rec.prompting import variant_names

RETRIEVERS = ("fused", "popularity", "bm25", "item-knn")

_NAME = r"^[A-Za-z0-9][A-Za-z0-9 ._:@+-]*$"
_NO_NAME = re.compile(r"[^A-Za-z0-9 ._:@+-]+")


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataSettings(_Table):
    """Which data set; see `rag_rec.Dataset.load`. ``$NAME`` in a path is an environment variable.

    Attributes:
        sample: The bundled sample instead of files.
        folder: For formats that are a folder; relative paths start at the experiment file.
        items: The catalog.
        reviews: Reviews.
        interactions: The log.
        format: As in ``rag-rec index``.
    """

    sample: bool = False
    folder: str | None = None
    items: str | None = None
    reviews: str | None = None
    interactions: str | None = None
    format: str = "auto"

    @field_validator("format")
    @classmethod
    def _known_format(cls, name: str) -> str:
        try:
            return format_named(name).name
        except ConfigError as error:
            raise ValueError(str(error)) from error

    @model_validator(mode="after")
    def _either(self) -> Self:
        files = any((self.folder, self.items, self.reviews, self.interactions))
        if self.sample == files:
            raise ValueError("give either sample = true or files of your own")
        return self


class SplitSettings(_Table):
    """Which events are hidden, and which users are asked for.

    Attributes:
        protocol: ``leave-last-out``: the last event of each user is the test's target, the one
            before it validation's; the fit sees neither. ``temporal``: the fit sees what lies
            before the validation cut; targets are the next event after a cut.
        users: Users of the test; 0 for all.
        validation_users: Users on whose earlier events blends are fitted; 0 for none.
        cut: Share of all events before the test, for ``temporal``.
        validation_cut: Share of all events before validation, for ``temporal``.
        cold_below: A user with fewer events than this is cold.
        hot_from: A user with this many events or more is hot; those between are warm.
    """

    protocol: Literal["leave-last-out", "temporal"] = "leave-last-out"
    users: int = Field(default=200, ge=0)
    validation_users: int = Field(default=100, ge=0)
    cut: float = Field(default=0.9, gt=0, lt=1)
    validation_cut: float = Field(default=0.8, gt=0, lt=1)
    cold_below: int = Field(default=5, ge=1)
    hot_from: int = Field(default=20, ge=2)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.validation_cut >= self.cut:
            raise ValueError("validation_cut must lie before cut")
        if self.cold_below >= self.hot_from:
            raise ValueError("cold_below must lie below hot_from")
        return self


class PipelineSettings(_Table):
    """What every variant shares. The optional ones replace a prompt variant's own setting.

    Attributes:
        k: List length.
        candidates: Candidates shown to the model; also the depth of the ceiling.
        temperature: Sampling temperature.
        reask: Whether a reply that does not fill the list is asked for once more.
        context_tokens: The model's context; 0 for what the backend says.
        concurrency: Requests in flight, for models behind a network.
        max_history: Latest events shown.
        evidence: Reviews quoted a candidate.
        evidence_chars: Length of a quote.
        description_chars: Length of a description.
        reason_chars: Length of a reason; 0 asks for none.
        budget_tokens: Prompt tokens at most.
    """

    k: int = Field(default=10, ge=1)
    candidates: int = Field(default=20, ge=1)
    temperature: float = Field(default=0.0, ge=0)
    reask: bool = True
    context_tokens: int = Field(default=0, ge=0)
    concurrency: int = Field(default=16, ge=1)
    max_history: int | None = Field(default=None, ge=0)
    evidence: int | None = Field(default=None, ge=0)
    evidence_chars: int | None = Field(default=None, ge=20)
    description_chars: int | None = Field(default=None, ge=20)
    reason_chars: int | None = Field(default=None, ge=0)
    budget_tokens: int | None = Field(default=None, ge=0)

    @property
    def depth(self) -> int:
        """How many candidates a model may see."""
        return max(self.k, self.candidates)

    def prompt_settings(self) -> dict[str, int]:
        """What replaces the settings of a prompt variant."""
        own = ("max_history", "evidence", "evidence_chars", "description_chars", "reason_chars",
               "budget_tokens")  # fmt: skip
        values = {name: getattr(self, name) for name in own}
        chosen = {name: value for name, value in values.items() if value is not None}
        return chosen | {"max_candidates": self.candidates}


class VariantSettings(_Table):
    """One way of making lists.

    Attributes:
        name: What it is called in the report.
        llm: A model spec; ``none`` for retrieval alone.
        prompt: A prompt variant or a ``.toml`` file.
        retriever: Where candidates come from, one of `RETRIEVERS`.
        blend: A blend file that `Recommender` applies, or nothing.
    """

    name: str = Field(pattern=_NAME)
    llm: str = "none"
    prompt: str = "reviews"
    retriever: Literal["fused", "popularity", "bm25", "item-knn"] = "fused"
    blend: str = ""


class MatrixSettings(_Table):
    """Variants that are every combination of these; ``["all"]`` prompts are those shipped.

    Without a model the prompt makes no difference, so ``none`` gives one variant a retriever.
    """

    prompts: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    retrievers: tuple[Literal["fused", "popularity", "bm25", "item-knn"], ...] = ("fused",)


class SensitivitySettings(_Table):
    """What is asked again under changed circumstances.

    Attributes:
        variants: Names of variants; none by default.
        users: The first so many users of the test.
        shuffle: Ask with the candidates in random order.
        history: Ask with only the last so many events.
    """

    variants: tuple[str, ...] = ()
    users: int = Field(default=50, ge=1)
    shuffle: bool = True
    history: tuple[Annotated[int, Field(ge=1)], ...] = (5, 10, 20)


class BudgetSettings(_Table):
    """Where the run stops asking; 0 for no limit. It is passed by what is in flight at most.

    Attributes:
        calls: Model calls, those of earlier runs into the same folder included.
        tokens: Tokens read and written.
        cost: Money, at `prices`.
        prices: By model spec, the price of a million tokens read and written.
    """

    calls: int = Field(default=0, ge=0)
    tokens: int = Field(default=0, ge=0)
    cost: float = Field(default=0.0, ge=0)
    prices: dict[str, tuple[float, float]] = {}

    @property
    def limited(self) -> bool:
        """Whether there is any limit."""
        return bool(self.calls or self.tokens or self.cost)


def _title(prompt: str) -> str:
    return Path(prompt).stem if prompt.endswith(".toml") else prompt


class Experiment(_Table):
    """Everything that is compared and how.

    Attributes:
        name: Title of the report.
        description: A sentence or two for its reader.
        seed: Of the users' sample, the random row, shuffles and resampling.
        ks: List lengths at which metrics are taken; at most the pipeline's k.
        metric: The one that decides, such as ``ndcg@10``.
        baseline: The row every variant is tested against.
        alpha: Chance of a false alarm over all variants together.
        repeats: How often a variant is asked, with seeds of its own; for models that vary.
        save_every: Users after which answers are saved; best a multiple of the concurrency.
        cache: A reply cache to share with other runs and batches; one in the run's folder if empty.
    """

    name: str = Field(min_length=1)
    description: str = ""
    seed: int = 7
    ks: tuple[Annotated[int, Field(ge=1)], ...] = (1, 5, 10)
    metric: str = "ndcg@10"
    baseline: str = "retrieval only"
    alpha: float = Field(default=0.05, gt=0, lt=1)
    repeats: int = Field(default=1, ge=1)
    save_every: int = Field(default=256, ge=1)
    cache: str = ""
    data: DataSettings
    split: SplitSettings = SplitSettings()
    pipeline: PipelineSettings = PipelineSettings()
    variants: tuple[VariantSettings, ...] = ()
    matrix: MatrixSettings = MatrixSettings()
    sensitivity: SensitivitySettings = SensitivitySettings()
    budget: BudgetSettings = BudgetSettings()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        try:
            _, cut_off = parse_metric(self.metric)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        if cut_off not in self.ks:
            raise ValueError(f"metric '{self.metric}' needs {cut_off} among ks")
        if max(self.ks) > self.pipeline.k:
            raise ValueError(f"ks go up to {max(self.ks)}, but lists have k = {self.pipeline.k}")
        names = [variant.name for variant in self.all_variants()]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"two variants are called '{twice.pop()}'")
        if not self.matrix.prompts and set(self.matrix.models) - {"none"}:
            raise ValueError("matrix names models to ask but no prompts; prompts = ['all'] is all")
        asked = {variant.llm for variant in self.all_variants()} - {"none"}
        strange = sorted(set(self.budget.prices) - asked)
        if strange:
            raise ValueError(f"budget.prices names '{strange[0]}', which no variant asks")
        unpriced = sorted(asked - set(self.budget.prices))
        if self.budget.cost and unpriced:
            raise ValueError(f"budget.cost needs a price for '{unpriced[0]}' in budget.prices")
        unknown = set(self.sensitivity.variants) - set(names)
        if unknown:
            raise ValueError(f"sensitivity names '{unknown.pop()}', which is no variant")
        return self

    @classmethod
    def load(cls, path: str | Path) -> Experiment:
        """Reads an experiment file.

        Raises:
            ConfigError: If the file cannot be read or holds something unknown.
        """
        return cls.of(read_toml(path, "experiment file"), where=str(path))

    @classmethod
    def of(cls, table: dict[str, Any], *, where: str = "") -> Experiment:
        """An experiment of a parsed table.

        Raises:
            ConfigError: If it holds something unknown or contradictory.
        """
        try:
            return cls.model_validate(table)
        except ValidationError as error:
            raise ConfigError(first_problem(error, where)) from error

    def all_variants(self) -> list[VariantSettings]:
        """The variants named one by one, then those of the matrix."""
        prompts = self.matrix.prompts
        if prompts == ("all",):
            prompts = tuple(variant_names())
        found = list(self.variants)
        for llm in self.matrix.models:
            for retriever in self.matrix.retrievers:
                tail = "" if retriever == "fused" else f" {retriever}"
                for prompt in prompts if llm != "none" else ("plain",):
                    name = llm + tail if llm == "none" else f"{llm} {_title(prompt)}{tail}"
                    found.append(
                        VariantSettings(
                            name=_NO_NAME.sub("-", name),
                            llm=llm,
                            prompt=prompt,
                            retriever=retriever,
                        )
                    )
        return found
