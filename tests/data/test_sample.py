"""The bundled sample: what the documentation says of it is so, and it can be made again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import polars as pl

from rag_rec import Dataset
from rag_rec.data import SAMPLE_FOLDER

ROOT = Path(__file__).parents[2]


def test_it_is_as_large_as_it_says(sample: Dataset) -> None:
    assert sample.items.height == 300
    assert sample.items["categories"].list.first().n_unique() == 6
    assert sample.n_users >= 400
    assert sample.reviews.count >= 1_500
    assert sample.notices == []
    assert sample.rejected == 0
    size = sum(path.stat().st_size for path in SAMPLE_FOLDER.iterdir())
    assert size < 2_000_000


def test_no_text_is_used_twice(sample: Dataset) -> None:
    reviews = pl.concat(sample.reviews.frames())
    assert reviews["text"].n_unique() == reviews.height
    assert sample.items["description"].n_unique() == sample.items.height


def test_what_is_cold_is_cold(sample: Dataset) -> None:
    planted = json.loads((SAMPLE_FOLDER / "planted.json").read_text())
    reviews = pl.concat(sample.reviews.frames())
    cold = planted["cold_items"]
    assert len(cold) >= 12
    assert not sample.interactions["item_id"].is_in(cold).any()
    assert not reviews["item_id"].is_in(cold).any()
    lengths = dict(sample.interactions.group_by("user_id").len().iter_rows())
    assert all(lengths[user] == 1 for user in planted["cold_users"]["one_interaction"])


def test_reviews_follow_a_purchase(sample: Dataset) -> None:
    reviews = pl.concat(sample.reviews.frames())
    bought = sample.interactions.rename({"timestamp": "bought"}).drop("rating")
    joined = reviews.join(bought, on=["user_id", "item_id"], how="left")
    assert joined["bought"].null_count() == 0
    assert (joined["timestamp"] > joined["bought"]).all()


def test_the_script_makes_it_again_to_the_byte(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "scripts.make_sample", "--out", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=250)
    for path in SAMPLE_FOLDER.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name
