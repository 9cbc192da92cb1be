"""Ask every variant for every task, resumable, within a budget; nothing here knows a target."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

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
    condition: Condition
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
        self._models = dict(models or {})
        self._opened = ExitStack()
        self._cache: ReplyCache | None = None
        self._spending = Spending(experiment.budget)

    def answer_all(self, plan: Plan, on_progress: OnProgress | None = None) -> None:
        """Have every variant of every condition answer for the users it has not answered for yet.

        Some users at a time, all variants of a condition in turn: wherever this ends, the
        variants have answered for the same users but for the last few.

        Raises:
            BudgetSpent: When the budget is reached; answers so far are kept.
        """
        groups = [[self._side(one, condition) for one in variants] for condition, variants in plan]
        for side in (side for group in groups for side in group):
            self._spending.add(side.variant.llm, side.found.values())
        for (condition, _), group in zip(plan, groups, strict=True):
            for start in range(0, len(condition.tasks), self._at_once):
                for side in group:
                    self._answer(side, condition.tasks[start : start + self._at_once], on_progress)

    def close(self) -> None:
        """Close the models it opened."""
        self._opened.close()

    def _answer(self, side: _Side, tasks: Sequence[Task], on_progress: OnProgress | None) -> None:
        def report() -> None:
            if on_progress:
                label = f"{side.variant.name}, {side.condition.name}"
                on_progress(label, len(side.found), len(side.condition.tasks))

        missing = [task for task in tasks if task.key not in side.found]
        if not missing:
            return
        report()
        if side.recorder is not None:
            self._spending.check()
        kind = self._experiment.pipeline.kind
        made = answer_tasks(side.recommender, side.recorder, missing, kind)
        side.file.add(made)
        self._spending.add(side.variant.llm, made)
        side.found |= {answer.user: answer for answer in made}
        report()

    @property
    def _at_once(self) -> int:
        """Users between two looks at the budget: what is in flight, where there is a budget."""
        save_every, in_flight = self._experiment.save_every, self._experiment.pipeline.concurrency
        return min(save_every, in_flight) if self._experiment.budget.limited else save_every

    def _side(self, variant: VariantSettings, condition: Condition) -> _Side:
        experiment, pipeline = self._experiment, self._experiment.pipeline
        settings = Settings.model_validate({
            "llm": variant.llm, "prompt": prompt_of(experiment, variant, self._out),
            "k": pipeline.k, "seed": condition.seed, "temperature": pipeline.temperature,
            "reask": pipeline.reask, "blend": variant.blend,
            "context_tokens": pipeline.context_tokens,
            "request": {"concurrency": pipeline.concurrency},
        })  # fmt: skip
        model = self._model(settings)
        recorder = None if model is None else RecordingModel(model)
        retriever = self._retrievers[variant.retriever]
        if condition.shuffled:
            retriever = Shuffled(retriever, experiment.seed)
        recommender = Recommender(self._index, recorder, settings, retriever=retriever)
        run = recommender.run_id
        file = answer_file(experiment, variant, condition, self._index, self._out, run=run)
        return _Side(variant, condition, recommender, recorder, file, file.read(condition.tasks))

    def _model(self, settings: Settings) -> ChatModel | None:
        spec = settings.llm
        if spec == "none":
            return None
        if spec not in self._models:
            opened = open_from(settings)
            if opened is None:
                raise ConfigError(f"'{spec}' opens no model")
            if self._cache is None:
                self._cache = ReplyCache(self._experiment.cache or self._out / "replies.sqlite")
                self._opened.callback(self._cache.close)
            cached = CachedModel(opened, self._cache, parameters=settings.parameters)
            self._opened.callback(cached.close)
            self._models[spec] = cached
        return self._models[spec]


def answer_file(
    experiment: Experiment,
    variant: VariantSettings,
    condition: Condition,
    index: ItemIndex,
    out: Path,
    **more: str,
) -> AnswerFile:
    """Return the file of a variant's answers in a condition.

    Args:
        experiment: The experiment.
        variant: The variant.
        condition: The condition.
        index: The index.
        out: The run's folder.
        more: What else can change an answer, known only where the model is open.
    """
    names = (re.sub(r"[^A-Za-z0-9.-]+", "_", text) for text in (variant.name, condition.name))
    prompt = load_variant(prompt_of(experiment, variant, out))
    identity = {
        "variant": variant.name, "condition": condition.name, "prompt": prompt.digest,
        "model": variant.llm, "retriever": variant.retriever, "blend": variant.blend,
        "list_type": experiment.pipeline.list_type, "k": experiment.pipeline.k,
        "index": index.manifest.digest(), **more,
    }  # fmt: skip
    return AnswerFile(out / "answers" / f"{'--'.join(names)}.jsonl", identity)


def prompt_of(experiment: Experiment, variant: VariantSettings, out: Path) -> str:
    """Return the prompt of a variant: with the experiment's settings, or the list type's own."""
    pipeline = experiment.pipeline
    if pipeline.own_prompt:
        return variant.prompt
    return str(with_settings(variant.prompt, pipeline.prompt_settings(), out / "prompts"))
