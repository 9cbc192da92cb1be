"""Asks every variant for every task, resumable, within a budget; knows nothing of targets."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rag_rec.config import Settings
from rag_rec.errors import ConfigError
from rag_rec.evaluate.answers import Answer, AnswerFile, answer_tasks, pending
from rag_rec.evaluate.experiment import BudgetSettings, Experiment, VariantSettings
from rag_rec.evaluate.prompts import with_settings
from rag_rec.evaluate.recorder import RecordingModel
from rag_rec.evaluate.retrievers import Propose, Ranking, SwappedRetriever, proposing, shuffled
from rag_rec.evaluate.scorer import Task
from rag_rec.index import ItemIndex
from rag_rec.llm import CachedModel, ChatModel, ReplyCache, open_from
from rag_rec.prompt import load_variant
from rag_rec.recommender import Recommender
from rag_rec.types import UserHistory

OnProgress = Callable[[str, int, int], None]
"""Told what is being asked, how many are done, and of how many."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One circumstance under which a variant is asked.

    Attributes:
        name: ``test``, ``validation``, ``shuffled``, ``history 5``, or ``repeat 2``.
        kind: What of it differs from the plain test.
        tasks: Who is asked for.
        seed: Sampling seed of the model.
    """

    name: str
    kind: Literal["plain", "shuffled"]
    tasks: tuple[Task, ...]
    seed: int


class BudgetSpent(Exception):
    """The experiment's budget does not allow further questions."""


class Spending:
    """What has been spent, against what may be.

    Args:
        budget: The limits and the prices.
    """

    def __init__(self, budget: BudgetSettings) -> None:
        self._budget = budget
        self.calls, self.tokens, self.cost = 0, 0, 0.0

    def add(self, llm: str, answers: Sequence[Answer]) -> None:
        """Counts answers of a model."""
        for answer in answers:
            usage = answer.usage
            self.calls += int(usage["calls"])
            self.tokens += int(usage["prompt_tokens"] + usage["completion_tokens"])
            self.cost += price_of(usage, self._budget.prices.get(llm))

    def check(self) -> None:
        """Raises `BudgetSpent` when a limit is reached."""
        limits = (
            ("calls", self.calls, self._budget.calls),
            ("tokens", self.tokens, self._budget.tokens),
            ("cost", self.cost, self._budget.cost),
        )
        for name, spent, limit in limits:
            if limit and spent >= limit:
                raise BudgetSpent(f"budget.{name} = {limit} is spent ({spent:g})")


def price_of(usage: Mapping[str, float], price: tuple[float, float] | None) -> float:
    """Money for one answer; 0 where the experiment names no price."""
    if price is None:
        return 0.0
    return (usage["prompt_tokens"] * price[0] + usage["completion_tokens"] * price[1]) / 1e6


class Engine:
    """Opens each model once and answers arm by arm.

    Args:
        experiment: What to ask.
        index: The index, built from what may be known.
        out: The run's folder.
        rankings: Other sources of candidates, by name.
        models: Open models by spec, instead of opening them; for tests and programs.
    """

    def __init__(
        self,
        experiment: Experiment,
        index: ItemIndex,
        out: Path,
        *,
        rankings: Mapping[str, Ranking],
        models: Mapping[str, ChatModel] | None = None,
    ) -> None:
        self._experiment = experiment
        self._index = index
        self._out = out
        self._rankings = rankings
        self._given = dict(models or {})
        self._open: dict[str, ChatModel] = {}
        self._cache: ReplyCache | None = None
        self._spending = Spending(experiment.budget)

    def answer(
        self, variant: VariantSettings, arm: Arm, on_progress: OnProgress | None = None
    ) -> dict[str, Answer]:
        """Answers of one variant in one arm, by user; only those still missing are asked for.

        Raises:
            BudgetSpent: When the budget is reached; answers so far are kept.
        """
        with self._recommender(variant, arm) as (recommender, retriever, recorder):
            path = answer_path(self._out, variant.name, arm.name)
            identity = identity_of(self._experiment, variant, arm.name, self._index, self._out)
            file = AnswerFile(path, identity | {"run": recommender.run_id})
            found = file.read(arm.tasks)
            self._spending.add(variant.llm, list(found.values()))
            n_done, total = sum(task.key in found for task in arm.tasks), len(arm.tasks)
            label = f"{variant.name}, {arm.name}"
            if on_progress:
                on_progress(label, n_done, total)
            for piece in pending(arm.tasks, found, self._experiment.save_every):
                if recorder is not None:
                    self._spending.check()
                made = answer_tasks(recommender, retriever, recorder, piece)
                file.add(made)
                self._spending.add(variant.llm, made)
                found |= {answer.user: answer for answer in made}
                n_done += len(piece)
                if on_progress:
                    on_progress(label, n_done, total)
        return {task.key: found[task.key] for task in arm.tasks}

    def close(self) -> None:
        """Closes the models it opened."""
        for model in self._open.values():
            model.close()
        if self._cache is not None:
            self._cache.close()

    @contextmanager
    def _recommender(
        self, variant: VariantSettings, arm: Arm
    ) -> Generator[tuple[Recommender, SwappedRetriever, RecordingModel | None]]:
        pipeline = self._experiment.pipeline
        prompt = _prompt_of(self._experiment, variant, self._out)
        settings = Settings.model_validate({
            "llm": variant.llm, "prompt": str(prompt), "k": pipeline.k, "seed": arm.seed,
            "temperature": pipeline.temperature, "reask": pipeline.reask, "blend": variant.blend,
            "context_tokens": pipeline.context_tokens,
            "request": {"concurrency": pipeline.concurrency},
        })  # fmt: skip
        model = self._model(settings)
        recorder = None if model is None else RecordingModel(model)
        recommender = Recommender(self._index, recorder, settings)
        propose = self._propose(variant, recommender)
        if arm.kind == "shuffled":
            propose = shuffled(propose, self._experiment.seed)
        retriever = SwappedRetriever(recommender.retriever, propose)
        recommender.retriever = retriever
        yield recommender, retriever, recorder

    def _propose(self, variant: VariantSettings, recommender: Recommender) -> Propose:
        if variant.retriever == "fused":
            return recommender.retriever.retrieve
        return proposing(variant.retriever, self._rankings[variant.retriever])

    def _model(self, settings: Settings) -> ChatModel | None:
        if settings.llm == "none":
            return None
        if settings.llm in self._given:
            return self._given[settings.llm]
        if settings.llm not in self._open:
            opened = open_from(settings)
            if opened is None:
                raise ConfigError(f"'{settings.llm}' opens no model")
            if self._cache is None:
                self._cache = ReplyCache(self._experiment.cache or self._out / "replies.sqlite")
            self._open[settings.llm] = CachedModel(
                opened, self._cache, parameters=settings.parameters
            )
        return self._open[settings.llm]


def identity_of(
    experiment: Experiment, variant: VariantSettings, arm: str, index: ItemIndex, out: Path
) -> dict[str, Any]:
    """What answers are answers to, as far as it can be told without opening the model."""
    prompt = load_variant(str(_prompt_of(experiment, variant, out)))
    return {
        "variant": variant.name, "arm": arm, "prompt": prompt.digest, "model": variant.llm,
        "retriever": variant.retriever, "k": experiment.pipeline.k,
        "index": index.manifest.digest(), "blend": variant.blend,
    }  # fmt: skip


def _prompt_of(experiment: Experiment, variant: VariantSettings, out: Path) -> Path:
    return with_settings(variant.prompt, experiment.pipeline.prompt_settings(), out / "prompts")


def answer_path(out: Path, variant: str, arm: str) -> Path:
    """Where a variant's answers in an arm are kept."""

    def plain(text: str) -> str:
        return re.sub(r"[^A-Za-z0-9.-]+", "_", text)

    return out / "answers" / f"{plain(variant)}--{plain(arm)}.jsonl"


def arms_of(experiment: Experiment, test: Sequence[Task], validation: Sequence[Task]) -> list[Arm]:
    """The arms in which every variant is asked: the test, its repeats, validation."""
    seed = experiment.seed
    repeats = [
        Arm(f"repeat {n}", "plain", tuple(test), seed + n) for n in range(2, experiment.repeats + 1)
    ]
    arms = [Arm("test", "plain", tuple(test), seed), *repeats]
    if validation:
        arms.append(Arm("validation", "plain", tuple(validation), seed))
    return arms


def sensitivity_arms(experiment: Experiment, test: Sequence[Task]) -> list[Arm]:
    """The arms of sensitivity: candidates shuffled, histories cut; the first users of the test."""
    settings = experiment.sensitivity
    some = tuple(test[: settings.users])
    arms = [Arm("shuffled", "shuffled", some, experiment.seed)] if settings.shuffle else []
    for n in settings.history:
        cut = tuple(Task(t.key, _cut(t.history, n), t.stratum) for t in some)
        arms.append(Arm(f"history {n}", "plain", cut, experiment.seed))
    return arms


def _cut(history: UserHistory, n: int) -> UserHistory:
    """The last ``n`` events; what was before them stays out of the lists."""
    constraints = history.constraints
    dropped = frozenset(event.item_id for event in history.events[:-n])
    return history.model_copy(
        update={
            "events": history.events[-n:],
            "constraints": constraints.model_copy(
                update={"exclude": constraints.exclude | dropped}
            ),
        }
    )
