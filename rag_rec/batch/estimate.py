"""What a run would take, before it takes it: users, requests, tokens, cost."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel

from rag_rec.batch.engines.base import Limits, Ready, prepare
from rag_rec.batch.limits import Control
from rag_rec.batch.store.ids import IdSet
from rag_rec.batch.store.job import finished_in, key_of
from rag_rec.batch.users import BadUser, BatchUser, read_users
from rag_rec.llm import CachedModel, Request
from rag_rec.recommender import Recommender

_SAMPLE = 300


class Estimate(BaseModel):
    """What a run would take.

    Attributes:
        users: Users to recommend for.
        finished: Rows that the output or its failures hold already.
        bad_rows: Rows that would go to the failures at once.
        sampled: Users whose prompts were made to know the rest.
        requests: First requests to the model; re-asks and retries come on top.
        cached: Requests that the reply cache would answer.
        prompt_tokens: Tokens read.
        exact: Whether they are counted with the model's tokenizer.
        completion_tokens_at_most: Tokens written, if every reply is as long as it may be.
        cost_at_most: Price of both, where prices are known.
        currency: What the price is in.
    """

    users: int
    finished: int
    bad_rows: int
    sampled: int
    requests: int
    cached: int
    prompt_tokens: int
    exact: bool
    completion_tokens_at_most: int
    cost_at_most: float | None
    currency: str | None


def estimate(
    recommender: Recommender,
    control: Control,
    users: Path,
    *,
    columns: Mapping[str, str],
    out: Path | None = None,
) -> Estimate:
    """Reads the whole user file and makes the prompts of some hundred users; sends nothing."""
    census = _Census()
    finished = finished_in(out) if out else IdSet()
    for user in census.take(read_users(users, columns), finished):
        del user
    finished.close()
    ready, failures = prepare(recommender, census.sample, Limits())
    share = census.users / max(1, len(census.sample))
    asked = [one.job.request for one in ready if one.job.request is not None]
    model = recommender.model
    hits = [r for r in asked if isinstance(model, CachedModel) and model.holds(r)]
    paid = [r for r in asked if not any(r is hit for hit in hits)]
    read = round(share * sum(_prompt_tokens(recommender, ready)) * len(paid) / max(1, len(asked)))
    written = round(share * sum(request.max_tokens for request in paid))
    prices = control.prices
    return Estimate(
        users=census.users - round(share * len(failures)),
        finished=census.finished,
        bad_rows=census.bad + round(share * len(failures)),
        sampled=len(census.sample),
        requests=round(share * len(paid)),
        cached=round(share * len(hits)),
        prompt_tokens=read,
        exact=bool(model and model.tokens.exact),
        completion_tokens_at_most=written,
        cost_at_most=prices.cost(read, written) if prices else None,
        currency=prices.currency if prices else None,
    )


@dataclass(slots=True)
class _Census:
    """Counts of a user file, and a sample of its users (Vitter's algorithm R)."""

    users: int = 0
    finished: int = 0
    bad: int = 0
    sample: list[BatchUser] = field(default_factory=list)

    def take(self, users: Iterator[BatchUser | BadUser], finished: IdSet) -> Iterator[BatchUser]:
        """Users that would be recommended for, counted and some of them kept."""
        seen = IdSet()
        drawn = random.Random(0)  # noqa: S311 - a sample
        for user in users:
            known = isinstance(user, BatchUser)
            if key_of(user.custom_id if known else None, user.row) in finished:
                self.finished += 1
            elif not known or not seen.add(user.custom_id):
                self.bad += 1
            else:
                self.users += 1
                at = len(self.sample) if self.users <= _SAMPLE else drawn.randrange(self.users)
                if at < _SAMPLE:
                    self.sample[at : at + 1] = [user]
                yield user
        seen.close()


def _prompt_tokens(recommender: Recommender, ready: Sequence[Ready]) -> Iterator[int]:
    for one in ready:
        if one.job.request is not None and recommender.model is not None:
            yield tokens_of(recommender, one.job.request)


def tokens_of(recommender: Recommender, request: Request) -> int:
    """Tokens of a request, as its model counts them."""
    if recommender.model is None:
        return 0
    counter = recommender.model.tokens
    texts = [message.content for message in request.messages]
    return sum(counter.count(texts)) + counter.per_message * len(texts)
