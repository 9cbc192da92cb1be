"""``rag-rec evaluate retrieval``: files as they come, and one line for what cannot be asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from rag_rec import load_sample
from rag_rec.cli.app import app
from rag_rec.cli.evaluate.questions import FILE_ORDER, seeds_of
from rag_rec.evaluation import RetrievalOptions


def evaluate(*arguments: object) -> Result:
    command = ["evaluate", "retrieval", "--no-ranker", "--k", "5", "--json"]
    return CliRunner().invoke(app, [*command, *map(str, arguments)])


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Baskets: two items of a user share each moment; low ratings; a bad row."""
    path = tmp_path_factory.mktemp("log") / "orders.csv"
    rows = [
        f"u{user},i{(user + step) % 12},{1000000000 + step // 2 * 86400},{1 if step == 0 else 3}"
        for user in range(30)
        for step in range(8)
    ]
    path.write_text("who,what,at,stars\n" + "\n".join([*rows, "u1,,1000000000,3"]) + "\n")
    return path


NAMES = [
    "--columns", "interactions.user_id=who", "--columns", "interactions.item_id=what",
    "--columns", "interactions.timestamp=at", "--columns", "interactions.rating=stars",
]  # fmt: skip


def test_a_log_with_ties_is_measured_in_random_order_and_says_so(log: Path, tmp_path: Path) -> None:
    rejects = tmp_path / "bad.csv"
    given = ["--interactions", log, *NAMES, "--on-error", "skip", "--rejects", rejects]
    done = evaluate(*given, "--protocol", "temporal", "--cut", "2001-09-11", "--min-rating", 2)
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["known_until"] == 1000166400
    assert report["shuffled_ties"] == [0]
    assert report["tied_targets"] > 0.2
    assert report["min_rating"] == 2
    assert report["fitted_interactions"] < report["interactions"] < 240
    assert "of the targets share their time" in done.stderr
    assert "1 rows set aside" in done.stderr
    assert rejects.read_text().count("\n") == 2
    assert seeds_of(FILE_ORDER, load_sample(), RetrievalOptions()) == ()
    assert seeds_of("0,1", load_sample(), RetrievalOptions()) == (0, 1)


def test_given_files_are_asked_row_by_row(tmp_path: Path) -> None:
    rows = [(f"u{n % 15}", f"i{n % 7}", 1000000000 + n) for n in range(120)]
    for name, part in (("train", rows[:80]), ("valid", rows[80:100]), ("test", rows[100:])):
        lines = "".join(f"{user},{item},5,{time}\n" for user, item, time in part)
        (tmp_path / f"{name}.csv").write_text("user_id,parent_asin,rating,timestamp\n" + lines)
    files = ["--train", tmp_path / "train.csv", "--validation", tmp_path / "valid.csv"]
    done = evaluate(*files, "--test", tmp_path / "test.csv", "--no-mask-history")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["protocol"] == "given-files"
    assert (report["questions"], report["users"], report["fitted_interactions"]) == (20, 15, 80)
    assert report["known_until"] == 1000000080
    assert report["repeated_targets"] > 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--protocol", "temporal", "--cut", "soon"], "--cut soon: write a share between 0 and 1"),
        (["--cut", "0.5"], "the protocol leave-last-out takes no cut; leave --cut out"),
        (["--protocol", "new-users", "--cut", "7"], "give --cut between 0 and 1"),
        (["--min-rating", "9"], "no event is rated 9 or higher (240 events have a rating)"),
        (["--k-core", "99"], "there is no 99-core"),
        (["--shuffle-ties", "x"], "--shuffle-ties x: write whole numbers"),
        (["--test", "test.csv"], "give the split; leave --interactions out"),
        (["--protocol", "temporal", "--cut", "2030-01-01"], "needs users with events before and"),
    ],
)
def test_what_cannot_be_measured_is_one_line(
    log: Path, tmp_path: Path, arguments: list[str], says: str
) -> None:
    skip = ["--on-error", "skip", "--rejects", tmp_path / "bad.csv"]
    done = evaluate("--interactions", log, *NAMES, *skip, *arguments)
    assert done.exit_code != 0
    assert says in f"{done.exception} {done.stderr}"
    assert "\n" not in str(done.exception)
