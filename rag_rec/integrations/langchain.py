"""LangChain in both directions.

`as_runnable`, `as_retriever` and `as_tool` put a recommender into a chain; `LangChainRetriever`
puts any LangChain retriever into a recommender.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.tools import BaseTool, StructuredTool
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from typing_extensions import override

from rag_rec.core import (
    Candidate,
    ConfigError,
    Evidence,
    Item,
    RagRecError,
    RecommendationList,
    UserHistory,
)
from rag_rec.index import ItemIndex
from rag_rec.recommender import Recommender, User
from rag_rec.retrieval import Retriever


class UserInput(BaseModel):
    """Input of the runnable and of the tool, where a bare user is not enough."""

    model_config = ConfigDict(extra="forbid")

    user_id: str | None = Field(None, description="id of a known user")
    item_ids: list[str] | None = Field(None, description="ids of past items, oldest first")
    profile: str | None = Field(None, description="plain words about what the user likes")
    k: int | None = Field(None, ge=1, le=50, description="how many items to recommend")

    def history(self, recommender: Recommender) -> UserHistory:
        """Return the history this stands for.

        Raises:
            DataError: If the user or an item is unknown.
        """
        if self.item_ids is None and self.user_id is not None:
            history = recommender.history_of(self.user_id)
        else:
            given = UserHistory.of(*(self.item_ids or ()), user_id=self.user_id)
            history = recommender.history_of(given)
        return history.model_copy(update={"profile": self.profile}) if self.profile else history


RunnableInput = User | dict[str, Any]

_SEARCH = "_get_relevant_documents"
"""The method that a LangChain retriever implements."""


def as_runnable(recommender: Recommender) -> RecommenderRunnable:
    """Return a recommender as a LangChain runnable."""
    return RecommenderRunnable(recommender)


def as_retriever(recommender: Recommender, k: int | None = None) -> CandidateRetriever:
    """Return a recommender's candidates as a LangChain retriever.

    Args:
        recommender: Its retriever and index are used, its model is not.
        k: Documents a query; by default the list length of the settings.
    """
    return CandidateRetriever(recommender=recommender, k=k or recommender.settings.k)


def as_tool(recommender: Recommender) -> BaseTool:
    """Return a tool ``recommend`` that answers with the JSON document of a list."""

    def recommend(**given: Any) -> str:
        user = UserInput(**given)
        return recommender.recommend(user.history(recommender), user.k).model_dump_json()

    return StructuredTool.from_function(
        recommend,
        name="recommend",
        description="Recommends items of the catalog for a known user, a list of past items, or "
        "plain words about what somebody likes. Returns JSON with items, titles and reasons.",
        args_schema=UserInput,
    )


class RecommenderRunnable(Runnable[RunnableInput, RecommendationList]):
    """``invoke``, ``batch`` (one call of the pipeline a list length) and their async twins.

    The input is a user id, a history, a list of item ids, or a dict of `UserInput`'s fields.
    ``astream`` yields the one finished list: a list is only valid once it is whole.
    """

    def __init__(self, recommender: Recommender) -> None:
        self.recommender = recommender

    @override
    def invoke(
        self, input: RunnableInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> RecommendationList:
        """Return one list."""
        return self._call_with_config(self._one, input, config, **kwargs)

    @override
    def batch(
        self,
        inputs: Sequence[RunnableInput],
        config: RunnableConfig | Sequence[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[RecommendationList]:
        """Return lists in the order of the inputs."""
        configs = config if config is None or isinstance(config, dict) else list(config)
        return self._batch_with_config(
            self._many, list(inputs), configs, return_exceptions=return_exceptions, **kwargs
        )

    def _one(self, value: RunnableInput) -> RecommendationList:
        history, k = self._user(value)
        return self.recommender.recommend(history, k)

    def _many(self, values: list[RunnableInput]) -> list[RecommendationList | Exception]:
        """Return a list, or the error of its input, for each input."""
        found: dict[int, RecommendationList | Exception] = {}
        users: dict[int | None, dict[int, UserHistory]] = {}
        for at, value in enumerate(values):
            try:
                history, k = self._user(value)
                users.setdefault(k, {})[at] = history
            except (RagRecError, ValidationError) as error:
                found[at] = error
        for k, some in users.items():
            lists = self.recommender.recommend_many(some.values(), k)
            found |= dict(zip(some, lists, strict=True))
        return [found[at] for at in range(len(values))]

    def _user(self, value: RunnableInput) -> tuple[UserHistory, int | None]:
        if not isinstance(value, dict):
            return self.recommender.history_of(value), None
        given = UserInput.model_validate(value)
        return given.history(self.recommender), given.k


class CandidateRetriever(BaseRetriever):
    """Retrieval alone, as documents: the page content is the item's text.

    The query is a user id of the log, or plain words about what is wanted.

    Attributes:
        recommender: The recommender whose index and retriever are used.
        k: Documents a query.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    recommender: Recommender
    k: int = 10

    @override
    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        index = self.recommender.index
        known = index.has_user(query)
        history = index.history(query) if known else UserHistory(profile=query)
        found = self.recommender.retriever.retrieve([history], self.k)[0]
        return [
            _document(index.item_by_id(candidate.item_id), candidate, rank)
            for rank, candidate in enumerate(found, 1)
        ]


def _document(item: Item, candidate: Candidate, rank: int) -> Document:
    text = ". ".join(part for part in (item.title, item.description) if part)
    metadata = item.model_dump(mode="json", exclude={"description"}) | {
        "rank": rank,
        "score": candidate.score,
        "sources": dict(candidate.sources),
    }
    return Document(page_content=text, metadata=metadata, id=item.item_id)


class LangChainRetriever:
    """A LangChain retriever as a `Retriever` of this library, for every kind of list.

    Each user becomes a query of plain words: the profile, then the titles of the last events, the
    latest first. A user without either has no query and no candidates. Where a retriever takes
    an argument ``k``, as those of vector stores do, it is asked for as many documents as are
    needed after what the user has had; others return as many as they were set up for. `Recommender`
    fills up what is missing with popular items.

    Args:
        retriever: A LangChain retriever, or any runnable from a query to documents. A document
            names its item in its metadata or by its own id.
        index: The catalog.
        id_key: Key of the item id in a document's metadata.
        n_titles: Titles of the history in a query.
        explainer: A retriever of the same index whose links explain the items, such as
            `rag_rec.retrieval.open_retriever`; by default items are not explained by the history.
    """

    def __init__(
        self,
        retriever: Runnable[str, list[Document]],
        index: ItemIndex,
        *,
        id_key: str = "item_id",
        n_titles: int = 5,
        explainer: Retriever | None = None,
    ) -> None:
        self._retriever = retriever
        self._index = index
        self._id_key = id_key
        self._n_titles = n_titles
        self._explainer = explainer
        self._takes_k = _takes_k(retriever)

    def retrieve(self, histories: Sequence[UserHistory], k: int) -> list[list[Candidate]]:
        """Return the candidates of each user in the order of the documents, at most ``k``.

        Raises:
            ConfigError: If documents are found, but none of them names an item of the index.
        """
        with ThreadPoolExecutor() as pool:
            return list(pool.map(self._candidates, histories, repeat(k)))

    def explain(self, history: UserHistory, item_ids: Sequence[str]) -> dict[str, Evidence]:
        """Return the explainer's links; none without an explainer."""
        return self._explainer.explain(history, item_ids) if self._explainer else {}

    def query(self, history: UserHistory) -> str:
        """Return the query of a user; empty if nothing is known of them."""
        known = [item_id for item_id in history.item_ids if item_id in self._index.row_of]
        last = list(dict.fromkeys(reversed(known)))[: self._n_titles]
        titles = [self._index.item_by_id(item_id).title for item_id in last]
        return ". ".join(part for part in (history.profile, *titles) if part)

    def _candidates(self, history: UserHistory, k: int) -> list[Candidate]:
        query = self.query(history)
        if not query:
            return []
        n = k + len({*history.item_ids, *history.constraints.exclude})
        more: dict[str, Any] = {"k": n} if self._takes_k else {}
        documents = self._retriever.invoke(query, **more)
        ids = [document.metadata.get(self._id_key, document.id) for document in documents]
        rows = [row for item_id in ids if (row := self._index.find(str(item_id))) is not None]
        if documents and not rows:
            raise ConfigError(
                f"LangChain retriever: none of {len(documents)} documents names an item of this "
                f"index, the first says {ids[0]!r}; put item ids into metadata['{self._id_key}'] "
                f"or set id_key to one of {sorted(documents[0].metadata)}"
            )
        free = self._index.eligibility.mask(history)
        kept = [row for row in dict.fromkeys(rows) if free[row]][:k]
        return [
            Candidate(self._index.item_ids[row], 1 / rank, {"langchain": rank})
            for rank, row in enumerate(kept, 1)
        ]


def _takes_k(retriever: Runnable[str, list[Document]]) -> bool:
    if not isinstance(retriever, BaseRetriever):
        return False
    parameters = inspect.signature(getattr(retriever, _SEARCH)).parameters
    return "k" in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())
