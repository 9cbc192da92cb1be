"""Scores in place of words: reading, orders, blending, rerankers, failures."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_rec import (
    Bundle,
    ConfigError,
    Dataset,
    ItemIndex,
    RecommendationRequest,
    Recommender,
    Settings,
    TopK,
    build_index,
)
from rag_rec.core import TransportError
from rag_rec.grounding import Unscored, read_scores
from rag_rec.llm import Answer, CachedModel, Completion, Request, scores_text
from rag_rec.pipeline import Blend, blended_scores
from rag_rec.prompting import load_variant, prompt_folder, shuffled_orders
from rag_rec.testing import HashEmbedder, ScriptedModel, check_list

USERS = ["user-042", "user-007", "user-101"]


def by_title(request: Request) -> str:
    """Score candidates by their text, wherever they stand."""
    assert request.ranking is not None
    return scores_text([-float(sum(map(ord, text)) % 97) for text in request.ranking.documents])


def prompt_file(folder: Path, **settings: Any) -> str:
    """Write the shipped variant with other settings."""
    text = (prompt_folder() / "scores.toml").read_text()
    path = folder / "scores.toml"
    path.write_text(text + "".join(f"{name} = {value}\n" for name, value in settings.items()))
    return str(path)


def recommender_of(
    index: ItemIndex, model: Any, prompt: str = "scores", **more: Any
) -> Recommender:
    return Recommender(index, model, Settings(prompt=prompt, **more))


def test_the_list_follows_the_scores(hash_index: ItemIndex) -> None:
    model = ScriptedModel(by_title)
    recommender = recommender_of(hash_index, model)
    for state in recommender.run([RecommendationRequest(user) for user in USERS]):
        (call,) = state.calls
        assert call.ranking is not None
        assert call.max_tokens == 1
        assert call.ranking.labels == tuple("ABCDEFGHIJKLMNOPQRST")
        for label, title in zip("AB", state.shown, strict=False):
            assert f"\n{label}. {hash_index.item_by_id(title).title}" in call.messages[-1].content
        scores = dict(zip(state.shown, json.loads(by_title(call)), strict=True))
        wanted = sorted(scores, key=lambda item: -scores[item])[:10]
        made = state.made()
        assert [slot.item_id for slot in made.items] == wanted
        assert made.outcome == "ok"
        assert all(slot.reason_status == "evidence" for slot in made.items)
        check_list(made, hash_index, state.history, 10)


@pytest.mark.parametrize("n", [2, 4])
def test_scores_are_averaged_over_orders(n: int, hash_index: ItemIndex, tmp_path: Path) -> None:
    def by_place(request: Request) -> str:
        assert request.ranking is not None
        return scores_text([-float(at) for at in range(len(request.ranking.labels))])

    done: list[int] = []
    model = ScriptedModel(by_place)
    recommender = recommender_of(hash_index, model, prompt_file(tmp_path, permutations=n))
    states = recommender.run(map(RecommendationRequest, USERS), done.append)
    assert sum(done) == len(USERS)
    for state in states:
        assert len(state.calls) == len(state.prompts) == state.usage.calls == n
        assert {frozenset(prompt.labels) for prompt in state.prompts} == {frozenset(state.shown)}
        assert len({prompt.labels for prompt in state.prompts}) == n
        assert state.scores is not None
        mean_place = {i: sum(p.labels.index(i) for p in state.prompts) / n for i in state.shown}
        best = sorted(state.scores, key=lambda item: -state.scores[item])  # pyright: ignore
        assert mean_place[best[0]] == min(mean_place.values())


def test_orders_do_not_depend_on_the_order_given(hash_index: ItemIndex) -> None:
    ids = [*hash_index.item_ids[:20]]
    assert shuffled_orders(ids, 3, seed=1) == shuffled_orders(ids[::-1], 3, seed=1)
    assert shuffled_orders(ids, 3, seed=1) != shuffled_orders(ids, 3, seed=2)
    assert all(sorted(order) == sorted(ids) for order in shuffled_orders(ids, 3, seed=1))


def test_a_blend_weighs_scores(hash_index: ItemIndex, tmp_path: Path) -> None:
    lists: dict[float, list[str]] = {}
    for weight in (0.0, 0.3, 1.0):
        Blend(weight=weight, answer="scores").save(tmp_path / "blend.toml")
        model = ScriptedModel(by_title)
        recommender = recommender_of(hash_index, model, blend=str(tmp_path / "blend.toml"))
        (state,) = recommender.run([RecommendationRequest(USERS[0])])
        lists[weight] = [slot.item_id for slot in state.made().items]
        retrieved = [candidate.item_id for candidate in state.candidates]
        assert len(model.requests) == (weight > 0)
        if state.scores is not None:
            assert lists[weight] == blended_scores(state.scores, retrieved, weight)[:10]
        else:
            assert lists[weight] == retrieved[:10]
    assert len({tuple(items) for items in lists.values()}) == 3


def test_a_blend_of_orders_is_refused_for_scores(hash_index: ItemIndex, tmp_path: Path) -> None:
    Blend(weight=0.3).save(tmp_path / "blend.toml")
    with pytest.raises(ConfigError, match="was fitted for answers of the kind 'list'"):
        recommender_of(hash_index, ScriptedModel(by_title), blend=str(tmp_path / "blend.toml"))


@pytest.mark.parametrize(
    "reply",
    ["", "no", "[]", "[1, 2]", "{}", "[" + ", ".join(["NaN"] * 20) + "]",
     json.dumps([True] * 20), json.dumps(["1"] * 20), json.dumps([0.0] * 21)],
)  # fmt: skip
def test_a_reply_that_is_no_score_a_label_is_never_a_list(
    reply: str, hash_index: ItemIndex
) -> None:
    made = recommender_of(hash_index, ScriptedModel(reply)).recommend(USERS[0])
    assert (made.outcome, made.repairs.unparseable, made.usage.calls) == ("failed", 1, 1)
    assert {slot.origin for slot in made.items} == {"backfill"}
    assert made.error


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=26))
def test_shares_are_a_distribution_in_the_order_of_the_scores(scores: list[float]) -> None:
    labels = [f"i{n}" for n in range(len(scores))]
    shares = read_scores(scores_text(scores), labels)
    assert sum(2.718281828459045**share for share in shares.values()) == pytest.approx(1)
    ranked = sorted(range(len(scores)), key=lambda n: -round(scores[n], 6))
    for better, worse in itertools.pairwise(ranked):
        assert shares[labels[better]] >= shares[labels[worse]]


@given(st.text(max_size=40))
def test_any_text_is_scores_or_refused(text: str) -> None:
    try:
        shares = read_scores(text, ["a", "b"])
    except Unscored:
        return
    assert set(shares) == {"a", "b"}


class Flaky(ScriptedModel):
    """Fails the requests that a function picks."""

    def __init__(self, fails: Callable[[int], bool]) -> None:
        super().__init__(by_title)
        self._fails = fails

    def generate(self, requests: Any, on_done: Any = None) -> list[Completion]:
        failed = Completion(error=TransportError("cut", provider="flaky"))
        found = super().generate(requests, on_done)
        return [failed if self._fails(n) else done for n, done in enumerate(found)]


def test_an_order_that_fails_is_named_and_the_others_count(
    hash_index: ItemIndex, tmp_path: Path
) -> None:
    prompt = prompt_file(tmp_path, permutations=4)
    made = recommender_of(hash_index, Flaky(lambda n: n == 2), prompt).recommend(USERS[0])
    assert made.outcome == "ok"
    assert made.error == "1 of 4 prompts failed: flaky: cut"
    made = recommender_of(hash_index, Flaky(lambda _: True), prompt).recommend(USERS[0])
    assert (made.outcome, made.error) == ("failed", "flaky: cut")
    assert len(made.items) == 10


class Reranker(ScriptedModel):
    """Gives scores and nothing else."""

    name = "reranker"
    answers = frozenset[Answer]({"scores"})


def test_a_reranker_is_asked_once_and_never_for_words(
    hash_index: ItemIndex, tmp_path: Path
) -> None:
    model = Reranker(by_title)
    recommender = recommender_of(hash_index, model, prompt_file(tmp_path, permutations=4))
    wish = RecommendationRequest(USERS[0], text="a teapot under 40")
    (state,) = recommender.run([wish])
    made = state.made()
    assert made.understood is not None
    assert made.understood.how == "keywords"
    (request,) = model.requests
    assert request.ranking is not None
    assert "took, oldest first:\n- " in request.ranking.query
    assert len(request.ranking.documents) == len(request.ranking.labels)


def test_what_a_model_cannot_answer_is_refused_when_it_is_opened(hash_index: ItemIndex) -> None:
    with pytest.raises(ConfigError, match=r"gives scores and no words.*use --prompt scores"):
        recommender_of(hash_index, Reranker(by_title), "plain")
    with pytest.raises(ConfigError, match="the prompt 'bundle' asks for a list"):
        recommender_of(hash_index, Reranker(by_title)).recommend(USERS[0], kind=Bundle(budget=40))

    class Writer(ScriptedModel):
        answers = frozenset[Answer]({"text"})

    with pytest.raises(ConfigError, match="gives no scores"):
        recommender_of(hash_index, Writer(""))


def test_a_cache_keeps_scores(hash_index: ItemIndex, tmp_path: Path) -> None:
    model = ScriptedModel(by_title)
    cached = CachedModel(model, tmp_path / "replies.sqlite")
    first, second = (recommender_of(hash_index, cached).recommend(USERS[0]) for _ in range(2))
    assert first.items == second.items
    assert (len(model.requests), second.usage.cached) == (1, 1)


def test_variants_that_cannot_be_scored_are_refused(tmp_path: Path) -> None:
    for settings, match in (
        ({"reason_chars": 40}, "scores come without reasons"),
        ({"max_candidates": 27}, "at most 26 candidates"),
        ({"answer": '"list"', "permutations": 2}, "permutations average scores"),
    ):
        path = tmp_path / "odd.toml"
        text = (prompt_folder() / "scores.toml").read_text()
        kept = [line for line in text.splitlines() if line.partition(" ")[0] not in settings]
        path.write_text("\n".join([*kept, *(f"{n} = {v}" for n, v in settings.items())]))
        with pytest.raises(Exception, match=match):
            load_variant(str(path))


def test_labels_are_those_of_the_prompt_where_a_candidate_does_not_fit(tmp_path: Path) -> None:
    rows = [{"item_id": f"i{n}", "title": f"Pot {n}", "description": "fine"} for n in range(6)]
    rows[1]["description"] = "clay and glaze " * 300
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    build_index(
        Dataset.load(items=tmp_path / "items.jsonl"), tmp_path / "index", embedder=HashEmbedder()
    )
    prompt = tmp_path / "wide.toml"
    prompt.write_text(
        'description = "wide"\nsystem = "s"\nuser = "$candidates"\nhistory_line = "$title"\n'
        'candidate_line = "$label. $title: $description"\n[settings]\nreason_chars = 0\n'
        "description_chars = 4000\nbudget_tokens = 200\n"
    )
    index = ItemIndex.open(tmp_path / "index", HashEmbedder())
    model = ScriptedModel('{"items": [{"label": 2}, {"label": 5}]}')
    recommender = recommender_of(index, model, str(prompt), reask=False)
    (state,) = recommender.run([RecommendationRequest([], kind=TopK(k=2))])
    proposed = [candidate.item_id for candidate in state.candidates]
    assert "i1" in proposed
    assert state.shown == tuple(item_id for item_id in proposed if item_id != "i1")
    assert [slot.item_id for slot in state.made().items] == [state.shown[1], state.shown[4]]
