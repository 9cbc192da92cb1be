"""The state of training: one safetensors file with tensors and, in its header, the counts.

Nothing pickled is written or read. The weights, both moments of AdamW, and the best weights so far
are in it; batches follow from the seed and the step, so a run that was killed goes on as if it had
not been.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from rag_rec.adaptation.embedder.validation import Figures
from rag_rec.core import Model, StorageError

if TYPE_CHECKING:
    from torch import Tensor

FILE = "training.safetensors"
_HEADER = "state"


class TrainingState(Model):
    """The state of a run.

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


def save(folder: Path, state: TrainingState, tensors: Mapping[str, Tensor]) -> None:
    """Replace the checkpoint of a folder, in whole."""
    new = folder / f"{FILE}.new"
    header = {_HEADER: state.model_dump_json()}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, new, header)
    new.replace(folder / FILE)


def load(folder: Path) -> tuple[TrainingState, dict[str, Tensor]] | None:
    """Return the checkpoint of a folder, None if it has none.

    Raises:
        StorageError: If it cannot be read.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        with safe_open(path, "pt") as file:
            header = (file.metadata() or {}).get(_HEADER, "")
            state = TrainingState.model_validate_json(header)
            return state, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValidationError, json.JSONDecodeError, OSError) as error:
        raise StorageError(
            f"is damaged ({str(error)[:80]}); remove it to begin anew", path=path
        ) from error
