"""`Weighting`: the weights of the sum of the sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

REPLAY = "history"
"""The history itself, a source for users whose items may be listed again."""


@dataclass(frozen=True, slots=True)
class Weighting:
    """Weights of the sum of the sources.

    Attributes:
        sources: Weight of each source, each scaled to unit standard deviation.
        decay: An event of the history counts for 1/e less for every so many events after it.
        replay: Weight of the history itself where its items may be listed again, as an identity
            matrix scaled like the sources; negative where nobody takes an item twice.
        replay_decay: The decay of the history itself, where an item counts for each of its events.
    """

    sources: Mapping[str, float]
    decay: float = 2.0
    replay: float = 0.3
    replay_decay: float = 2.0
