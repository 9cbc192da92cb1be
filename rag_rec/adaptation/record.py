"""The record of a tuning that has ended, in its folder."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from rag_rec.core import Model, StorageError

_GAINED, _NOTHING_GAINED = "adaptation.json", "nothing-gained.json"


class TuningRecord(Model):
    """Origin of a tuned model.

    Attributes:
        identity: Digest of what was learned from and how.
        index: Digest of the manifest of the index that was learned from.
        dataset: Digest of that index's data.
        batch: Pairs or lists a batch.
        rate: Highest learning rate.
        seed: Of the draws.
        best_step: Batches up to the weights that are kept.
        minutes: Time spent, over all starts.
        end: Why training ended.
        left_out: What nothing was learned from, with its count, by the reason.
        versions: Of the libraries.
    """

    identity: str
    index: str
    dataset: str
    batch: int
    rate: float
    seed: int
    best_step: int
    minutes: float
    end: str
    left_out: dict[str, int]
    versions: dict[str, str]

    @property
    def gained(self) -> bool:
        """True if the tuned model is better than what there was."""
        raise NotImplementedError

    def write(self, folder: Path) -> None:
        """Write it into a folder, under a name that tells whether anything was gained."""
        path = folder / (_GAINED if self.gained else _NOTHING_GAINED)
        new = path.with_suffix(".new")
        new.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")
        new.replace(path)


Kind = TypeVar("Kind", bound=TuningRecord)


def read_record(folder: str | Path, kind: type[Kind]) -> Kind | None:
    """Return the record of a run that has ended in a folder, None if there is none.

    Raises:
        StorageError: If it cannot be read, or is of another kind.
    """
    for path in (Path(folder) / _GAINED, Path(folder) / _NOTHING_GAINED):
        if path.is_file():
            try:
                return kind.model_validate_json(path.read_bytes())
            except ValidationError as error:
                raise StorageError("is no record of such a tuning", path=path) from error
    return None
