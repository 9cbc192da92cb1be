"""``rag-rec adapt`` as a person meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rag_rec import ItemIndex
from rag_rec.adaptation import training_lists
from rag_rec.adaptation.embedder.record import Adaptation
from rag_rec.adaptation.embedder.validation import Figures
from rag_rec.cli import app
from rag_rec.core import ConfigError
from rag_rec.index import EmbedderInfo
from rag_rec.testing import HashEmbedder


def rag_rec(*arguments: object) -> tuple[int, str, BaseException | None]:
    done = CliRunner().invoke(app, [*map(str, arguments)])
    return done.exit_code, done.output, done.exception


def record(after: float) -> Adaptation:
    return Adaptation(
        identity="",
        base=EmbedderInfo(name="all-MiniLM-L6-v2", digest="", dimension=384),
        digest="",
        index="",
        dataset="",
        pairs=1_000,
        seen=500,
        steps=5,
        best_step=5,
        batch=100,
        rate=1e-4,
        seed=0,
        until=None,
        minutes=1.5,
        end="the time is up",
        before=Figures(mrr=0.1, recall_at_50=0.2),
        after=Figures(mrr=after, recall_at_50=0.3),
        left_out={},
        versions={},
    )


@pytest.mark.parametrize(("after", "code"), [(0.2, 0), (0.1, 3)])
def test_exit_codes_tell_whether_anything_was_gained(
    hash_index_folder: Path, monkeypatch: pytest.MonkeyPatch, after: float, code: int
) -> None:
    monkeypatch.setattr("rag_rec.cli.adapt.embedder.adapt_embedder", lambda *_, **__: record(after))
    found = rag_rec("adapt", "embedder", hash_index_folder, "--out", "out")
    assert found[0] == code
    words = "mean reciprocal rank 0.1000 to 0.2000" if not code else "nothing gained: validation"
    assert words in found[1]


def test_a_time_that_is_none_is_refused(hash_index_folder: Path) -> None:
    _, _, error = rag_rec("adapt", "embedder", hash_index_folder, "--out", "out", "--until", "soon")
    assert isinstance(error, ConfigError)
    assert "write a time such as 2011-06-01" in str(error)


def test_help_says_what_is_left_out() -> None:
    code, text, _ = rag_rec("adapt", "embedder", "--help")
    assert code == 0
    assert "The last two events of every user are never seen" in " ".join(text.split())
    assert rag_rec("adapt", "export", "--help")[0] == 0


def test_lists_of_a_tuned_embedder_come_from_its_base(
    hash_index: ItemIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tuned one has seen the targets."""
    asked: list[str] = []

    def base(name: str) -> HashEmbedder:
        asked.append(name)
        return HashEmbedder()

    monkeypatch.setattr("rag_rec.adaptation.lists.SentenceTransformerEmbedder", base)
    monkeypatch.setattr("rag_rec.adaptation.lists.read_adaptation", lambda _: record(0.2))
    with training_lists(hash_index, 10, users=3) as found:
        assert len(found.lists) == 3
    assert asked == ["all-MiniLM-L6-v2"]


def test_json_is_the_manifest(hash_index: ItemIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag_rec.cli.adapt.embedder.adapt_embedder", lambda *_, **__: record(0.2))
    done = CliRunner().invoke(
        app, ["adapt", "embedder", str(hash_index.folder.parents[1]), "--out", "out", "--json"]
    )
    assert json.loads(done.stdout)["minutes"] == 1.5
