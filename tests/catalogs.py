"""Random catalogs with their logs and reviews, as files that are loaded and indexed for real."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from rag_rec import Dataset, ItemIndex, build_index
from rag_rec.testing import HashEmbedder

BRANDS = ["Acme", "Ölmühle", "Salt and Pepper", "O'Neil", "a,b", "=1+1", "N/A", "日本茶"]
CATEGORIES = [
    "Tea",
    "Black Tea",
    "Pots & Pans",
    "Books",
    "and",
    "not",
    "Ölfarben",
    "a > b",
    "Lamps",
]
WORDS = ["small", "kettle", "blue", "of iron", "for two", "no. 7", "<b>", "{items}", "☕", "1907"]


def random_index(rng: random.Random, folder: Path) -> ItemIndex:
    """An index of 1 to 60 items; many fields missing, some titles the same, some users new."""
    folder.mkdir()
    ids = [f"{rng.choice(['', 'x-', 'ü ', '0'])}{n}" for n in range(rng.randrange(1, 61))]
    users = [f"u{n}" for n in range(rng.randrange(1, 30))]
    _write(folder / "items.jsonl", [_item(rng, item_id) for item_id in ids])
    events = [
        {
            "user_id": user,
            "item_id": item_id,
            "timestamp": rng.randrange(1_500_000_000, 1_700_000_000),
        }
        for user in users
        for item_id in rng.sample(ids, min(len(ids), rng.randrange(1, 9)))
    ]
    _write(folder / "interactions.jsonl", events)
    reviews = [
        {"user_id": rng.choice(users), "item_id": rng.choice(ids), "text": _words(rng)}
        for _ in range(rng.choice([0, 30]))
    ]
    given: dict[str, Any] = {"items": folder / "items.jsonl"}
    given["interactions"] = folder / "interactions.jsonl"
    if reviews:
        _write(folder / "reviews.jsonl", reviews)
        given["reviews"] = folder / "reviews.jsonl"
    build_index(Dataset.load(**given), folder / "index", embedder=HashEmbedder())
    return ItemIndex.open(folder / "index", HashEmbedder())


def _item(rng: random.Random, item_id: str) -> dict[str, Any]:
    optional = {
        "description": _words(rng),
        "brand": rng.choice(BRANDS),
        "price": rng.choice([0.0, 5.0, 19.99, 20.0, 60.0, 1e6]),
        "categories": rng.sample(CATEGORIES, rng.randrange(4)),
        "released": rng.choice(["2018-05-01", "2019-01-01", "2021-12-31"]),
        "in_stock": rng.random() < 0.8,
    }
    kept = {name: value for name, value in optional.items() if rng.random() < 0.8}
    return {"item_id": item_id, "title": _words(rng)} | kept


def _words(rng: random.Random) -> str:
    return " ".join(rng.choices(WORDS, k=rng.randrange(1, 6)))


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
