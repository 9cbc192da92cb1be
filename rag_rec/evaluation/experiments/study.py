"""An experiment with its data opened: what may be known of it, and who is asked."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rag_rec.core import ConfigError, DataError, IndexNotFound
from rag_rec.data import Dataset, load_sample
from rag_rec.evaluation.experiments.baselines import BASELINES, FittedIndex
from rag_rec.evaluation.experiments.conditions import Plan, plan_of
from rag_rec.evaluation.experiments.experiment import DataSettings, Experiment
from rag_rec.evaluation.experiments.retrievers import RETRIEVERS, SHIPPED
from rag_rec.evaluation.experiments.sampling import Sampled, sample_users
from rag_rec.index import Embedder, ItemIndex, OnStep
from rag_rec.retrieval import Retriever, build_index, open_retriever


@dataclass(frozen=True, slots=True)
class Study:
    """An experiment with its data.

    Attributes:
        experiment: What is compared.
        out: The run's folder.
        sampled: The split and its users.
        index: Built from the fit alone.
        retrievers: Those of the rows that are always there and of the variants, by name.
    """

    experiment: Experiment
    out: Path
    sampled: Sampled
    index: ItemIndex
    retrievers: Mapping[str, Retriever]

    @classmethod
    def open(
        cls,
        experiment: Experiment,
        out: Path,
        *,
        beside: Path | None = None,
        dataset: Dataset | None = None,
        embedder: Embedder | None = None,
        on_step: OnStep | None = None,
    ) -> Study:
        """Load, split, and build the index under ``out`` if it is not there.

        Args:
            experiment: What is compared.
            out: The run's folder.
            beside: The experiment file, from which relative paths start.
            dataset: The data, instead of what the experiment names.
            embedder: Makes the vectors.
            on_step: Told of the index's progress.

        Raises:
            ConfigError, DataError: One line that says what to do.
        """
        data = dataset or load_data(experiment.data, beside)
        sampled = sample_users(data, experiment.split, experiment.seed)
        folder = out / "index"
        try:
            index = ItemIndex.open(folder, embedder)
        except IndexNotFound:
            build_index(sampled.fit, folder, embedder=embedder, on_step=on_step)
            index = ItemIndex.open(folder, embedder)
        check_index(index, sampled.fit)
        fitted = FittedIndex(index, open_retriever(index), experiment.seed)
        named = (variant.retriever for variant in experiment.all_variants())
        retrievers = {name: RETRIEVERS[name](fitted) for name in {SHIPPED, *BASELINES, *named}}
        return cls(experiment, out, sampled, index, retrievers)

    def plan(self) -> Plan:
        """Return what is asked, in order, and whom."""
        return plan_of(self.experiment, self.sampled.test.tasks, self.sampled.validation.tasks)

    def close(self) -> None:
        """Close the index."""
        self.index.close()


def check_index(index: ItemIndex, fit: Dataset) -> None:
    """Check that an index holds the fit and nothing more.

    Raises:
        DataError: If its catalog, its log or its reviews are not those of the fit.
    """
    manifest = index.manifest
    found = (manifest.n_interactions, manifest.n_reviews)
    allowed = (fit.interactions.height, fit.reviews.count)
    same = (
        manifest.dataset_digest == fit.digest
        and found == allowed
        and index.interactions.sort("user_id", "timestamp", "item_id", nulls_last=False).equals(
            fit.interactions.sort("user_id", "timestamp", "item_id", nulls_last=False)
        )
    )
    if not same:
        raise DataError(
            f"refused: the index holds {found[0]} events and {found[1]} reviews where "
            f"{allowed[0]} and {allowed[1]} may be known; it was built from other data, perhaps "
            f"with the answers in it. Remove {index.folder.parent.parent} to have it built again"
        )


def load_data(settings: DataSettings, beside: Path | None) -> Dataset:
    """Return the data set that an experiment names.

    Raises:
        ConfigError: If a path names an environment variable that is not set.
        DataError: If the data cannot be read.
    """
    if settings.sample:
        return load_sample()
    start = Path() if beside is None else beside.parent
    named = settings.model_dump(exclude={"sample", "format"}, exclude_none=True)
    paths = {name: start / _expanded(text) for name, text in named.items()}
    return Dataset.load(
        paths.get("folder"),
        items=paths.get("items"),
        reviews=paths.get("reviews"),
        interactions=paths.get("interactions"),
        format=settings.format,
    )


def _expanded(text: str) -> str:
    for name in re.findall(r"\$\{?(\w+)", text):
        if name not in os.environ:
            raise ConfigError(f"data: '{text}' needs the environment variable {name}; set it")
    return os.path.expandvars(text)
