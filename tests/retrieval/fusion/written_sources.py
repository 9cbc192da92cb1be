"""Two sources whose matrices are written out, one without entries, and an index of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import sparse

from rag_rec import Dataset, build_index
from rag_rec.retrieval import FitData, Matrices, RetrievalConfig, Source
from rag_rec.testing import HashEmbedder

N = 6
ITEMS = """item_id,title,price,in_stock
a,Anvil,10,true
b,Bucket,20,true
c,Cup,30,true
d,Drum,,true
e,Ewer,50,true
f,Fan,60,false
"""
EVENTS = {"u1": "abcd", "u2": "eabc", "u3": "eab", "u4": "ea", "u5": "ea"}  # a 5, e 4, ..., f 0
LOG = "user_id,item_id\n" + "".join(f"{u},{i}\n" for u, taken in EVENTS.items() for i in taken)
ENTRIES = {"one": {"ab": 3, "ac": 1, "bc": 2}, "two": {"ad": 4, "bd": 1, "bf": 9}, "none": {}}
WEIGHTS = {"one": 1.0, "two": 0.5, "none": 2.0}


def written(name: str) -> np.ndarray:
    matrix = np.zeros((N, N), np.float32)
    for (row, column), value in ENTRIES[name].items():
        matrix["abcdef".index(row), "abcdef".index(column)] = value
    return matrix


@dataclass(frozen=True)
class Written(Source):
    """A source whose matrix is written above."""

    name: str
    weight: float

    @property
    def sentence(self) -> str:
        return f"{self.name} after “{{}}”."

    def fit(self, data: FitData, fitted: Matrices) -> sparse.csr_array:  # noqa: ARG002
        order = ["ABCDEF".index(title[0]) for title in data.titles]
        return sparse.csr_array(written(self.name)[np.ix_(order, order)])


def build(folder: Path) -> Path:
    """Return the folder of an index of the items, the log and the sources above."""
    (folder / "items.csv").write_text(ITEMS)
    (folder / "log.csv").write_text(LOG)
    data = Dataset.load(items=folder / "items.csv", interactions=folder / "log.csv")
    config = RetrievalConfig(sources=tuple(Written(*pair) for pair in WEIGHTS.items()))
    build_index(data, folder / "index", embedder=HashEmbedder(), retrieval=config)
    return folder / "index"


def scores_of(weights: dict[str, float]) -> dict[str, float]:
    """Return the weighted sum, each source scaled to unit standard deviation."""
    history = np.array([weights.get(item, 0) for item in "abcdef"])
    total = sum(WEIGHTS[name] / written(name).std() * written(name) for name in ("one", "two"))
    return dict(zip("abcdef", history @ total, strict=True))
