"""`TrainingState`: the state of a tuning of an embedder between two batches."""

from __future__ import annotations

from rag_rec.adaptation.embedder.validation import Figures
from rag_rec.core import Model


class TrainingState(Model):
    """The state of a run; batches follow from the seed and the step.

    Attributes:
        identity: Digest of what the run learns from and how; another one cannot go on.
        step: Batches done.
        checked: Batches after which validation was last measured.
        seconds: Time spent training and validating, over all starts.
        before: Validation of the base.
        best: The best validation so far, the base's included.
        best_step: Batches after which it was reached; 0 for the base.
        worse: Validations in a row that were not better.
        end: Why training ended; empty while it goes on.
    """

    identity: str
    step: int = 0
    checked: int = 0
    seconds: float = 0.0
    before: Figures
    best: Figures
    best_step: int = 0
    worse: int = 0
    end: str = ""
