"""`TrainingState`: the state of a tuning of an embedder between two batches."""

from __future__ import annotations

from rag_rec.adaptation.course import RunState
from rag_rec.adaptation.embedder.validation import Figures


class TrainingState(RunState):
    """The state of a run.

    Attributes:
        before: Validation of the base.
        best: The best validation so far, the base's included.
    """

    before: Figures
    best: Figures
