"""`rag-rec index` refuses before it builds anything, and says which option helps."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from rag_rec import ConfigError, DataError, RagRecError
from rag_rec.cli.app import app

ITEMS = "item_id,title,price\na,Pot,3.50\nb,Pan,4\n"


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        (("--columns", "items.title"), ConfigError, "write it as TABLE.OURS=THEIRS"),
        (("--columns", "items.title=headline"), RagRecError, "headline"),
        (("--columns", "items.heading=title"), RagRecError, "heading"),
        (("--read", "goods.price=comma"), ConfigError, "write it as TABLE.OURS=FORM"),
        (("--read", "items.price=roman"), RagRecError, "roman"),
        (("--read", "items.title=comma"), RagRecError, "no form 'comma' of text"),
        (("--max-rejected", "2"), None, "--max-rejected"),
        (("--on-error", "ignore"), None, "'ignore' is not one of"),
        (("--format", "paper"), None, "'paper' is not one of"),
        (("--memory-gib", "0"), None, "--memory-gib"),
        (("--sample", "--columns", "items.title=title"), None, "--sample stands alone"),
    ],
)
def test_index_says_what_is_wrong(
    tmp_path: Path, options: tuple[str, ...], error: type[RagRecError] | None, match: str
) -> None:
    items = tmp_path / "items.csv"
    items.write_text(ITEMS)
    out = tmp_path / "index"
    arguments = ["index", "--items", str(items), "--out", str(out), *options]
    done = CliRunner(env={"COLUMNS": "200"}).invoke(app, arguments)
    said = done.output if error is None else str(done.exception)
    assert match in " ".join(said.replace("│", " ").split())
    assert isinstance(done.exception, error or SystemExit)
    assert error is not None or done.exit_code == 2
    assert not out.exists()


def test_a_log_of_unknown_items_needs_the_items_of_the_index_or_stops(
    tmp_path: Path, hash_index_folder: Path
) -> None:
    """With `--replace` the items that the index holds no longer count as known."""
    log = tmp_path / "log.csv"
    log.write_text("user_id,item_id,timestamp\nu,tea-009,1700000000\n")
    items = tmp_path / "items.csv"
    items.write_text(ITEMS)
    before = sorted(path.name for path in hash_index_folder.iterdir())
    arguments = ["index", "--items", str(items), "--interactions", str(log)]
    arguments += ["--out", str(hash_index_folder), "--replace"]
    done = CliRunner().invoke(app, arguments)
    assert isinstance(done.exception, DataError)
    assert "tea-009" in str(done.exception)
    assert sorted(path.name for path in hash_index_folder.iterdir()) == before
