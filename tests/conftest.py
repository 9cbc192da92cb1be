"""Shared fixtures: no network but loopback, real parts, built once a session."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from rag_rec import Dataset, ItemIndex, SentenceTransformerEmbedder, build_index, load_sample
from rag_rec.testing import ChatServer, HashEmbedder

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # tests share their machine
settings.register_profile("shared", deadline=None)
settings.load_profile("shared")


@pytest.fixture(autouse=True, scope="session")
def _no_network() -> Iterator[None]:
    """Connections to anything but this machine fail at once."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if isinstance(address, tuple) and address[0] not in {"127.0.0.1", "::1", "localhost"}:
            raise AssertionError(f"a test tried to reach {address}")
        connect(self, address)  # type: ignore[arg-type]

    socket.socket.connect = guarded  # type: ignore[method-assign]
    yield
    socket.socket.connect = connect  # type: ignore[method-assign]


@pytest.fixture(scope="session")
def sample() -> Dataset:
    return load_sample()


@pytest.fixture(scope="session")
def hash_index_folder(sample: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample with the hash embedder: seconds, and real Chroma."""
    folder = tmp_path_factory.mktemp("index") / "sample"
    build_index(sample, folder, embedder=HashEmbedder())
    return folder


@pytest.fixture(scope="session")
def hash_index(hash_index_folder: Path) -> ItemIndex:
    return ItemIndex.open(hash_index_folder, HashEmbedder())


@pytest.fixture(scope="session")
def real_index_folder(sample: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample with the real sentence-transformers model."""
    folder = tmp_path_factory.mktemp("index") / "real"
    build_index(sample, folder, embedder=SentenceTransformerEmbedder())
    return folder


@pytest.fixture(scope="session")
def real_index(real_index_folder: Path) -> ItemIndex:
    return ItemIndex.open(real_index_folder)


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer() as running:
        yield running


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Real data sets, where they are to be had."""
    folder = Path(os.environ.get("RAG_REC_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("no real data sets: set RAG_REC_DATA to their folder")
    return folder


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes by their length: archives hold the time at which they were made."""
    return f"{argname} of {len(val)} bytes" if isinstance(val, bytes) else None
