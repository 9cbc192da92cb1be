"""Items without text: no vector, no words, no neighbours, nothing in Chroma; their name stays."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from rag_rec import Candidate, Constraints, Dataset, ItemIndex, Recommender, UserHistory
from rag_rec import build_index as build
from rag_rec.cli.show import app as show
from rag_rec.index import Vectors, item_texts
from rag_rec.retrieval import SOURCES, FitData, RetrievalConfig, open_retriever, review_quotes
from rag_rec.retrieval.base import fit_all
from rag_rec.retrieval.fit_data import Budget
from rag_rec.testing import HashEmbedder, ScriptedModel, check_retriever

TITLES = {f"i{n}": f"Green tea no. {n}" if n % 2 else "" for n in range(1, 13)}
TOLD = {item_id for item_id, title in TITLES.items() if title}
SILENT = set(TITLES) - TOLD


class Noting(HashEmbedder):
    """Keeps the texts it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def embed(self, texts: Sequence[str], on_done: Callable[[int], None] | None = None) -> Vectors:
        self.texts += texts
        return super().embed(texts, on_done)


def dataset(folder: Path, titles: dict[str, str]) -> Dataset:
    rows = [{"item_id": i, "title": title, "price": 5} for i, title in titles.items()]
    (folder / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    log = [f"u{user},i{1 + (user + step) % 12}\n" for user in range(12) for step in range(4)]
    (folder / "log.csv").write_text("user_id,item_id\n" + "".join(log))
    texts = [*(f"u0,{i},Tea is fine for {i}\n" for i in titles), "u1,i1,<p></p>\n"]
    (folder / "reviews.csv").write_text("user_id,item_id,text\n" + "".join(texts))
    return Dataset.load(
        items=folder / "items.jsonl",
        interactions=folder / "log.csv",
        reviews=folder / "reviews.csv",
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("half")


@pytest.fixture(scope="module")
def embedder() -> Noting:
    return Noting()


@pytest.fixture(scope="module")
def index(folder: Path, embedder: Noting) -> ItemIndex:
    build(dataset(folder, TITLES), folder / "index", embedder=embedder)
    return ItemIndex.open(folder / "index", HashEmbedder())


def test_the_embedder_sees_texts_and_no_ids(index: ItemIndex, embedder: Noting) -> None:
    titles = [index.item_by_id(item_id).title for item_id in index.item_ids if item_id in TOLD]
    assert embedder.texts == [*titles, *(f"Tea is fine for {item_id}" for item_id in TITLES)]


def test_vectors_are_zeros_and_the_rows_are_not_in_chroma(index: ItemIndex) -> None:
    silent = [index.row_of[item_id] for item_id in sorted(SILENT)]
    assert not index.item_vectors[silent].any()
    assert {index.item_ids[row] for row in np.flatnonzero(index.has_vector)} == TOLD
    assert (index.store.count("items"), index.store.count("reviews")) == (6, 12)
    for row in np.flatnonzero(index.has_vector):
        ((found, cosines),) = index.store.query("items", index.item_vectors[row : row + 1], 12)
        assert (len(found), found[0]) == (6, row)
        assert cosines[0] == pytest.approx(1, abs=1e-5)
    told = [index.row_of[item_id] for item_id in sorted(TOLD)]
    assert index.store.documents("items", told) == [TITLES[item_id] for item_id in sorted(TOLD)]
    (blank,) = np.flatnonzero(~index.review_vectors.any(axis=1))
    assert index.review_texts([blank]) == ["-"]


def test_nothing_is_near_to_them(index: ItemIndex, folder: Path) -> None:
    near = index.nearest(-index.embedder.embed(["Green tea no."]), 12)[0]
    assert {index.item_ids[row] for row in near[0]} == TOLD
    assert (near[1] < 0).all()
    silent = index.row_of["i2"]
    assert len(index.nearest(index.item_vectors[silent : silent + 1], 3)[0][0]) == 0
    for item_id in ("i2", "i3"):
        done = CliRunner().invoke(
            show, ["--index", str(folder / "index"), "--item", item_id, "--json"]
        )
        document = json.loads(done.stdout)
        assert {other["item_id"] for other in document["nearest"]} <= TOLD
        assert bool(document["nearest"]) == (item_id in TOLD)


@pytest.mark.parametrize("exact_items", [40_000, 0], ids=["every pair", "clusters"])
def test_they_have_no_neighbours_by_text(index: ItemIndex, exact_items: int) -> None:
    data = FitData.of(index, item_texts(index.items), Budget(exact_items=exact_items))
    content = next(source for source in SOURCES if source.name == "content")
    views = content.views(data)
    found = views | fit_all([content], data, views)
    told = index.has_vector
    for name, matrix in found.items():
        entries = matrix.toarray()
        assert not entries[~told].any(), name
        assert not entries[:, ~told].any(), name
    assert found["vectors"].toarray()[told].any(axis=1).all()


@pytest.mark.parametrize("asked", [Constraints(), Constraints(max_price=9)])
def test_words_about_a_user_do_not_find_them(index: ItemIndex, asked: Constraints) -> None:
    user = UserHistory(profile="green tea", constraints=asked)
    retriever = open_retriever(index)
    found = retriever.retrieve([user], 12)[0]
    assert {c.item_id for c in found if "profile" in c.sources} == TOLD
    assert {c.item_id for c in found[:6]} == TOLD
    check_retriever(retriever, index, [user, UserHistory.of("i2"), index.history("u0")])


def test_a_history_without_text_leaves_the_taste_to_the_words(index: ItemIndex) -> None:
    words = UserHistory.of("i2", "i4").model_copy(update={"profile": "fine tea"})
    wanted = [[Candidate(item_id, 1.0, {}) for item_id in ("i2", "i3")]]
    with_history, without, none = (
        review_quotes(index, [user], wanted, 2)[0]
        for user in (words, UserHistory(profile="fine tea"), UserHistory.of("i2"))
    )
    assert with_history == without
    assert set(none) == {"i2", "i3"}
    only = review_quotes(index, [UserHistory.of("i2")], [wanted[0][:1]], 2)[0]
    assert [quote.similarity for quote in only["i2"]] == [0], "no text, no taste"


def test_prompts_call_them_by_their_id(index: ItemIndex) -> None:
    model = ScriptedModel('{"items": [{"label": 1, "reason": "It suits you."}]}')
    with Recommender(index, model) as recommender:
        recommender.recommend(["i2", "i3"], 3)
    text = "".join(message.content for message in model.requests[0].messages)
    assert "i2" in text
    assert TITLES["i3"] in text


def test_a_text_that_comes_later_is_embedded_and_one_that_goes_is_forgotten(
    tmp_path: Path,
) -> None:
    embedder = Noting()
    for titles, fresh in (
        ({"i1": "", "i2": "pot"}, ["pot"]),
        ({"i1": "cup", "i2": "pot"}, ["cup"]),
        ({"i1": "cup", "i2": ""}, []),
    ):
        rows = [json.dumps({"item_id": item_id, "title": t}) for item_id, t in titles.items()]
        (tmp_path / "items.jsonl").write_text("\n".join(rows))
        embedder.texts = []
        data = Dataset.load(items=tmp_path / "items.jsonl")
        _, n = build(data, tmp_path / "index", embedder=embedder)
        assert (embedder.texts, n) == (fresh, len(fresh))
        index = ItemIndex.open(tmp_path / "index", HashEmbedder())
        known = {index.item_ids[row] for row in np.flatnonzero(index.has_vector)}
        assert known == {item_id for item_id, title in titles.items() if title}
        index.close()


def test_a_catalog_without_any_text_is_served(tmp_path: Path) -> None:
    data = dataset(tmp_path, dict.fromkeys(TITLES, ""))
    embedder = Noting()
    config = RetrievalConfig.within(6, ranker=False)
    build(data, tmp_path / "index", embedder=embedder, retrieval=config)
    assert not set(TITLES) & set(embedder.texts)
    index = ItemIndex.open(tmp_path / "index", HashEmbedder())
    sources = index.manifest.retrieval["sources"]
    for name in ("content", "content_smoothed"):
        assert (sources[name]["entries"], sources[name]["weight"]) == (0, 0), name
    users = [index.history("u0"), UserHistory(profile="green tea"), UserHistory()]
    check_retriever(open_retriever(index), index, users)
    index.close()
