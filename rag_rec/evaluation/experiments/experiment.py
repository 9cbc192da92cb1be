"""An experiment file: data, split, variants and measures; one TOML file, every key known.

::

    name = "sample"
    ks = [1, 5]
    metric = "ndcg@5"

    [data]
    sample = true

    [split]
    users = 200

    [pipeline]
    k = 5

    [matrix]
    prompts = ["all"]
    models = ["local", "none"]
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from rag_rec.core import MAX_K, MAX_SEED, ConfigError, Model, first_problem, read_toml
from rag_rec.data import format_named
from rag_rec.evaluation.experiments.retrievers import SHIPPED, check_name
from rag_rec.evaluation.metrics.accuracy import parse_metric
from rag_rec.list_types import Kind, kind_of, list_type_of
from rag_rec.prompting import load_variant, variant_names

_NAME = r"^[A-Za-z0-9][A-Za-z0-9 ._:@+-]*$"
_NAME_CHARS = 120
"""Longest name; names become names of files."""
_NO_NAME = re.compile(r"[^A-Za-z0-9 ._:@+-]+")

_OF_PROMPT = {"max_history", "evidence", "evidence_chars", "description_chars", "reason_chars",
              "budget_tokens"}  # fmt: skip
"""Settings of the pipeline that replace those of a prompt variant."""


class DataSettings(Model):
    """A data set; see `rag_rec.Dataset.load`. ``$NAME`` in a path is an environment variable.

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

    @model_validator(mode="after")
    def _either(self) -> Self:
        files = any((self.folder, self.items, self.reviews, self.interactions))
        if self.sample == files:
            raise ValueError("give either sample = true or files of your own")
        return self


class SplitSettings(Model):
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


class PipelineSettings(Model):
    """Settings that all variants share. The optional ones replace a prompt variant's own.

    Attributes:
        list_type: Type of the lists, a name of `rag_rec.list_types.LIST_TYPES`. A type with a
            prompt of its own takes it as it is, for every variant.
        k: List length; items a row, for slates.
        candidates: Candidates shown to the model; also the depth of the ceiling.
        temperature: Sampling temperature.
        reask: Ask once more where a reply does not fill the list.
        context_tokens: The model's context; 0 for what the backend says.
        concurrency: Requests in flight, for models behind a network.
        max_history: Latest events shown.
        evidence: Reviews quoted a candidate.
        evidence_chars: Length of a quote.
        description_chars: Length of a description.
        reason_chars: Length of a reason; 0 asks for none.
        budget_tokens: Prompt tokens at most.
    """

    list_type: str = "topk"
    k: int = Field(default=10, ge=1, le=MAX_K)
    candidates: int = Field(default=20, ge=1, le=MAX_K)
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
    def kind(self) -> Kind:
        """The kind of list that every user is asked for.

        Raises:
            ConfigError: If there is no such list type.
        """
        return kind_of(self.list_type, self.k)

    @property
    def own_prompt(self) -> str | None:
        """The prompt that belongs to the list type; None where variants choose one."""
        return list_type_of(self.kind).prompt

    @property
    def n_shown(self) -> int:
        """Number of candidates that a model may see."""
        own = self.own_prompt
        candidates = load_variant(own).settings.max_candidates if own else self.candidates
        return max(self.kind.length, candidates)

    def prompt_settings(self) -> dict[str, int]:
        """Return what replaces the settings of a prompt variant."""
        chosen = self.model_dump(include=_OF_PROMPT, exclude_none=True)
        return chosen | {"max_candidates": self.candidates}


class VariantSettings(Model):
    """One way of making lists.

    Attributes:
        name: Its name in the report.
        llm: A model spec; ``none`` for retrieval alone.
        prompt: A prompt variant or a ``.toml`` file.
        retriever: Proposes the candidates; a name of `RETRIEVERS`.
        blend: A blend file that `Recommender` applies, or nothing.
    """

    name: str = Field(pattern=_NAME, max_length=_NAME_CHARS)
    llm: str = "none"
    prompt: str = "reviews"
    retriever: str = SHIPPED
    blend: str = ""


class MatrixSettings(Model):
    """Variants that are every combination of these; ``["all"]`` prompts are those shipped.

    Without a model the prompt makes no difference, so ``none`` gives one variant a retriever.
    """

    prompts: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    retrievers: tuple[str, ...] = (SHIPPED,)


class SensitivitySettings(Model):
    """Questions that are asked again under changed circumstances.

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


class BudgetSettings(Model):
    """Limits at which the run stops asking; 0 for none. In flight is what may pass one.

    Attributes:
        calls: Model calls, those of earlier runs into the same folder included.
        tokens: Tokens read and written.
        cost: Money, at `prices`.
        prices: By model spec, the price of a million tokens read and written.
    """

    calls: int = Field(default=0, ge=0)
    tokens: int = Field(default=0, ge=0)
    cost: float = Field(default=0.0, ge=0)
    prices: dict[str, tuple[float, float]] = Field(default_factory=dict)

    @property
    def limited(self) -> bool:
        """True if there is any limit."""
        return bool(self.calls or self.tokens or self.cost)


def _title(prompt: str) -> str:
    return Path(prompt).stem if prompt.endswith(".toml") else prompt


class Experiment(Model):
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

    name: str = Field(min_length=1, max_length=_NAME_CHARS)
    description: str = ""
    seed: int = Field(default=7, ge=0, le=MAX_SEED)
    ks: tuple[Annotated[int, Field(ge=1, le=MAX_K)], ...] = (1, 5, 10)
    metric: str = "ndcg@10"
    baseline: str = "retrieval only"
    alpha: float = Field(default=0.05, gt=0, lt=1)
    repeats: int = Field(default=1, ge=1, le=MAX_K)
    save_every: int = Field(default=256, ge=1)
    cache: str = ""
    data: DataSettings
    split: SplitSettings = SplitSettings()
    pipeline: PipelineSettings = PipelineSettings()
    variants: tuple[VariantSettings, ...] = ()
    matrix: MatrixSettings = MatrixSettings()
    sensitivity: SensitivitySettings = SensitivitySettings()
    budget: BudgetSettings = BudgetSettings()

    @classmethod
    def load(cls, path: str | Path) -> Experiment:
        """Read an experiment file.

        Raises:
            ConfigError: If the file cannot be read or holds something unknown.
        """
        return cls.of(read_toml(path, "experiment file"), where=str(path))

    @classmethod
    def of(cls, table: dict[str, Any], *, where: str = "") -> Experiment:
        """Return the experiment of a parsed table.

        Raises:
            ConfigError: If it holds something unknown or contradictory.
        """
        try:
            experiment = cls.model_validate(table)
            experiment._check()
        except ValidationError as error:
            raise ConfigError(first_problem(error, where)) from error
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}" if where else str(error)) from error
        return experiment

    def all_variants(self) -> list[VariantSettings]:
        """Return the variants named one by one, then those of the matrix."""
        own, prompts = self.pipeline.own_prompt, self.matrix.prompts
        if prompts == ("all",):
            prompts = tuple(variant_names())
        found = [one.model_copy(update={"prompt": own}) if own else one for one in self.variants]
        for llm, retriever in product(self.matrix.models, self.matrix.retrievers):
            for prompt in (own,) if own else prompts if llm != "none" else ("plain",):
                title = "" if own or llm == "none" else _title(prompt)
                parts = (llm, title, "" if retriever == SHIPPED else retriever)
                found.append(
                    VariantSettings(
                        name=_NO_NAME.sub("-", " ".join(filter(None, parts))),
                        llm=llm,
                        prompt=prompt,
                        retriever=retriever,
                    )
                )
        return found

    def _check(self) -> None:
        problem = next(self._problems(), None)
        if problem is not None:
            raise ConfigError(problem)

    def _problems(self) -> Iterator[str]:
        """Yield what is unknown or contradictory, beyond the shape of the tables.

        Raises:
            ConfigError: If a format, a metric, a list type or a retriever is unknown.
        """
        format_named(self.data.format)
        _, cut_off = parse_metric(self.metric)
        if cut_off not in self.ks:
            yield f"metric '{self.metric}' needs {cut_off} among ks"
        length = self.pipeline.kind.length
        if max(self.ks) > length:
            yield f"ks go up to {max(self.ks)}, but lists have k = {length}"
        yield from self._problems_of_prompts()
        for name in (*self.matrix.retrievers, *(one.retriever for one in self.variants)):
            check_name(name)
        yield from self._problems_of_variants()

    def _problems_of_prompts(self) -> Iterator[str]:
        pipeline, own = self.pipeline, self.pipeline.own_prompt
        asked = set(self.matrix.models) - {"none"}
        if own is None:
            if asked and not self.matrix.prompts:
                yield "matrix names models to ask but no prompts; prompts = ['all'] is all"
            return
        changed = set(pipeline.model_dump(exclude_defaults=True)) & {*_OF_PROMPT, "candidates"}
        named = ["matrix.prompts"] if self.matrix.prompts else []
        named += [f"prompt of '{one.name}'" for one in self.variants if one.prompt != "reviews"]
        for name in (*sorted(f"pipeline.{name}" for name in changed), *named):
            yield f"leave out {name}: a {pipeline.list_type} takes the prompt {own} as it is"

    def _problems_of_variants(self) -> Iterator[str]:
        variants = self.all_variants()
        names = [variant.name for variant in variants]
        yield from (f"two variants are called '{n}'" for n in names if names.count(n) > 1)
        asked = {variant.llm for variant in variants} - {"none"}
        prices = set(self.budget.prices)
        for name in sorted(prices - asked):
            yield f"budget.prices names '{name}', which no variant asks"
        for name in sorted(asked - prices) if self.budget.cost else ():
            yield f"budget.cost needs a price for '{name}' in budget.prices"
        for name in sorted(set(self.sensitivity.variants) - set(names)):
            yield f"sensitivity names '{name}', which is no variant"
