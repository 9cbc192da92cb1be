"""Writing the sample's four files, byte for byte the same for one seed."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from .catalog import Catalog, Item
from .reviewing import Review
from .shopping import Purchase


def write_items(path: Path, catalog: Catalog) -> None:
    """items.jsonl, in catalog order."""
    _write_lines(path, (_item(item) for item in catalog.items.values()))


def write_log(path: Path, log: Iterable[Purchase]) -> None:
    """interactions.csv, ordered by time; a rating nobody gave stays empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["user_id", "item_id", "timestamp", "rating"])
    for row in log:
        writer.writerow([row.user_id, row.item_id, row.moment, row.rating if row.rated else ""])
    _write(path, out.getvalue())


def write_reviews(path: Path, reviews: Iterable[Review]) -> None:
    """reviews.jsonl, ordered and numbered by time."""
    _write_lines(path, (_review(n, review) for n, review in enumerate(reviews, start=1)))


def write_planted(path: Path, content: Mapping[str, Any]) -> None:
    """planted.json with one line for each user, pair and set, so that changes can be read."""
    parts = [f"{json.dumps(key)}: {_block(value)}" for key, value in content.items()]
    _write(path, "{\n" + ",\n".join(parts) + "\n}\n")


def _block(value: object) -> str:
    """One line for each entry of an object, or of a list of objects; anything else on one line."""
    if isinstance(value, dict):
        entries = cast("dict[str, object]", value)
        return "{\n" + ",\n".join(f"  {_dump(k)}: {_dump(v)}" for k, v in entries.items()) + "\n}"
    if isinstance(value, list):
        rows = cast("list[object]", value)
        spread = bool(rows) and isinstance(rows[0], dict)
        return "[\n" + ",\n".join(f"  {_dump(r)}" for r in rows) + "\n]" if spread else _dump(rows)
    return _dump(value)


def _item(item: Item) -> dict[str, Any]:
    return {
        "item_id": item.id,
        "title": item.title,
        "description": item.description,
        "brand": item.brand,
        "price": item.price,
        "categories": list(item.categories),
        "released": item.released.isoformat(),
        "in_stock": item.in_stock,
    }


def _review(number: int, review: Review) -> dict[str, Any]:
    return {
        "review_id": f"rev-{number:04}",
        "item_id": review.item_id,
        "user_id": review.user_id,
        "rating": review.rating,
        "text": review.text,
        "timestamp": review.moment,
    }


def _write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    _write(path, "".join(f"{_dump(row)}\n" for row in rows))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
