"""Ask every variant for every task, resumable, within a budget; nothing here knows a target."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag_rec.core import ConfigError, Settings
from rag_rec.evaluation.experiments.answers import AnswerFile, UserAnswer, answer_tasks
from rag_rec.evaluation.experiments.conditions import Condition, Plan
from rag_rec.evaluation.experiments.experiment import Experiment, VariantSettings
from rag_rec.evaluation.experiments.prompts import with_settings
from rag_rec.evaluation.experiments.recorder import RecordingModel
from rag_rec.evaluation.experiments.retrievers import Shuffled
from rag_rec.evaluation.experiments.spending import Spending
from rag_rec.evaluation.metrics.scorer import Task
from rag_rec.index import ItemIndex
from rag_rec.llm import CachedModel, ChatModel, ReplyCache, open_from
from rag_rec.prompting import load_variant
from rag_rec.recommender import Recommender
from rag_rec.retrieval import Retriever

OnProgress = Callable[[str, int, int], None]
"""Told what is being asked, how many are done, and of how many."""


@dataclass(slots=True)
class _Side:
    """A variant in a condition, open, with what it has answered."""

    variant: VariantSettings
    label: str
    total: int
    recommender: Recommender
    recorder: RecordingModel | None
    file: AnswerFile
    found: dict[str, UserAnswer]


class Engine:
    """Opens each model once and answers condition by condition.

    Args:
        experiment: What to ask.
        index: The index, which was built from what may be known.
        retrievers: Retrievers over it, by name.
        out: The run's folder.
        models: Open models by spec, instead of opening them; for tests and programs.
    """

    def __init__(
        self,
        experiment: Experiment,
        index: ItemIndex,
        retrievers: Mapping[str, Retriever],
        out: Path,
        *,
        models: Mapping[str, ChatModel] | None = None,
    ) -> None:
        self._experiment, self._out = experiment, out
        self._index, self._retrievers = index, retrievers
        self._given = dict(models or {})
        self._open: dict[str, ChatModel] = {}
        self._cache: ReplyCache | None = None
        self._spending = Spending(experiment.budget)

    def answer_all(self, plan: Plan, on_progress: OnProgress | None = None) -> None:
        """Have every variant of every condition answer for the users it has not answered for yet.

        Some users at a time, all variants of a condition in turn: wherever this ends, the
        variants have answered for the same users but for the last few.

        Raises:
            BudgetSpent: When the budget is reached; answers so far are kept.
        """
        sides = [
            [self._side(variant, condition) for variant in variants] for condition, variants in plan
        ]
        for side in (side for group in sides for side in group):
            self._spending.add(side.variant.llm, list(side.found.values()))
        for (condition, _), group in zip(plan, sides, strict=True):
            for start in range(0, len(condition.tasks), self._at_once):
                for side in group:
                    self._answer(side, condition.tasks[start : start + self._at_once], on_progress)

    def _answer(self, side: _Side, tasks: Sequence[Task], on_progress: OnProgress | None) -> None:
        missing = [task for task in tasks if task.key not in side.found]
        if not missing:
            return
        if on_progress:
            on_progress(side.label, len(side.found), side.total)
        if side.recorder is not None:
            self._spending.check()
        made = answer_tasks(
            side.recommender, side.recorder, missing, self._experiment.pipeline.kind
        )
        side.file.add(made)
        self._spending.add(side.variant.llm, made)
        side.found |= {answer.user: answer for answer in made}
        if on_progress:
            on_progress(side.label, len(side.found), side.total)

    def close(self) -> None:
        """Close the models it opened."""
        for model in self._open.values():
            model.close()
        if self._cache is not None:
            self._cache.close()

    @property
    def _at_once(self) -> int:
        """Users between two looks at the budget: what is in flight, where there is a budget."""
        save_every, in_flight = self._experiment.save_every, self._experiment.pipeline.concurrency
        return min(save_every, in_flight) if self._experiment.budget.limited else save_every

    def _side(self, variant: VariantSettings, condition: Condition) -> _Side:
        pipeline = self._experiment.pipeline
        prompt = _prompt_of(self._experiment, variant, self._out)
        settings = Settings.model_validate({
            "llm": variant.llm, "prompt": prompt, "k": pipeline.k, "seed": condition.seed,
            "temperature": pipeline.temperature, "reask": pipeline.reask, "blend": variant.blend,
            "context_tokens": pipeline.context_tokens,
            "request": {"concurrency": pipeline.concurrency},
        })  # fmt: skip
        model = self._model(settings)
        recorder = None if model is None else RecordingModel(model)
        retriever = self._retrievers[variant.retriever]
        if condition.kind == "shuffled":
            retriever = Shuffled(retriever, self._experiment.seed)
        recommender = Recommender(self._index, recorder, settings, retriever=retriever)
        path = answer_path(self._out, variant.name, condition.name)
        identity = identity_of(self._experiment, variant, condition.name, self._index, self._out)
        file = AnswerFile(path, identity | {"run": recommender.run_id})
        return _Side(
            variant=variant,
            label=f"{variant.name}, {condition.name}",
            total=len(condition.tasks),
            recommender=recommender,
            recorder=recorder,
            file=file,
            found=file.read(condition.tasks),
        )

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
    experiment: Experiment, variant: VariantSettings, condition: str, index: ItemIndex, out: Path
) -> dict[str, Any]:
    """Return what can change an answer, as far as it can be told without opening the model."""
    prompt = load_variant(_prompt_of(experiment, variant, out))
    return {
        "variant": variant.name, "condition": condition, "prompt": prompt.digest,
        "model": variant.llm,
        "retriever": variant.retriever,
        "list_type": experiment.pipeline.list_type, "k": experiment.pipeline.k,
        "index": index.manifest.digest(), "blend": variant.blend,
    }  # fmt: skip


def _prompt_of(experiment: Experiment, variant: VariantSettings, out: Path) -> str:
    pipeline = experiment.pipeline
    if pipeline.own_prompt:
        return variant.prompt
    return str(with_settings(variant.prompt, pipeline.prompt_settings(), out / "prompts"))


def answer_path(out: Path, variant: str, condition: str) -> Path:
    """Return the file of a variant's answers in a condition."""

    def plain(text: str) -> str:
        return re.sub(r"[^A-Za-z0-9.-]+", "_", text)

    return out / "answers" / f"{plain(variant)}--{plain(condition)}.jsonl"
