"""A recommender inside LangChain: as a runnable, a retriever and a tool."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.tools import BaseTool, StructuredTool
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import override

from rag_rec.core import RecommendationList, UserHistory
from rag_rec.recommender import Recommender, User


class UserInput(BaseModel):
    """What the runnable and the tool take instead of a bare user.

    Attributes:
        user_id: A user of the log.
        item_ids: A history, oldest first; stands in for the log's.
        profile: Plain words about the user.
        k: List length.
    """

    model_config = ConfigDict(extra="forbid")

    user_id: str | None = Field(None, description="id of a known user")
    item_ids: list[str] | None = Field(None, description="ids of past items, oldest first")
    profile: str | None = Field(None, description="plain words about what the user likes")
    k: int | None = Field(None, ge=1, le=50, description="how many items to recommend")

    def history(self, recommender: Recommender) -> UserHistory:
        """The history this stands for."""
        if self.item_ids is None and self.user_id is not None:
            history = recommender.history_of(self.user_id)
        else:
            history = UserHistory.of(*(self.item_ids or ()), user_id=self.user_id)
        return history.model_copy(update={"profile": self.profile}) if self.profile else history


RunnableInput = User | dict[str, Any]


class RecommenderRunnable(Runnable[RunnableInput, RecommendationList]):
    """``invoke``, ``batch`` (one call of the pipeline) and their async twins.

    The input is a user id, a history, a list of item ids, or a dict of `UserInput`'s fields.
    ``astream`` yields the one finished list: a list is only valid once it is whole.
    """

    def __init__(self, recommender: Recommender) -> None:
        self.recommender = recommender

    @override
    def invoke(
        self, input: RunnableInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> RecommendationList:
        """One list."""
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
        """Lists in the order of the inputs, through one call of the pipeline."""
        users = [self._user(value) for value in inputs]
        lengths = {k for _, k in users}
        if len(lengths) > 1:
            configs = config if config is None or isinstance(config, dict) else list(config)
            return super().batch(
                list(inputs), configs, return_exceptions=return_exceptions, **kwargs
            )
        return self.recommender.recommend_many(
            [u for u, _ in users], lengths.pop() if users else None
        )

    def _one(self, value: RunnableInput) -> RecommendationList:
        user, k = self._user(value)
        return self.recommender.recommend(user, k)

    def _user(self, value: RunnableInput) -> tuple[User, int | None]:
        if not isinstance(value, dict):
            return value, None
        given = UserInput.model_validate(value)
        return given.history(self.recommender), given.k


class CandidateRetriever(BaseRetriever):
    """Retrieval alone, as documents: the page content is the item's text.

    The query is a user id of the log, or plain words about what is wanted.

    Attributes:
        recommender: Whose index and retriever to use.
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
        documents: list[Document] = []
        for rank, candidate in enumerate(found, 1):
            item = index.item_by_id(candidate.item_id)
            text = ". ".join(part for part in (item.title, item.description) if part)
            metadata = item.model_dump(mode="json", exclude={"title", "description"}) | {
                "title": item.title,
                "rank": rank,
                "score": candidate.score,
                "sources": dict(candidate.sources),
            }
            documents.append(Document(page_content=text, metadata=metadata, id=item.item_id))
        return documents


def recommend_tool(recommender: Recommender) -> BaseTool:
    """A tool ``recommend`` that answers with the JSON document of a list."""

    def recommend(
        user_id: str | None = None,
        item_ids: list[str] | None = None,
        profile: str | None = None,
        k: int | None = None,
    ) -> str:
        given = UserInput(user_id=user_id, item_ids=item_ids, profile=profile, k=k)
        return recommender.recommend(given.history(recommender), k).model_dump_json()

    return StructuredTool.from_function(
        recommend,
        name="recommend",
        description="Recommends items of the catalog for a known user, a list of past items, or "
        "plain words about what somebody likes. Returns JSON with items, titles and reasons.",
        args_schema=UserInput,
    )
