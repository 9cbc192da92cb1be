"""A source is one file: one of one's own is fitted, weighted, ranked with, explained and served."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from rag_rec import ConfigError, Dataset, ItemIndex, UserHistory, build_index
from rag_rec.retrieval import (
    SOURCES,
    Diagnostics,
    FitData,
    Matrices,
    RankerConfig,
    RetrievalConfig,
    SearchConfig,
    Source,
    open_retriever,
)
from rag_rec.retrieval.item_item import Ease
from rag_rec.testing import HashEmbedder, check_retriever


@dataclass(frozen=True)
class SameBrand(Source):
    """Items of one brand, where their descriptions are not already alike."""

    weight: float = 0.7
    strength: float = 1.0

    name = "same_brand"
    sentence = "From the maker of “{}”."
    features = ("last",)
    needs = ("content",)
    uses_log = False

    def fit(self, data: FitData, fitted: Matrices) -> sparse.csr_array:
        brands = np.array([names[0] for names in data.attributes])
        same = (brands[:, None] == brands[None, :]).astype(np.float32) * self.strength
        np.fill_diagonal(same, 0)
        assert fitted["content"].shape == same.shape
        return sparse.csr_array(same)


class Unfitting(Source):
    """Has a name only."""

    def __init__(self, name: str, needs: tuple[str, ...] = (), *, uses_log: bool = True) -> None:
        self.name, self.needs, self.uses_log = name, needs, uses_log

    def fit(self, data: FitData, fitted: Matrices) -> sparse.csr_array:
        raise AssertionError(f"{self.name} is never fitted on {data.n_items} with {fitted}")


@pytest.fixture(scope="module")
def brands(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Users stay with a brand, whose first items are the most wanted; titles say nothing."""
    folder, rng = tmp_path_factory.mktemp("brands"), np.random.default_rng(4)
    rows = [f"i{n},thing {rng.integers(10**6)},brand {n % 12}" for n in range(120)]
    (folder / "items.csv").write_text("item_id,title,brand\n" + "\n".join(rows))
    lines = ["user_id,item_id"]
    for user in range(300):
        wanted = 0.6 ** np.arange(10)
        taken = rng.choice(10, 6, replace=False, p=wanted / wanted.sum())[::-1] * 12 + user % 12
        lines += [f"u{user},i{item}" for item in taken]
    (folder / "log.csv").write_text("\n".join(lines))
    return Dataset.load(items=folder / "items.csv", interactions=folder / "log.csv")


def index_of(data: Dataset, folder: Path, config: RetrievalConfig) -> ItemIndex:
    build_index(data, folder, embedder=HashEmbedder(), retrieval=config)
    return ItemIndex.open(folder, HashEmbedder())


OFF = RankerConfig(enabled=False)
GIVEN = SearchConfig(enabled=False)
RANKER = RankerConfig(min_lists=50, rounds=30, min_leaf=20)


def test_a_source_of_ones_own_is_served_without_being_registered(
    brands: Dataset, tmp_path: Path
) -> None:
    config = RetrievalConfig(
        sources=(*SOURCES, SameBrand()), ranker=replace(RANKER, enabled=False), search=GIVEN
    )
    index = index_of(brands, tmp_path / "index", config)
    record = index.manifest.retrieval["sources"]["same_brand"]
    assert (record["weight"], record["sentence"]) == (0.7, "From the maker of “{}”.")
    assert record["entries"] == 120 * 9
    retriever = open_retriever(index)
    check_retriever(retriever, index, [index.history("u3"), UserHistory(), UserHistory.of("i3")])
    found = retriever.retrieve([UserHistory.of("i3")], 9)[0]
    assert all(index.item_by_id(c.item_id).brand == "brand 3" for c in found)
    assert all(candidate.sources["same_brand"] == 1 for candidate in found)
    index.close()


def test_it_is_weighted_ranked_with_and_measured(brands: Dataset, tmp_path: Path) -> None:
    config = RetrievalConfig(sources=(*SOURCES, SameBrand()), ranker=RANKER, search=GIVEN)
    index = index_of(brands, tmp_path / "index", config)
    retrieval = index.manifest.retrieval
    assert retrieval["fusion"] == "ranker"
    assert list(retrieval["sources"]) == [source.name for source in config.sources]
    model = (index.folder / "evidence" / "ranker.txt").read_text()
    names = next(line for line in model.splitlines() if line.startswith("feature_names"))
    assert "same_brand_last" in names
    assert "same_brand_decayed" not in names
    assert names.index("content_smoothed_decayed") < names.index("content_decayed")
    history = index.history("u3")
    parts = Diagnostics(index).parts([history], 4, mask=True)
    assert {index.items["brand"][int(row)] for row in parts["same_brand"][0]} == {"brand 3"}
    rows = np.array([[index.row_of["i3"], index.row_of["i4"]]], np.int32)
    scores = Diagnostics(index).scores([history], rows)
    assert scores["same_brand"][0, 0] > scores["same_brand"][0, 1] == 0
    index.close()


def test_its_sentence_explains_what_it_alone_speaks_for(brands: Dataset, tmp_path: Path) -> None:
    config = RetrievalConfig(sources=(*SOURCES[2:3], SameBrand(weight=50.0)))
    index = index_of(brands, tmp_path / "index", config)
    retriever = open_retriever(index)
    found = [c.item_id for c in retriever.retrieve([UserHistory.of("i3")], 9)[0]]
    links = retriever.explain(UserHistory.of("i3"), found)
    title = index.item_by_id("i3").title
    assert {link.text for link in links.values()} == {f"From the maker of “{title}”."}
    assert "i4" not in retriever.explain(UserHistory.of("i3"), ["i4"])
    index.close()


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ((), "give at least one source"),
        ((Ease(), Ease()), "'ease' is taken"),
        ((Unfitting("history"),), "'history' is taken"),
        ((Unfitting("no/name"),), "no identifier"),
        ((SameBrand(),), "'same_brand' needs 'content'; put that before it"),
        ((Ease(), Unfitting("text", ("ease",), uses_log=False)), "'ease', which uses the log"),
    ],
)
def test_sources_that_do_not_go_together_are_refused(
    sources: tuple[Source, ...], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        RetrievalConfig(sources=sources)


def test_the_settings_of_every_source_are_in_the_document() -> None:
    def document(*sources: Source) -> Mapping[str, object]:
        return RetrievalConfig(sources=sources).as_document()

    assert document(Ease())["sources"] == {
        "ease": {"weight": 0.3, "ridge": 300.0, "n_neighbours": 300}
    }
    assert document(Ease(ridge=1.0)) != document(Ease())
    assert document(Unfitting("mine"))["sources"] == {"mine": {"weight": 1.0}}


def test_a_title_that_looks_like_a_template_is_only_text(tmp_path: Path) -> None:
    rows = 'item_id,title,brand\na,"{} {0.__class__} %s",x\nb,Pot,x\n'
    (tmp_path / "items.csv").write_text(rows)
    data = Dataset.load(items=tmp_path / "items.csv")
    config = RetrievalConfig(sources=(*SOURCES, SameBrand()))
    index = index_of(data, tmp_path / "index", config)
    links = open_retriever(index).explain(UserHistory.of("a"), ["b"])
    index.close()
    # the marks of bold text are gone, as from every text that is shown
    assert links["b"].text.endswith("“{} {0.class} %s”.")
