"""Contract suites: the duties of every implementation of a protocol, the library's and yours.

Each raises AssertionError with a plain reason.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from rag_rec.constraints import (
    ItemRules,
    Tally,
    failed,
    limits_items,
    limits_lists,
    n_new_items,
    without,
)
from rag_rec.core import (
    Candidate,
    Constraints,
    RecommendationList,
    Truncated,
    UserHistory,
    parse_json,
)
from rag_rec.grounding import answer_schema
from rag_rec.index import Embedder, ItemIndex
from rag_rec.llm import (
    ChatModel,
    Message,
    Ranking,
    Request,
    answers_of,
    scores_schema,
    scores_text,
)
from rag_rec.retrieval import FitData, Matrices, Retriever, Source


def check_chat_model(model: ChatModel) -> None:
    """Check order and length, the schema, the token bound, usage and the token counter."""
    given = cast("object", model)  # whatever the caller's type checker believed
    _require(isinstance(given, ChatModel), "it lacks a member of the ChatModel protocol")
    _require(model.generate([]) == [], "an empty batch must give an empty list")
    schemas = [answer_schema(n_labels=4, k=k, reason_chars=0) for k in (1, 2, 3)]
    requests = [_request(f"Choose {k} of 4.", schema) for k, schema in enumerate(schemas, 1)]
    done: list[int] = []
    completions = model.generate(requests, done.append)
    _require(len(completions) == len(requests), "one completion a request")
    _require(sum(done) == len(requests), "on_done must be told of every request")
    for k, completion in enumerate(completions, 1):
        _require(completion.error is None, f"the request failed: {completion.error}")
        _check_reply(completion.text, k)
        usage = completion.counted
        _require(usage.calls == 1, "one call, no hidden retries")
        _require(usage.wall_s > 0, "the wall time must be filled")
        _require(usage.prompt_tokens > 0, "prompt tokens must be filled")
        _require(usage.completion_tokens > 0, "completion tokens must be filled")
    short = model.generate([_request("Write a long story.", None, max_tokens=5)])[0]
    _require(short.counted.completion_tokens <= 5 + 1, "max_tokens must bound the reply")
    if short.counted.completion_tokens >= 5:
        _require(isinstance(short.error, Truncated), "a cut reply must say so")
    odd = model.generate([_request("a lone \ud800 surrogate and a \x00", schemas[0])])
    _require(len(odd) == 1, "text that cannot be encoded must not raise")
    _check_counter(model, requests[0])
    model.close()
    model.close()


def check_scores(model: ChatModel) -> None:
    """Check that a model scores candidates: one finite number a label, alone or together."""
    _require("scores" in answers_of(model), "'scores' must be named in its answers")
    asked = [ranking_request(("tea", "garden twine", "a bowl")[:n]) for n in (1, 2, 3)]
    done: list[int] = []
    completions = model.generate(asked, done.append)
    _require(len(completions) == len(asked), "one completion a request")
    _require(sum(done) == len(asked), "on_done must be told of every request")
    for n, completion in enumerate(completions, 1):
        _require(completion.error is None, f"the request failed: {completion.error}")
        scores = parse_json(completion.text)
        _require(isinstance(scores, list) and len(scores) == n, f"{n} scores, not {scores}")
        _require(all(isinstance(score, float) for score in scores), f"no numbers: {scores}")
        _require(completion.text == scores_text(scores), "the text is that of `scores_text`")
        _require(completion.counted.prompt_tokens > 0, "prompt tokens must be filled")
        _require(completion.counted.wall_s > 0, "the wall time must be filled")
    alone = parse_json(model.generate(asked[2:])[0].text)
    together = parse_json(completions[2].text)
    _require(np.allclose(alone, together, atol=0.1), "scores do not depend on the batch")
    model.close()


def ranking_request(titles: Sequence[str]) -> Request:
    """Return a request to score titles that are labelled A, B, C, ..."""
    labels = tuple("ABCDEFGHIJKLMNOPQRST"[: len(titles)])
    lines = "\n".join(f"{label}. {title}" for label, title in zip(labels, titles, strict=True))
    messages = (
        Message("system", "You answer with the letter of the best item."),
        Message("user", f"Bought: a teapot\n{lines}\nWhich is bought next?"),
    )
    ranking = Ranking(labels, "Bought: a teapot", tuple(titles))
    return Request(messages, scores_schema(len(titles)), max_tokens=1, ranking=ranking)


def _check_reply(text: str, k: int) -> None:
    labels = [entry["label"] for entry in parse_json(text)["items"]]
    _require(len(labels) == k, f"the schema of this request asks for {k} entries: {text[:80]}")
    _require(all(1 <= label <= 4 for label in labels), f"labels out of range: {labels}")


def _check_counter(model: ChatModel, request: Request) -> None:
    counter = model.tokens
    _require(counter.count([]) == [], "counting nothing gives nothing")
    counts = counter.count(["", "tea", "tea and a teapot " * 20])
    _require(counts[0] == 0 and counts[0] < counts[1] < counts[2], f"odd counts: {counts}")
    messages = [message.content for message in request.messages]
    bound = sum(counter.count(messages)) + counter.per_message * (len(messages) + 1)
    seen = model.generate([request])[0].counted.prompt_tokens
    if counter.exact:
        _require(seen <= bound, f"the model read {seen} tokens, the counter allowed {bound}")


def _request(text: str, schema: dict[str, object] | None, max_tokens: int = 64) -> Request:
    system = Message("system", "You answer with JSON." if schema else "You write prose.")
    return Request((system, Message("user", text)), schema, max_tokens=max_tokens)


def check_embedder(embedder: Embedder) -> None:
    """Check vectors: unit float32 rows in order, the same for a text whatever the batch."""
    texts = ["a kettle", "", "zwölf Tassen Tee", "a kettle", "x" * 5_000, "naïve \U0001f375"]
    vectors = embedder.embed(texts)
    _require(vectors.dtype == np.float32, "vectors are float32")
    _require(vectors.shape == (len(texts), embedder.dimension), f"shape {vectors.shape}")
    _require(np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4), "rows have unit norm")
    _require(np.allclose(vectors[0], vectors[3], atol=1e-5), "equal texts have equal vectors")
    alone = embedder.embed(texts[2:3])[0]
    _require(np.allclose(alone, vectors[2], atol=1e-3), "a vector depends on its text only")
    _require(embedder.embed([]).shape == (0, embedder.dimension), "no texts, no rows")
    _require(bool(embedder.digest and embedder.name), "it needs a name and a digest")


def check_retriever(
    retriever: Retriever,
    index: ItemIndex,
    users: Sequence[UserHistory],
    *,
    may_fall_short: bool = False,
) -> None:
    """Check candidates: none seen, excluded or unavailable; unique; best first; full; explained.

    Args:
        retriever: The retriever.
        index: The index it proposes items of.
        users: Histories to try it with.
        may_fall_short: It may return fewer candidates than there are; `pools` fills them up.
    """
    for k in (1, 7, index.n_items + 5):
        lists = retriever.retrieve(users, k)
        _require(len(lists) == len(users), "one list a history")
        for history, candidates in zip(users, lists, strict=True):
            n_eligible = _check_candidates(candidates, index, history)
            wanted = min(k, n_eligible)
            enough = len(candidates) <= wanted if may_fall_short else len(candidates) == wanted
            _require(enough, f"{len(candidates)} of {wanted} candidates")
            _check_links(retriever, history, [candidate.item_id for candidate in candidates[:20]])
    _require(retriever.retrieve([], 5) == [], "no histories, no lists")
    first = retriever.retrieve(users[:1], 10)
    together = retriever.retrieve(users, 10)
    _require(first[0] == together[0], "a user's candidates do not depend on the batch")


def _check_candidates(
    candidates: Sequence[Candidate], index: ItemIndex, history: UserHistory
) -> int:
    """Check one user's candidates; return the number of items that are eligible."""
    allowed = eligible_items(index, history)
    ids = [candidate.item_id for candidate in candidates]
    _require(len(ids) == len(set(ids)), "an item is proposed twice")
    _require(set(ids) <= allowed, f"not eligible: {sorted(set(ids) - allowed)[:3]}")
    scores = [candidate.score for candidate in candidates]
    _require(scores == sorted(scores, reverse=True), "best first")
    _require(all(candidate.sources for candidate in candidates), "a candidate without a source")
    return len(allowed)


def _check_links(retriever: Retriever, history: UserHistory, item_ids: Sequence[str]) -> None:
    links = retriever.explain(history, item_ids)
    _require(set(links) <= set(item_ids), "an item is explained that was not asked for")
    _require(all(link.text for link in links.values()), "a link without a sentence")


def check_source(source: Source, data: FitData, fitted: Matrices) -> None:
    """Check a source's name and sentence, and its matrix: shape, type, values, repeatable.

    Args:
        source: The source.
        data: What it is fitted with.
        fitted: The matrices of the sources it needs, and the views of all sources.
    """
    _require(source.name.isidentifier(), f"the name {source.name!r} is not an identifier")
    _require(source.sentence.count("{}") == 1, "the sentence needs one {} for the title")
    _require(source.weight >= 0, "the weight is negative")
    views = source.views(data)
    for name, view in views.items():
        n_rows = cast("Any", view).shape[0]
        _require(n_rows == data.n_items, f"view {name} has {n_rows} rows")
    fit: Any = source.fit(data, fitted | views)  # scipy's types of sparse arrays are loose
    _require(fit.shape == (data.n_items, data.n_items), f"shape {fit.shape}")
    _require(fit.dtype == np.float32, f"type {fit.dtype} in place of float32")
    _require(bool(np.isfinite(fit.data).all() and (fit.data >= 0).all()), "values are 0 or more")
    _require(not fit.diagonal().any(), "an item does not speak for itself")
    again = source.fit(data, fitted | views)
    _require((fit != again).nnz == 0, "two fits of the same data differ")


def eligible_items(index: ItemIndex, history: UserHistory) -> set[str]:
    """Return the item ids that may be listed for a user."""
    constraints: Constraints = history.constraints
    blocked = set(constraints.exclude)
    if not constraints.allow_seen:
        blocked |= set(history.item_ids)
    if not constraints.allow_out_of_stock:
        blocked |= set(index.items.filter(~index.items["in_stock"])["item_id"])
    rules = ItemRules(constraints.model_copy(update={"allow_out_of_stock": True}))
    blocked |= {index.item_ids[row] for row in index.retired.nonzero()[0]}
    free = set(index.item_ids) - blocked
    if not limits_items(constraints):
        return free
    return {item_id for item_id in free if not rules.failed(index.item_by_id(item_id))}


def check_list(result: RecommendationList, index: ItemIndex, history: UserHistory, k: int) -> None:
    """Check the invariants of a list: full, unique, eligible, ranked, explained, serialisable.

    Where constraints may be relaxed or count brands and categories, an item must break exactly
    the rules that it names, and the list must be no shorter than necessary. New items are marked;
    a plain list whose constraints count nothing else has as many as are wanted or eligible.
    """
    allowed = eligible_items(index, history)
    ids = [slot.item_id for slot in result.items]
    _require(len(ids) == len(set(ids)), "an item is listed twice")
    if limits_lists(history.constraints) or history.constraints.relax:
        _check_relaxed(result, index, history, k)
    else:
        _require(len(ids) == min(k, len(allowed)), f"{len(ids)} items of {min(k, len(allowed))}")
        _require(set(ids) <= allowed, f"not eligible: {sorted(set(ids) - allowed)[:3]}")
    _check_new(result, index, history, k)
    _require((len(ids) == k) or result.shortfall is not None, "a short list must say why")
    _require([slot.rank for slot in result.items] == [*range(1, len(ids) + 1)], "ranks 1, 2, ...")
    said = all(slot.reason or slot.reason_status == "removed" for slot in result.items)
    _require(said, "a slot without a reason")
    filled = sum(slot.origin == "backfill" for slot in result.items)
    if result.outcome == "ok":
        _require(filled == 0, "ok, but with backfilled slots")
    if result.outcome in {"partial", "failed"}:
        _require(filled == result.repairs.backfilled > 0, "backfilled slots are counted")
    document = json.loads(result.model_dump_json())
    _require([item["item_id"] for item in document["items"]] == ids, "the JSON names the items")


def _check_new(result: RecommendationList, index: ItemIndex, history: UserHistory, k: int) -> None:
    new = {index.item_ids[row] for row in (index.popularity == 0).nonzero()[0]}
    marked = {slot.item_id for slot in result.items if slot.is_new}
    listed = {slot.item_id for slot in result.items}
    _require(marked == new & listed, "new items, and only these, are marked")
    n_wanted = n_new_items(history.constraints, k)
    said = len(marked) >= n_wanted or result.shortfall is not None
    _require(said, "a list that lacks new items must say so")
    if type(result) is RecommendationList and not limits_lists(history.constraints):
        possible = min(n_wanted, len(new & eligible_items(index, history)))
        _require(len(marked) >= possible, f"{len(marked)} of {possible} new items")


def _check_relaxed(
    result: RecommendationList, index: ItemIndex, history: UserHistory, k: int
) -> None:
    asked = history.constraints
    barred = set(asked.exclude) | (set() if asked.allow_seen else set(history.item_ids))
    given_up: set[str] = set()
    for slot in result.items:
        item = index.item_by_id(slot.item_id)
        _require(slot.item_id not in barred, f"{slot.item_id} is excluded or seen")
        _require(set(failed(item, asked)) <= set(slot.relaxed), f"{slot.item_id} breaks a rule")
        _require(set(slot.relaxed) <= set(asked.relax), "only what may be relaxed is relaxed")
        given_up |= set(slot.relaxed)
    items = [index.item_by_id(slot.item_id) for slot in result.items]
    left = without(asked, [name for name in asked.relax if name in given_up])
    _require(Tally(left, items).holds, "a count is broken that is not listed as relaxed")
    if len(items) == k:
        return
    weakest = without(asked, asked.relax)
    listed = {item.item_id for item in items}
    for item_id in set(index.item_ids) - barred - listed:
        item = index.item_by_id(item_id)
        addable = not failed(item, weakest) and not Tally(weakest, items).broken_by(item)
        _require(not addable, f"the list is short, though {item_id} could be added")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)
