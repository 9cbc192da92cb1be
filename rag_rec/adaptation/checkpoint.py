"""A checkpoint of training: one safetensors file with tensors and, in its header, the counts.

Nothing pickled is written or read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from rag_rec.core import Model, StorageError

if TYPE_CHECKING:
    from torch import Tensor

FILE = "training.safetensors"
_HEADER = "state"

State = TypeVar("State", bound=Model)


def save(folder: Path, state: Model, tensors: Mapping[str, Tensor]) -> None:
    """Replace the checkpoint of a folder, in whole."""
    new = folder / f"{FILE}.new"
    header = {_HEADER: state.model_dump_json()}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, new, header)
    new.replace(folder / FILE)


def load(folder: Path, kind: type[State]) -> tuple[State, dict[str, Tensor]] | None:
    """Return the checkpoint of a folder, None if it has none.

    Args:
        folder: The folder of the run.
        kind: The model of the state.

    Raises:
        StorageError: If it cannot be read.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        with safe_open(path, "pt") as file:
            header = (file.metadata() or {}).get(_HEADER, "")
            state = kind.model_validate_json(header)
            return state, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValidationError, json.JSONDecodeError, OSError) as error:
        raise StorageError(
            f"is damaged ({str(error)[:80]}); remove it to begin anew", path=path
        ) from error
