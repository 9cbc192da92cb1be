"""`Adaptation`: what a tuned embedder was made of, in its folder."""

from __future__ import annotations

from pathlib import Path

from typing_extensions import override

from rag_rec.adaptation.embedder.validation import Figures
from rag_rec.adaptation.record import TuningRecord, read_record
from rag_rec.index import EmbedderInfo


class Adaptation(TuningRecord):
    """Origin and worth of a tuned embedder; see `TuningRecord` for the rest.

    Attributes:
        base: The embedder that was tuned.
        digest: Of the tuned weights, as the manifest of an index gives it; empty if nothing was
            gained.
        pairs: Pairs that could be learned from.
        seen: Pairs that were learned from up to the weights that are kept, repeats included.
        steps: Batches up to the end.
        until: The time from which on nothing was seen, in Unix seconds; None without one.
        before: Validation of the base.
        after: Validation of the weights that are kept.
    """

    base: EmbedderInfo
    digest: str
    pairs: int
    seen: int
    steps: int
    until: float | None
    before: Figures
    after: Figures

    @property
    @override
    def gained(self) -> bool:
        """True if the tuned embedder is better than its base on validation."""
        return self.after.mrr > self.before.mrr


def read_adaptation(folder: str | Path) -> Adaptation | None:
    """Return the record of a tuned embedder's folder; see `read_record`."""
    return read_record(folder, Adaptation)
