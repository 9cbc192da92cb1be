"""`RetrievalConfig`: everything that decides how retrieval is fitted."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from typing import Any

from rag_rec.core import ConfigError, read_json
from rag_rec.retrieval.base import Source
from rag_rec.retrieval.fit_data import Budget
from rag_rec.retrieval.item_item import SOURCES, Popularity
from rag_rec.retrieval.ranker.lambdamart import RankerConfig
from rag_rec.retrieval.weighting.search import SearchConfig
from rag_rec.retrieval.weighting.weights import REPLAY

_RESERVED = {REPLAY, "profile", "popularity"}


@dataclass(frozen=True, slots=True)
class RetrievalConfig:
    """Settings of a fit of retrieval.

    Attributes:
        sources: The evidence that is summed, each source after those it needs. Add one of your
            own with ``RetrievalConfig(sources=(*SOURCES, Mine()))``.
        popularity: Fills lists and serves users without a history.
        ranker: The learned order of the best candidates.
        given: A second ranker, for candidates that are given and not retrieved; none by default.
        search: The search for the weights of the sources.
        budget: Limits of memory and of comparisons; the same for all.

    Raises:
        ConfigError: If sources share a name, have none that is usable, or miss one they need.
    """

    sources: tuple[Source, ...] = SOURCES
    popularity: Popularity = field(default_factory=Popularity)
    ranker: RankerConfig = field(default_factory=RankerConfig)
    given: RankerConfig | None = None
    search: SearchConfig = field(default_factory=SearchConfig)
    budget: Budget = field(default_factory=Budget)

    def __post_init__(self) -> None:
        if not self.sources:
            raise ConfigError("RetrievalConfig.sources is empty; give at least one source")
        earlier: dict[str, Source] = {}
        for source in self.sources:
            _check(source, earlier)
            earlier[source.name] = source

    @classmethod
    def within(
        cls, memory_gib: float, *, ranker: bool = True, given: bool = False
    ) -> RetrievalConfig:
        """Return the defaults with another memory budget, or other rankers."""
        return cls(
            budget=Budget(memory_gib),
            ranker=RankerConfig(enabled=ranker),
            given=RankerConfig(depth=20, rounds=300, truncation=20) if given else None,
        )

    def as_document(self) -> dict[str, Any]:
        """Return the settings as JSON values, as the manifest of an index keeps them."""
        sources = {
            source.name: {"weight": source.weight}
            | (asdict(source) if is_dataclass(source) else {})
            for source in self.sources
        }
        rest = asdict(replace(self, sources=SOURCES)) | {"sources": sources}
        return read_json(json.dumps(rest))


def _check(source: Source, earlier: dict[str, Source]) -> None:
    name = source.name
    if name in earlier or name in _RESERVED or not name.isidentifier():
        raise ConfigError(
            f"the source name '{name}' is taken or no identifier; give the source another name"
        )
    for needed in source.needs:
        if needed not in earlier:
            raise ConfigError(
                f"source '{name}' needs '{needed}'; put that before it in RetrievalConfig.sources"
            )
        if earlier[needed].uses_log and not source.uses_log:
            raise ConfigError(
                f"source '{name}' needs '{needed}', which uses the log; set uses_log of '{name}'"
            )
