"""Popularity with time decay: for users without a history, and to fill lists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from rag_rec.retrieval.fit_data import FitData


@dataclass(frozen=True, slots=True)
class Popularity:
    """Number of users of an item, halved every `half_life_days` before the log's end.

    Of several events of one user the mean counts.

    It is no `Source`: it says the same of every history, and enters no sum.

    Attributes:
        half_life_days: Events without a time count fully.
    """

    half_life_days: float = 180.0

    name: ClassVar[str] = "popularity"

    def fit(self, data: FitData) -> NDArray[np.float32]:
        """Return scores ``float32 [n]``."""
        known = np.isfinite(data.times)
        weights = data.log.shares.astype(np.float64)
        if known.any():
            age_days = (data.times[known].max() - data.times[known]) / 86_400
            weights[known] *= 0.5 ** (age_days / self.half_life_days)
        counts = np.bincount(data.log.items, weights=weights, minlength=data.n_items)
        return counts.astype(np.float32)
