"""The bundled sample: a made-up shop with planted structure (docs/sample.md)."""

from __future__ import annotations

from pathlib import Path

from rag_rec.data.dataset import Dataset

SAMPLE_FOLDER = Path(__file__).parent / "sample"


def load_sample() -> Dataset:
    """The shop "Larch & Lantern": about 300 items, 430 customers, 1,500 and more reviews."""
    return Dataset.load(
        items=SAMPLE_FOLDER / "items.jsonl",
        reviews=SAMPLE_FOLDER / "reviews.jsonl",
        interactions=SAMPLE_FOLDER / "interactions.csv",
    )
