"""Retrievers by name: the shipped ones, and those of others in an experiment."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import bm25s
import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import InMemoryVectorStore

from rag_rec import Dataset, ItemIndex, build_index, load_sample
from rag_rec.core import Candidate, Evidence, UserHistory
from rag_rec.core.errors import ConfigError
from rag_rec.evaluation import RETRIEVERS, Experiment, FittedIndex, Report, register_retriever
from rag_rec.evaluation.experiments.answers import read_answers
from rag_rec.evaluation.experiments.experiment import SplitSettings
from rag_rec.evaluation.experiments.retrievers import Shuffled
from rag_rec.evaluation.experiments.sampling import sample_users
from rag_rec.integrations import LangChainRetriever
from rag_rec.retrieval import open_retriever
from rag_rec.testing import HashEmbedder, check_retriever
from tests.experiment_help import experiment, run_with


class TitleBM25:
    """BM25 over titles: the last title is the query. Proposes nothing where no word is known."""

    def __init__(self, fitted: FittedIndex) -> None:
        self._index = fitted.index
        titles = self._index.items["title"].to_list()
        self._bm25 = bm25s.BM25()
        self._bm25.index(bm25s.tokenize(titles, show_progress=False), show_progress=False)

    def retrieve(self, histories: Sequence[UserHistory], k: int) -> list[list[Candidate]]:
        return [self._of(history, k) for history in histories]

    def explain(self, history: UserHistory, item_ids: Sequence[str]) -> dict[str, Evidence]:
        last = self._index.item_by_id(history.item_ids[-1]).title
        text = f"Its title is like “{last}”."
        return {
            item: Evidence(kind="history", text=text, item_id=item, similarity=0.5)
            for item in item_ids
        }

    def _of(self, history: UserHistory, k: int) -> list[Candidate]:
        scores = self._scores(self._index.item_by_id(history.item_ids[-1]).title)
        scores[~self._index.eligibility.mask(history)] = 0
        best = [ix for ix in np.argsort(-scores, kind="stable")[:k].tolist() if scores[ix] > 0]
        return [
            Candidate(self._index.item_ids[ix], float(scores[ix]), {"titles": rank})
            for rank, ix in enumerate(best, 1)
        ]

    def _scores(self, query: str) -> np.ndarray:  # type: ignore[type-arg]
        words: Any = bm25s.tokenize([query], show_progress=False, return_ids=False)
        known = [word for word in words[0] if word in self._bm25.vocab_dict]
        return self._bm25.get_scores(known) if known else np.zeros(self._index.n_items)


class HashEmbeddings(Embeddings):
    """LangChain's interface over the hashing embedder."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return HashEmbedder().embed(texts).tolist()

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


def by_vectors(fitted: FittedIndex) -> LangChainRetriever:
    """Titles in LangChain's vector store, explained by the index's own retriever."""
    store = InMemoryVectorStore(HashEmbeddings())
    rows = fitted.index.items.select("item_id", "title").iter_rows()
    store.add_documents([Document(title, id=item_id) for item_id, title in rows])
    return LangChainRetriever(store.as_retriever(), fitted.index, explainer=fitted.retriever)


@pytest.fixture(autouse=True)
def _registry_as_shipped() -> Iterator[None]:
    before = dict(RETRIEVERS)
    yield
    RETRIEVERS.clear()
    RETRIEVERS.update(before)


def variants_of(report: Report) -> dict[str, float]:
    return {row.name: row.value for row in report.rows if row.kind == "variant"}


def test_retrievers_of_others_are_compared_in_an_experiment_file(tmp_path: Path) -> None:
    register_retriever("titles", TitleBM25)
    register_retriever("langchain", by_vectors)
    (tmp_path / "mine.toml").write_text("""
        name = "Retrievers of others"
        ks = [5]
        metric = "ndcg@5"
        [data]
        sample = true
        [split]
        users = 60
        validation_users = 0
        [pipeline]
        k = 5
        candidates = 10
        reason_chars = 0
        [matrix]
        prompts = ["plain"]
        models = ["none", "good"]
        retrievers = ["fused", "titles", "langchain"]
        [sensitivity]
        variants = ["good plain titles"]
        users = 20
    """)
    out = tmp_path / "out"
    report = run_with(Experiment.load(tmp_path / "mine.toml"), out)
    values = variants_of(report)
    assert {"none", "none titles", "none langchain", "good plain titles"} <= set(values)
    assert values["none titles"] == values["good plain titles"]  # the model keeps the order
    assert len({values["none"], values["none titles"], values["none langchain"]}) == 3
    assert report.findings == []
    row = report.row("good plain titles")
    assert row is not None
    assert row.retriever == "titles"
    assert row.comparison is not None
    assert report.sensitivity["good plain titles"]["shuffled"].follows == pytest.approx(1)
    answers = read_answers(out / "answers" / "good_plain_titles--test.jsonl")
    assert all(len(answer.items) == 5 for answer in answers), "short proposals are filled up"
    reasons = {reason for answer in answers for reason in answer.reasons}
    assert any(reason.startswith("Its title is like “") for reason in reasons)


def test_a_retriever_that_knows_the_targets_voids_the_report(tmp_path: Path) -> None:
    targets = dict(zip(*answers_of_the_test(), strict=True))

    class Oracle(TitleBM25):
        def _of(self, history: UserHistory, k: int) -> list[Candidate]:
            known = targets.get(history.user_id or "")
            return ([Candidate(known, 9.0, {"titles": 1})] if known else []) + super()._of(
                history, k
            )

    register_retriever("oracle", Oracle)
    report = run_with(
        experiment(
            split={"users": 60, "validation_users": 0},
            matrix={"models": ["none"], "retrievers": ["oracle"]},
        ),
        tmp_path,
    )
    assert report.row("none oracle")
    assert any(finding.startswith("oracle: with another user's history") for finding in
               report.findings)  # fmt: skip


def answers_of_the_test() -> tuple[list[str], list[str]]:
    found = sample_users(load_sample(), SplitSettings(users=60, validation_users=0), seed=7)
    users = [task.key for task in found.test.tasks]
    return users, [target[0] for target in found.test.scorer.targets_of(users)]


def test_a_name_that_is_not_known_is_one_clear_line_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    for table in ('[matrix]\nmodels = ["none"]\nretrievers = ["faiss"]',
                  '[[variants]]\nname = "v"\nretriever = "faiss"'):  # fmt: skip
        path.write_text(f'name = "x"\nks = [10]\n[data]\nsample = true\n{table}\n')
        with pytest.raises(ConfigError) as caught:
            Experiment.load(path)
        said = str(caught.value)
        assert said.startswith(f"{path}: no retriever 'faiss'; there are fused, random, popularity")
        assert "register_retriever" in said
        assert "\n" not in said


def test_a_name_is_taken_once() -> None:
    register_retriever("titles", TitleBM25)
    register_retriever("titles", TitleBM25)
    for name in ("titles", "fused", "bm25"):
        with pytest.raises(ConfigError, match=f"there is a retriever '{name}' already"):
            register_retriever(name, by_vectors)


@pytest.fixture(scope="module")
def fitted(sample: Dataset, tmp_path_factory: pytest.TempPathFactory) -> FittedIndex:
    folder = tmp_path_factory.mktemp("fitted") / "index"
    build_index(sample, folder, embedder=HashEmbedder())
    index = ItemIndex.open(folder, HashEmbedder())
    return FittedIndex(index, open_retriever(index), seed=3)


@pytest.mark.parametrize("name", ["fused", "random", "popularity", "bm25", "item-knn"])
def test_shipped_retrievers_keep_the_contract(name: str, fitted: FittedIndex) -> None:
    users = [fitted.index.history(user) for user in fitted.index.user_ids[:8]]
    check_retriever(RETRIEVERS[name](fitted), fitted.index, users)


@pytest.mark.parametrize("name", ["random", "popularity"])
def test_ties_are_put_in_another_order_by_another_seed(name: str, fitted: FittedIndex) -> None:
    users = [fitted.index.history(user) for user in fitted.index.user_ids[:5]]
    other = FittedIndex(fitted.index, fitted.retriever, seed=4)
    first, again, changed = (RETRIEVERS[name](one).retrieve(users, 200)
                             for one in (fitted, fitted, other))  # fmt: skip
    assert first == again
    assert first != changed


def test_shuffled_candidates_are_the_same_ones_in_one_order_a_user(fitted: FittedIndex) -> None:
    users = [fitted.index.history(user) for user in fitted.index.user_ids[:5]]
    mixed = Shuffled(fitted.retriever, seed=1)
    plain, found = fitted.retriever.retrieve(users, 20), mixed.retrieve(users, 20)
    assert found == mixed.retrieve(users, 20)
    assert found != plain
    for some, same in zip(found, plain, strict=True):
        assert {c.item_id for c in some} == {c.item_id for c in same}
    items = [candidate.item_id for candidate in plain[0]]
    assert mixed.explain(users[0], items) == fitted.retriever.explain(users[0], items)


def test_the_document_names_the_retriever(tmp_path: Path) -> None:
    report = run_with(
        experiment(
            split={"users": 20, "validation_users": 0},
            matrix={"models": ["none"], "retrievers": ["random"]},
        ),
        tmp_path,
    )
    rows = {row["name"]: row for row in json.loads((tmp_path / "report.json").read_text())["rows"]}
    assert rows["none random"]["retriever"] == "random"
    assert rows["none random"]["value"] == rows["random"]["value"]
    assert report.row("none random")
