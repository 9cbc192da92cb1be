"""The page in a real browser: what it shows, that it asks nobody, that it escapes, its size."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from rag_rec import Dataset
from rag_rec.core import Usage, UserHistory
from rag_rec.evaluation import read_report
from rag_rec.evaluation.experiments.answers import UserAnswer
from rag_rec.evaluation.measuring.measure import Details
from rag_rec.evaluation.measuring.rows import LeaderboardRow
from rag_rec.evaluation.metrics.scorer import Relevance, Task
from rag_rec.evaluation.report.browser import PROMPT_CHARS, browser_data
from rag_rec.evaluation.report.content import article_of
from rag_rec.evaluation.report.page import render_page
from tests.experiment_help import experiment, run_with

_FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--virtual-time-budget=4000",
]  # fmt: skip
REPORTS = Path(__file__).parents[2] / "eval" / "reports"
HOSTILE = "</script><img src=x onerror=\"document.title='owned'\"><b>&amp;'\""


@pytest.fixture(scope="module")
def chromium() -> str:
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium on this machine: install it to look at the rendered page")
    return found


def rendered(browser: str, page: Path, scratch: Path, *flags: str) -> str:
    """The document after its scripts have run."""
    command = [browser, *_FLAGS, f"--user-data-dir={scratch}", *flags, "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


@pytest.fixture(scope="module")
def page(sample: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose catalog holds hostile titles."""
    out = tmp_path_factory.mktemp("page")
    titles = pl.when(pl.int_range(pl.len()) % 3 == 0).then(pl.lit(HOSTILE)).otherwise("title")
    data = replace(sample, items=sample.items.with_columns(title=titles))
    chosen = experiment(name=f"A page {HOSTILE}", sensitivity={"variants": ["bad plain"]})
    run_with(chosen, out, dataset=data)
    return out / "report.html"


def test_the_page_shows_the_report(chromium: str, page: Path, tmp_path: Path) -> None:
    dom = rendered(chromium, page, tmp_path / "profile")
    assert 'data-ready="yes"' in dom
    for part in ("Leaderboard", "Differences from the baseline", "Where the target is lost",
                 "Accuracy against cost", "By length of the history", "Blend and routing",
                 "Sensitivity of bad plain", "Model behaviour", "Prompt: user",
                 "Raw reply", "Final list", "Candidates"):  # fmt: skip
        assert part in dom, part
    assert len(re.findall("<svg", dom)) >= 6
    assert dom.count("<option") >= 8
    assert "no difference shown" in dom.lower()


def test_text_of_the_data_stays_text(chromium: str, page: Path, tmp_path: Path) -> None:
    dom = rendered(chromium, page, tmp_path / "profile")
    assert "<title>owned" not in dom
    assert "onerror" in dom  # it is shown
    assert not re.search(r"<img|<b>", dom)


def test_the_page_asks_nobody(page: Path) -> None:
    text = page.read_text()
    assert "default-src 'none'" in text
    outside = re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?(?:https?:)?//[^\"') ]+", text)
    assert outside == []


def test_it_fits_a_phone(chromium: str, page: Path, tmp_path: Path) -> None:
    """Nothing is wider than the window: tables and charts scroll by themselves."""
    probe = tmp_path / "probe.html"
    script = "<script>document.title = document.documentElement.scrollWidth</script></body>"
    loose = page.read_text().replace("</body>", script)
    probe.write_text(re.sub(r"<title>.*?</title>", "<title>x</title>", loose, count=1))
    dom = rendered(chromium, probe, tmp_path / "profile", "--window-size=500,900")
    found = re.search(r"<title>(\d+)</title>", dom)
    assert found
    assert int(found[1]) <= 500


def many(n: int) -> Details:
    """Data of ``n`` users with two variants that were asked, as large as such get."""
    rng = np.random.default_rng(0)
    items = [f"item-{at:05d}" for at in range(20_000)]
    rows: list[LeaderboardRow] = []
    tasks = [
        Task(f"{at:016x}", UserHistory.of(*(items[i] for i in rng.integers(0, 20_000, 30))), "hot")
        for at in range(n)
    ]
    hits = rng.random((n, 10)) < 0.02

    def orders() -> list[list[str]]:
        starts = rng.integers(0, 20_000 - 20, n)
        return [[items[i] for i in start + rng.permutation(20)] for start in starts]

    lists = orders()
    for name in ("random", "popularity", "bm25", "item-knn", "retrieval only"):
        ranked = lists if name == "retrieval only" else orders()
        found = {task.key: some[:10] for task, some in zip(tasks, ranked, strict=True)}
        rows.append(
            LeaderboardRow(name, "baseline", [Relevance(hits, np.ones(n, np.int64))], found)
        )
    for name in ("one", "two"):
        answers = {
            task.key: UserAnswer(
                task.key, some[:10], ["llm"] * 10, ["evidence"] * 10, [""] * 10, "ok",
                candidates=some, n_shown=20,
                messages=[("system", "s" * 400), ("user", "u" * 2_000)], replies=["r" * 300],
                usage=Usage(calls=1, wall_s=1.0, prompt_tokens=800, completion_tokens=90),
            )
            for task, some in zip(tasks, lists, strict=True)
        }  # fmt: skip
        found = {task.key: some[9::-1] for task, some in zip(tasks, lists, strict=True)}
        rows.append(
            LeaderboardRow(name, "variant", [Relevance(hits, np.ones(n, np.int64))], found, answers)
        )
    users = [f"user-{at}" for at in range(n)]
    targets = [(items[i],) for i in rng.integers(0, 20_000, n)]
    deep = {task.key: some for task, some in zip(tasks, lists, strict=True)}
    titles = {item: f"A title of an ordinary length, {item}" for item in items}
    return Details(tasks, users, targets, rows, deep, titles)


@pytest.fixture(scope="module")
def large() -> str:
    return render_page(article_of(read_report(REPORTS / "sample")), many(10_000))


def test_ten_thousand_users_stay_small(large: str) -> None:
    assert len(large.encode()) < 10_000_000
    assert len(data_of(large)["users"]) == 10_000


def test_ten_thousand_users_open_quickly(chromium: str, large: str, tmp_path: Path) -> None:
    page = tmp_path / "large.html"
    clock = "<script>document.title = 'ready ' + Math.round(performance.now())</script></body>"
    page.write_text(large.replace("</body>", clock))
    started = time.perf_counter()
    dom = rendered(chromium, page, tmp_path / "profile")
    whole = time.perf_counter() - started
    found = re.search(r"<title>ready (\d+)</title>", dom)
    assert found, dom[:500]
    assert int(found[1]) < 2_000, (
        f"{found[1]} ms in the page, {whole:.1f} s with the browser's start"
    )
    assert "10000 users, the first 300 listed" in dom


def data_of(page: str) -> dict[str, Any]:
    """The data block of a page."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page)
    assert found
    assert "<" not in found[1]
    return json.loads(found[1])


def test_the_data_block_is_json_that_no_text_can_end(page: Path) -> None:
    assert HOSTILE in data_of(page.read_text())["titles"]


def test_the_browser_holds_the_lists_and_prompts_of_the_run(page: Path) -> None:
    data = data_of(page.read_text())
    users = pl.read_parquet(page.with_name("users.parquet"))
    asked = next(row for row in data["rows"] if row["name"] == "bad plain")
    lines = users.filter(pl.col("row") == "bad plain")
    assert data["users"] == lines["user_id"].to_list()
    for at, line in enumerate(lines.iter_rows(named=True)):
        assert [data["items"][ix] for ix in data["targets"][at]] == line["targets"]
        some = asked["lists"][at]
        shown = data["deep"][at][:some] if isinstance(some, int) else some
        assert [data["items"][ix] for ix in shown] == line["items"]
        assert asked["asked"][at]["replies"]
    assert data["rows"][data["first"]].get("asked")
    retrieval = next(row for row in data["rows"] if row["name"] == "retrieval only")
    assert retrieval["lists"] == [5] * len(data["users"])  # lengths of retrieval's own order


def test_prompts_beyond_the_bound_are_left_out_and_the_page_says_so() -> None:
    data = browser_data(many(900))
    asked = next(row["asked"] for row in data["rows"] if "asked" in row)
    size = sum(len(text) for turn in asked for _, text in turn["messages"])
    assert 0 < len(asked) < 900
    assert size < PROMPT_CHARS
    assert f"the first {len(asked)} of 900 users" in data["notice"]


def test_a_page_without_people_holds_nothing_of_them(page: Path) -> None:
    out = page.parent
    users = pl.read_parquet(out / "users.parquet")
    without = render_page(article_of(read_report(out)), None)
    assert 'id="users"' not in without
    assert 'id="data"' not in without
    for name in (*users["user_id"].unique(), *users["items"].explode().unique()):
        assert name not in without
    assert len(without) < page.stat().st_size / 2
