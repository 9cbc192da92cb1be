"""`Adaptation`: what a tuned embedder was made of, in its folder."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from rag_rec.adaptation.embedder.validation import Figures
from rag_rec.core import Model, StorageError
from rag_rec.index import EmbedderInfo

GAINED, NOTHING_GAINED = "adaptation.json", "nothing-gained.json"


class Adaptation(Model):
    """Origin and worth of a tuned embedder.

    Attributes:
        identity: Digest of what was learned from and how.
        base: The embedder that was tuned.
        digest: Of the tuned weights, as the manifest of an index gives it; empty if nothing was
            gained.
        index: Digest of the manifest of the index that was learned from.
        dataset: Digest of that index's data.
        pairs: Pairs that could be learned from.
        seen: Pairs that were learned from up to the weights that are kept, repeats included.
        steps: Batches up to the end.
        best_step: Batches up to the weights that are kept.
        batch: Pairs a batch.
        rate: Highest learning rate.
        seed: Of the draws.
        until: The time from which on nothing was seen, in Unix seconds; None without one.
        minutes: Time spent, over all starts.
        end: Why training ended.
        before: Validation of the base.
        after: Validation of the weights that are kept.
        left_out: Events, and users, that nothing was learned from, by the reason.
        versions: Of the libraries.
    """

    identity: str
    base: EmbedderInfo
    digest: str
    index: str
    dataset: str
    pairs: int
    seen: int
    steps: int
    best_step: int
    batch: int
    rate: float
    seed: int
    until: float | None
    minutes: float
    end: str
    before: Figures
    after: Figures
    left_out: dict[str, int]
    versions: dict[str, str]

    @property
    def gained(self) -> bool:
        """True if the tuned embedder is better than its base on validation."""
        return self.after.mrr > self.before.mrr

    def write(self, folder: Path) -> None:
        """Write it into a folder, under a name that tells whether anything was gained."""
        path = folder / (GAINED if self.gained else NOTHING_GAINED)
        new = path.with_suffix(".new")
        new.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")
        new.replace(path)


def read_adaptation(folder: str | Path) -> Adaptation | None:
    """Return the record of a run that has ended in a folder, None if there is none.

    Raises:
        StorageError: If it cannot be read.
    """
    for path in (Path(folder) / GAINED, Path(folder) / NOTHING_GAINED):
        if path.is_file():
            try:
                return Adaptation.model_validate_json(path.read_bytes())
            except ValidationError as error:
                raise StorageError("is no record of an adaptation", path=path) from error
    return None
