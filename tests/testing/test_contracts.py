"""Every implementation of a protocol keeps its contract, and a contract notices what breaks it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda
from scipy import sparse

from rag_rec import Candidate, Constraints, Evidence, ItemIndex, SentenceTransformerEmbedder
from rag_rec.core import UserHistory
from rag_rec.evaluation.experiments.retrievers import Shuffled
from rag_rec.index import Embedder
from rag_rec.integrations import LangChainRetriever
from rag_rec.llm import (
    AdmittedModel,
    CachedModel,
    ChatModel,
    Completion,
    OpenAdmission,
    OpenAIChatModel,
    Request,
)
from rag_rec.retrieval import (
    SOURCES,
    FitData,
    Matrices,
    Retriever,
    Source,
    open_retriever,
)
from rag_rec.testing import (
    ChatServer,
    HashEmbedder,
    check_chat_model,
    check_embedder,
    check_retriever,
    check_source,
)

# --- embedders --------------------------------------------------------------------------------


@pytest.mark.parametrize("embedder", [HashEmbedder(), SentenceTransformerEmbedder()])
def test_embedders_keep_the_contract(embedder: Embedder) -> None:
    check_embedder(embedder)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda v: v.astype(np.float64), "float32"),
        (lambda v: v * 2, "unit norm"),
        (lambda v: v[:-1], "shape"),
        (lambda v: np.roll(v, 1, axis=0), "equal"),
    ],
)
def test_a_faulty_embedder_is_noticed(fault: Callable[[Any], Any], message: str) -> None:
    class Faulty(HashEmbedder):
        def embed(self, texts: Sequence[str], on_done: Any = None) -> Any:
            return fault(super().embed(texts, on_done))

    with pytest.raises(AssertionError, match=message):
        check_embedder(Faulty())


# --- chat models ------------------------------------------------------------------------------


def test_layers_before_a_model_keep_the_contract(server: ChatServer, tmp_path: Path) -> None:
    check_chat_model(CachedModel(OpenAIChatModel("scripted", server.url), tmp_path / "c.sqlite"))
    check_chat_model(AdmittedModel(OpenAIChatModel("scripted", server.url), OpenAdmission()))


class Altered(AdmittedModel):
    """A model whose completions are spoiled."""

    def __init__(self, model: ChatModel, fault: Callable[[list[Completion]], Any]) -> None:
        super().__init__(model, OpenAdmission())
        self._fault = fault

    def generate(self, requests: Any, on_done: Any = None) -> Any:
        requests: list[Request] = list(requests)
        return self._fault(super().generate(requests, on_done)) if requests else []


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda done: done[:-1], "one completion a request"),
        (lambda done: done[::-1], "asks for 1 entries"),
        (lambda done: [dataclasses.replace(c, text="{}") for c in done], "items"),
        (
            lambda done: [
                dataclasses.replace(c, usage=c.usage.model_copy(update={"calls": 2})) for c in done
            ],
            "no hidden retries",
        ),
    ],
)
def test_a_faulty_model_is_noticed(
    server: ChatServer, fault: Callable[[list[Completion]], Any], message: str
) -> None:
    with pytest.raises((AssertionError, KeyError), match=message):
        check_chat_model(Altered(OpenAIChatModel("scripted", server.url), fault))


# --- retrievers -------------------------------------------------------------------------------


class ProposedBy:
    """A retriever whose candidates come from a function; another one explains them."""

    def __init__(self, propose: Any, explainer: Retriever) -> None:
        self.retrieve = propose
        self._explainer = explainer

    def explain(self, history: UserHistory, item_ids: Sequence[str]) -> dict[str, Evidence]:
        return self._explainer.explain(history, item_ids)


def users_of(index: ItemIndex) -> list[UserHistory]:
    some = [index.history(user) for user in sorted(index.user_ids)[:6]]
    cheap = some[0].model_copy(update={"constraints": Constraints(max_price=20)})
    return [*some, cheap, UserHistory(), UserHistory(profile="green tea")]


def langchain(index: ItemIndex) -> Retriever:
    documents = [Document(page_content="x", id=item_id) for item_id in index.item_ids]
    return LangChainRetriever(RunnableLambda(lambda _: documents[:60]), index)


@pytest.mark.parametrize(
    ("opened", "may_fall_short"),
    [
        (open_retriever, False),
        (lambda index: ProposedBy(open_retriever(index).retrieve, open_retriever(index)), False),
        (langchain, True),
    ],
    ids=["fused", "proposed", "langchain"],
)
def test_retrievers_keep_the_contract(
    hash_index: ItemIndex, opened: Callable[[ItemIndex], Retriever], may_fall_short: bool
) -> None:
    users = users_of(hash_index)
    check_retriever(opened(hash_index), hash_index, users, may_fall_short=may_fall_short)


def seen_too(fused: Retriever) -> Any:
    def propose(users: Sequence[UserHistory], k: int) -> list[list[Candidate]]:
        old = [Candidate(user.item_ids[0], 9.0, {"x": 1}) for user in users if user.item_ids]
        return [[*old[:1], *found][:k] for found in fused.retrieve(users, k)]

    return propose


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (seen_too, "not eligible|twice"),
        (lambda fused: Shuffled(fused, 3).retrieve, "best first"),
        (
            lambda fused: lambda users, k: [f[: k - 1] for f in fused.retrieve(users, k)],
            "of 1 cand",
        ),
        (lambda fused: lambda users, k: fused.retrieve(users[:1], k), "one list a history"),
    ],
)
def test_a_faulty_retriever_is_noticed(
    hash_index: ItemIndex, fault: Callable[[Retriever], Any], message: str
) -> None:
    fused = open_retriever(hash_index)
    with pytest.raises(AssertionError, match=message):
        check_retriever(ProposedBy(fault(fused), fused), hash_index, users_of(hash_index))


def test_links_to_other_items_are_noticed(hash_index: ItemIndex) -> None:
    fused = open_retriever(hash_index)

    class Chatty(ProposedBy):
        def explain(self, *_: object) -> dict[str, Evidence]:
            return {"other": Evidence(item_id="other", kind="history", text="It fits.")}

    with pytest.raises(AssertionError, match="not asked for"):
        check_retriever(Chatty(fused.retrieve, fused), hash_index, users_of(hash_index))


# --- sources ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fit_data(hash_index: ItemIndex) -> FitData:
    texts = [title or "" for title in hash_index.items["title"]]
    return FitData.of(hash_index, texts)


@pytest.fixture(scope="module")
def fitted(fit_data: FitData) -> Matrices:
    found: Matrices = {}
    for source in SOURCES:
        found |= source.views(fit_data)
    for source in SOURCES:
        found[source.name] = source.fit(fit_data, found)
    return found


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_sources_keep_the_contract(source: Source, fit_data: FitData, fitted: Matrices) -> None:
    check_source(source, fit_data, {k: m for k, m in fitted.items() if k != source.name})


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda m: m.astype(np.float64), "float32"),
        (lambda m: -m, "0 or more"),
        (lambda m: m[:-1], "shape"),
        (lambda m: m + sparse.eye_array(m.shape[0], dtype=np.float32), "itself"),
        (lambda m: m * np.float32(np.random.default_rng().random()), "two fits"),
    ],
)
def test_a_faulty_source_is_noticed(
    fault: Callable[[Any], Any], message: str, fit_data: FitData, fitted: Matrices
) -> None:
    class Faulty(type(SOURCES[0])):
        def fit(self, data: FitData, fitted: Matrices) -> sparse.csr_array:
            return sparse.csr_array(fault(super().fit(data, fitted)))

    with pytest.raises(AssertionError, match=message):
        check_source(Faulty(), fit_data, fitted)
