"""`RankerConfig`: how the order of candidates is learned."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class RankerConfig:
    """LambdaMART (Burges 2010, MSR-TR-2010-82) as LightGBM fits it.

    Attributes:
        enabled: Whether it may be used at all.
        min_users: Users with `min_events` events that a log must have for it to be used.
        min_events: See `min_users`.
        max_users: Users that are learned from at most, for each of the two held-out events.
        depth: Best fused candidates that are ranked again.
        rounds: Trees.
        learning_rate: Shrinkage of a tree.
        leaves: Leaves of a tree.
        min_leaf: Candidates in a leaf.
        feature_share: Features a tree sees.
        user_share: Candidates a tree sees.
        ridge: L2 regularisation of leaf values.
        truncation: Top places whose order counts.
        seed: Of the two shares.
    """

    enabled: bool = True
    min_users: int = 2_000
    min_events: int = 5
    max_users: int = 25_000
    depth: int = 100
    rounds: int = 200
    learning_rate: float = 0.05
    leaves: int = 31
    min_leaf: int = 100
    feature_share: float = 0.5
    user_share: float = 0.8
    ridge: float = 5.0
    truncation: int = 30
    seed: int = 1

    def parameters(self) -> dict[str, Any]:
        """The same in LightGBM's words."""
        return {
            "objective": "lambdarank", "metric": "None", "learning_rate": self.learning_rate,
            "num_leaves": self.leaves, "min_data_in_leaf": self.min_leaf,
            "feature_fraction": self.feature_share, "bagging_fraction": self.user_share,
            "bagging_freq": 1, "lambda_l2": self.ridge,
            "lambdarank_truncation_level": self.truncation, "seed": self.seed,
            "deterministic": True, "force_row_wise": True, "verbose": -1,
            "num_threads": os.cpu_count() or 1,
        }  # fmt: skip
