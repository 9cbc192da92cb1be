"""A damaged index: one line that names the file, or the right answers; never anything else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from rag_rec import (
    Dataset,
    IndexNotFound,
    ItemIndex,
    RagRecError,
    StaleIndex,
    StorageError,
    build_index,
    load_sample,
)
from rag_rec.cli.show import app as show
from rag_rec.index import files, verify_index
from rag_rec.retrieval import open_retriever
from rag_rec.testing import HashEmbedder

EMBEDDER = HashEmbedder()


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory, sample: Dataset) -> Path:
    """An index of a part of the sample."""
    folder = tmp_path_factory.mktemp("other")
    tables = {
        "items": sample.items,
        "reviews": pl.concat(sample.reviews.frames()),
        "interactions": sample.interactions,
    }
    paths = {name: folder / f"{name}.parquet" for name in tables}
    for name, table in tables.items():
        part = table.join(sample.items.head(200), on="item_id", how="semi")
        part.write_parquet(paths[name])
    data = Dataset.load(**paths)
    build_index(data, folder / "index", embedder=EMBEDDER)
    return folder / "index"


@pytest.fixture(scope="module")
def copy(hash_index_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sample's index; every test leaves it as it was."""
    return shutil.copytree(hash_index_folder, tmp_path_factory.mktemp("damage") / "index")


def answers(folder: Path) -> str:
    """Everything that a list is made of, for a user of the log and for one known by words."""
    with closing(ItemIndex.open(folder, EMBEDDER)) as index:
        user = index.history(index.user_ids[7])
        words = user.model_copy(update={"events": (), "user_id": "new", "profile": "black tea"})
        retriever = open_retriever(index)
        lists = retriever.retrieve([user, words], 10)
        found = [candidate for row in lists for candidate in row]
        reviews = [
            index.review_texts(index.reviews_of(index.row_of[one.item_id]).tolist())
            for one in found
        ]
        items = [index.item_by_id(one.item_id) for one in found]
        near = [rows.tolist() for rows, _ in index.nearest(index.review_vectors[:3], 5)]
        return repr((found, reviews, items, near, index.reviews_by(user.user_id, 9)))


@pytest.fixture(scope="module")
def right(hash_index_folder: Path) -> str:
    return answers(hash_index_folder)


def all_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def same_file(path: Path, folder: Path) -> bytes:
    """The content of the file of the same name, and of Chroma's of the same kind."""
    return next(one for one in all_files(folder) if one.name == path.name).read_bytes()


Damage = Callable[[bytes], bytes | None]
DAMAGES: dict[str, Damage] = {
    "truncated": lambda content: content[: len(content) // 2],
    "emptied": lambda _: b"",
    "first byte": lambda content: flipped(content, 0),
    "middle byte": lambda content: flipped(content, len(content) // 2),
    "last byte": lambda content: flipped(content, len(content) - 1),
    "deleted": lambda _: None,
}


def damaged(path: Path, content: bytes | None) -> Iterator[None]:
    """Put another content into a file, and the old one back."""
    before = path.read_bytes()
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    yield
    path.write_bytes(before)


def outcome(folder: Path) -> str:
    """The answers, or the line that says why there are none."""
    try:
        return answers(folder)
    except RagRecError as error:
        return one_line_of(error)


def one_line_of(error: RagRecError) -> str:
    assert isinstance(error, StorageError | StaleIndex | IndexNotFound)
    assert "\n" not in str(error)
    return str(error)


@pytest.mark.parametrize("kind", [*DAMAGES, "replaced"])
def test_every_file_damaged_in_every_way_is_one_line_or_does_not_matter(
    copy: Path, other: Path, right: str, kind: str
) -> None:
    version = next((copy / "versions").iterdir())
    for path in all_files(copy):
        before = path.read_bytes()
        if not before:  # .lock, and a file of Chroma's
            continue
        content = same_file(path, other) if kind == "replaced" else DAMAGES[kind](before)
        if content == before:  # Chroma's headers are alike
            continue
        for _ in damaged(path, content):
            found = outcome(copy)
            if path.is_relative_to(version / files.CHROMA):
                chromas = path.relative_to(version).as_posix()
                assert found == right or chromas in found, "serving does not read it"
                assert any(chromas in fault for fault in verify_index(copy).faults)
                with (
                    pytest.raises(StorageError, match=path.name),
                    closing(ItemIndex.open(copy, EMBEDDER)) as index,
                ):
                    _ = index.store
            elif path.name == "CURRENT" and content and content.split() == before.split():
                assert found == right, "only white space has changed"
            else:
                assert found != right
                assert path.name in found or f"no index at {copy}" in found
    assert outcome(copy) == right


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every file were too large to be read at opening."""
    monkeypatch.setattr(files, "_READ_AT_OPENING", 0)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(where=st.data())
def test_a_flipped_byte_of_a_file_too_large_for_the_opening_is_no_traceback(
    copy: Path, unread: None, where: st.DataObject
) -> None:
    version = next((copy / "versions").iterdir())
    names = sorted(name for name in verify_names(version) if not name.startswith(files.CHROMA))
    path = version / where.draw(st.sampled_from(names))
    content = path.read_bytes()
    at = where.draw(st.integers(0, len(content) - 1))
    for _ in damaged(path, flipped(content, at)):
        outcome(copy)
        name = path.relative_to(version).as_posix()
        (fault,) = verify_index(copy).faults
        assert fault == f"{name} is damaged: its bytes are not those that were written"


def verify_names(version: Path) -> list[str]:
    return list(json.loads((version / files.MANIFEST).read_text())["files"])


def test_a_foreign_file_is_refused_and_one_of_the_system_is_not(copy: Path, right: str) -> None:
    version = next((copy / "versions").iterdir())
    hidden = version / "evidence" / ".nfs0001"
    hidden.touch()
    assert outcome(copy) == right
    hidden.unlink()
    foreign = version / "evidence" / "ease.npy"  # would be read instead of ease.npz
    foreign.touch()
    found = outcome(copy)
    foreign.unlink()
    assert "evidence/ease.npy is foreign: it was not written with this version; put back" in found


def test_several_faults_are_counted_at_opening_and_listed_by_the_command(copy: Path) -> None:
    version = next((copy / "versions").iterdir())
    lost = version / "evidence"
    lost.rename(copy / "away")
    (version / "note\x1b[31m.txt").touch()
    found = outcome(copy)
    done = CliRunner().invoke(show, ["--verify", "--index", str(copy)])
    as_json = CliRunner().invoke(show, ["--verify", "--json", "--index", str(copy)])
    (version / "note\x1b[31m.txt").unlink()
    (copy / "away").rename(lost)
    assert "evidence/content.npz is missing, and 7 more faults; put back a copy" in found
    lines = done.stdout.splitlines()
    assert done.exit_code == as_json.exit_code == 1
    assert len(lines) == 8
    assert lines[-1] == "note [31m.txt is foreign: it was not written with this version"
    assert "version 000001: 26 files" in done.stderr
    assert json.loads(as_json.stdout)["faults"] == lines


def test_a_whole_index_is_verified(copy: Path) -> None:
    done = CliRunner().invoke(show, ["--verify", "--index", str(copy)])
    assert (done.exit_code, done.stdout) == (0, "")
    assert "bytes; all as they were written" in done.stderr
    check = verify_index(copy)
    everything = all_files(copy / "versions")
    assert check.files == len(everything) - 1, "all but the manifest"
    sizes = sum(path.stat().st_size for path in everything if path.name != files.MANIFEST)
    assert check.bytes == sizes


@pytest.mark.parametrize(
    "name",
    ["/", "..", "../versions/000001", "000002", "000001/evidence", "1", "\x00", "link001"],
)
def test_current_names_a_version_inside_the_index_or_nothing_is_opened(
    copy: Path, other: Path, name: str
) -> None:
    pointer = copy / "CURRENT"
    digest = pointer.read_text().split()[1]
    link = copy / "versions" / "000009"
    link.symlink_to(next((other / "versions").iterdir()))
    name = link.name if name == "link001" else name
    for _ in damaged(pointer, f"{name} {digest}\n".encode()):
        found = outcome(copy)
    link.unlink()
    shown = name.replace("\0", " ")  # an error shows no control characters
    assert f"{pointer}: names no version of this index: '{shown}'" in found


def test_a_damaged_index_is_not_updated_but_replaced(
    hash_index_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(hash_index_folder, tmp_path / "index")
    path = next(folder.rglob("review_items.npy"))
    path.write_bytes(flipped(path.read_bytes(), 999))
    items = tmp_path / "items.jsonl"
    items.write_text('{"item_id": "a", "title": "Pot"}\n')
    with pytest.raises(StorageError, match=r"cannot be kept: .*review_items.npy is damaged"):
        build_index(Dataset.load(items=items), folder, embedder=EMBEDDER)
    whole = load_sample()
    _, embedded = build_index(whole, folder, embedder=EMBEDDER)
    assert embedded == whole.items.height + whole.reviews.count, "no vector is taken over"
    assert not verify_index(folder).faults
    (folder / "CURRENT").unlink()
    with pytest.raises(StorageError, match="CURRENT: is missing"):
        build_index(Dataset.load(items=items), folder, embedder=EMBEDDER)
    build_index(Dataset.load(items=items), folder, embedder=EMBEDDER, replace=True)
    assert ItemIndex.open(folder).item_ids == ["a"]
