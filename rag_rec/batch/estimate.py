"""Estimate of a run before it begins: users, requests, tokens, cost."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from pathlib import Path

from rag_rec.batch.engines.base import BatchPipeline, UserState, omitted_in
from rag_rec.batch.limits import RunLimiter
from rag_rec.batch.store.finished import finished_in, pending_rows
from rag_rec.batch.users import BadUser, BatchUser, UserRow, read_users
from rag_rec.core import Model
from rag_rec.llm import CachedModel, Request, as_sent, prompt_tokens
from rag_rec.profiles import TasteProfiler
from rag_rec.requests import RequestReader

_SAMPLE = 300


class Estimate(Model):
    """Users, requests, tokens and cost of a run.

    Attributes:
        users: Users to recommend for.
        finished: Rows that the output or its failures hold already.
        bad_rows: Rows that would go to the failures at once.
        sampled: Users whose prompts were made; the numbers below are scaled up from them.
        requests: Requests to the model, those that read wishes and write taste profiles included;
            re-asks and retries come on top.
        cached: Requests that the reply cache would answer.
        prompt_tokens: Tokens read.
        exact: True if they are counted with the model's tokenizer.
        completion_tokens_at_most: Tokens written, if every reply is as long as it may be.
        cost_at_most: Price of both, where prices are known.
        currency: Currency of the price.
        omitted: Steps that were left out because they would ask a model, one line each.
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
    omitted: tuple[str, ...] = ()


def estimate(
    pipeline: BatchPipeline,
    limiter: RunLimiter,
    users: Path,
    *,
    columns: Mapping[str, str],
    out: Path | None = None,
) -> Estimate:
    """Read the whole user file and make the prompts of some hundred users; send nothing."""
    rows, finished = count(), finished_in(out)
    counted = (row for row, _ in zip(read_users(users, columns), rows, strict=False))
    sample, n_users, bad = _sampled(pending_rows(counted, finished))
    finished.close()
    ready, failures = pipeline.preview(sample)
    share = n_users / max(1, len(sample))
    model = pipeline.recommender.model
    asked = _requests(pipeline, ready)
    paid = [r for r in asked if not (isinstance(model, CachedModel) and model.holds(r))]
    read = round(share * sum(prompt_tokens(model.tokens, r) for r in paid)) if model else 0
    written = round(share * sum(as_sent(model, r).max_tokens for r in paid)) if model else 0
    prices = limiter.prices
    return Estimate(
        users=n_users - round(share * len(failures)),
        finished=next(rows) - n_users - bad,
        bad_rows=bad + round(share * len(failures)),
        sampled=len(sample),
        requests=round(share * len(paid)),
        cached=round(share * (len(asked) - len(paid))),
        prompt_tokens=read,
        exact=bool(model and model.tokens.exact),
        completion_tokens_at_most=written,
        cost_at_most=prices.cost(read, written) if prices else None,
        currency=prices.currency if prices else None,
        omitted=omitted_in(ready),
    )


def _requests(pipeline: BatchPipeline, users: Sequence[UserState]) -> list[Request]:
    """Return the requests for the lists of some users, and those that come before them."""
    recommender = pipeline.recommender
    reader = RequestReader(recommender.index, seed=recommender.settings.seed)
    profiler = TasteProfiler(recommender.index)
    states = [one.state for one in users]
    words = [reader.request_for(one.user.request) for one in users if one.user.request]
    profiles = [profiler.facts(state.history).request() for state in states if state.profile]
    return [*words, *profiles, *(call for state in states for call in state.calls)]


def _sampled(rows: Iterable[UserRow]) -> tuple[list[BatchUser], int, int]:
    """Return some users, the number of all, and that of bad rows (Vitter's algorithm R)."""
    sample: list[BatchUser] = []
    n_users = bad = 0
    drawn = random.Random(0)  # noqa: S311 - a sample
    for user in rows:
        if isinstance(user, BadUser):
            bad += 1
            continue
        n_users += 1
        at = len(sample) if n_users <= _SAMPLE else drawn.randrange(n_users)
        if at < _SAMPLE:
            sample[at : at + 1] = [user]
    return sample, n_users, bad
