"""A real tuning of a few steps: it gains, goes on where it stopped, and says when nothing came."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rag_rec import ItemIndex, SentenceTransformerEmbedder
from rag_rec.adaptation import (
    Adaptation,
    TuningOptions,
    adapt_embedder,
    checkpoint,
    read_adaptation,
)
from rag_rec.adaptation.embedder import training, tuner, validation
from rag_rec.adaptation.embedder.state import TrainingState
from rag_rec.core import ConfigError, StorageError

BASE = "all-MiniLM-L6-v2"
SMALL = TuningOptions(base=BASE, batch=16, pairs=16 * 8, epochs=1, minutes=20)


@pytest.fixture(autouse=True)
def _short_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuner, "_MAX_TOKENS", 16)
    monkeypatch.setattr(training, "_CHECK_EVERY", 4)
    monkeypatch.setattr(validation, "_OTHERS", 60)
    monkeypatch.setattr(validation, "_MOST_USERS", 20)


class Stopper:
    """Ends the run when so many steps have begun."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def __call__(self, *_: object) -> None:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


def test_a_tuned_embedder_gains_and_a_killed_run_ends_the_same(
    hash_index: ItemIndex, tmp_path: Path
) -> None:
    whole = adapt_embedder(hash_index, tmp_path / "whole", SMALL)
    assert whole.gained
    assert whole.steps == 8
    assert whole.end == "every epoch is done"
    with pytest.raises(KeyboardInterrupt):
        adapt_embedder(hash_index, tmp_path / "cut", SMALL, on_step=Stopper(6))
    assert read_adaptation(tmp_path / "cut") is None
    found = checkpoint.load(tmp_path / "cut", TrainingState)
    assert found is not None
    assert found[0].step == 4
    resumed = adapt_embedder(hash_index, tmp_path / "cut", SMALL)
    assert resumed.digest == whole.digest
    assert (resumed.before, resumed.after) == (whole.before, whole.after)
    _check_folder(hash_index, tmp_path / "whole", whole)
    # finished: nothing is left to do, and other options are another run
    again = adapt_embedder(hash_index, tmp_path / "whole", SMALL)
    assert again == whole
    with pytest.raises(ConfigError, match="name another folder"):
        adapt_embedder(hash_index, tmp_path / "whole", TuningOptions(base=BASE, seed=1))


def _check_folder(index: ItemIndex, folder: Path, record: Adaptation) -> None:
    embedder = SentenceTransformerEmbedder(str(folder))
    assert embedder.digest == record.digest != record.base.digest
    assert embedder.dimension == 384
    assert embedder.model.max_seq_length == SentenceTransformerEmbedder().model.max_seq_length
    document = json.loads((folder / "adaptation.json").read_text())
    assert document["index"] == index.manifest.digest()
    assert document["base"]["digest"] == SentenceTransformerEmbedder().digest
    assert document["left_out"]["users kept for validation"] > 0
    names = {path.name for path in folder.rglob("*") if path.is_file()}
    assert "model.safetensors" in names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pkl", ".pth", ".new"))]
    assert checkpoint.FILE not in names


def test_where_nothing_is_gained_no_model_is_written(hash_index: ItemIndex, tmp_path: Path) -> None:
    idle = TuningOptions(base=BASE, batch=4, pairs=8, epochs=1, rate=1e-12)
    record = adapt_embedder(hash_index, tmp_path, idle)
    assert not record.gained
    assert not record.digest
    assert record.after == record.before
    assert {path.name for path in tmp_path.iterdir()} <= {"nothing-gained.json", ".lock"}
    assert adapt_embedder(hash_index, tmp_path, idle) == record


def test_a_damaged_checkpoint_is_named(hash_index: ItemIndex, tmp_path: Path) -> None:
    (tmp_path / checkpoint.FILE).write_bytes(b"no tensors")
    with pytest.raises(StorageError, match="remove it to begin anew"):
        adapt_embedder(hash_index, tmp_path, SMALL)


def test_the_index_of_another_embedder_needs_a_base(hash_index: ItemIndex, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'hash-64' cannot be loaded"):
        adapt_embedder(hash_index, tmp_path, TuningOptions())
