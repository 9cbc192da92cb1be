"""The ranker: LambdaMART over the best candidates of the fused sources."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rag_rec.retrieval.histories import Histories
from rag_rec.retrieval.ranker.candidate_sampling import fused_at
from rag_rec.retrieval.ranker.config import RankerConfig
from rag_rec.retrieval.ranker.features import Features
from rag_rec.retrieval.ranker.item_statistics import Floats
from rag_rec.retrieval.ranker.training_data import Lessons

if TYPE_CHECKING:
    from lightgbm import Booster


def fit_ranker(learned: Lessons, config: RankerConfig) -> str:
    """The fitted model as LightGBM's text."""
    import lightgbm  # takes a second

    data = lightgbm.Dataset(
        learned.rows,
        learned.labels,
        group=learned.groups,
        feature_name=list(learned.names),
        params={"verbose": -1},
    )
    booster = lightgbm.train(config.parameters(), data, config.rounds)
    return booster.model_to_string()


class Ranker:
    """A fitted model and the features it reads.

    Args:
        path: LightGBM's text; read at first use.
        features: Must be fitted on the data the ranker serves.
        depth: Best fused candidates that are ranked again.
    """

    def __init__(self, path: Path, features: Features, depth: int) -> None:
        self._path = path
        self._features = features
        self.depth = depth

    @cached_property
    def _model(self) -> Booster:
        import lightgbm  # takes a second

        return lightgbm.Booster(model_str=self._path.read_text(encoding="utf-8"))

    def given(self, users: Histories, candidates: NDArray[np.int32]) -> NDArray[np.float64]:
        """Score of each given candidate, ``[b, c]``."""
        return self.scores(users, candidates, fused_at(self._features, users, candidates))

    def scores(
        self, users: Histories, candidates: NDArray[np.int32], fused: Floats
    ) -> NDArray[np.float64]:
        """Score of each candidate, ``[b, c]``; for the arguments see `Features`."""
        found = self._features(users, candidates, fused)
        rows = np.stack([found[name] for name in self._model.feature_name()], axis=2)
        scores = self._model.predict(rows.reshape(-1, rows.shape[2]))
        return np.asarray(scores, np.float64).reshape(candidates.shape)
