"""One flow for every kind of list: what is asked, noted, previewed, and asked again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rag_rec import (
    Bundle,
    ItemIndex,
    PlaySequence,
    RecommendationRequest,
    Recommender,
    Settings,
    Slate,
    TopK,
)
from rag_rec.list_types import Kind
from rag_rec.pipeline import Blend
from rag_rec.testing import ScriptedModel, check_list

KINDS: list[Kind] = [TopK(k=3), Bundle(size=3), PlaySequence(length=3), Slate(rows=1, per_row=3)]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: type(kind).__name__)

READING = json.dumps({"max_price": None, "categories": [], "query": "tea in the morning"})
PROFILE = json.dumps({"cites": [1], "text": "x"})


def reply(kind: Kind, *labels: int) -> str:
    row = {"row": 1} if isinstance(kind, Slate) else {}
    reasons = {} if isinstance(kind, Slate) else {"cites": [1], "reason": "it goes with the rest"}
    return json.dumps({"items": [{**row, "label": label, **reasons} for label in labels]})


@every_kind
def test_an_incomplete_reply_is_asked_again(hash_index: ItemIndex, kind: Kind) -> None:
    model = ScriptedModel(reply(kind, 1), reply(kind, 1, 2, 3))
    (state,) = Recommender(hash_index, model).run([RecommendationRequest("user-042", kind)])
    assert [exchange.purpose for exchange in state.exchanges] == ["list", "reask"]
    assert model.requests[1].messages[-2].content == reply(kind, 1)
    assert state.made().repairs.reasked == 1
    check_list(state.made(), hash_index, state.history, len(state.made().items))


@every_kind
@pytest.mark.parametrize(
    ("text", "purposes"),
    [("something for the morning", ["request", "list"]), (None, ["profile", "list"])],
)
def test_every_call_is_in_the_usage_and_in_the_trace(
    hash_index: ItemIndex, kind: Kind, text: str | None, purposes: list[str]
) -> None:
    model = ScriptedModel(PROFILE if text is None else READING, reply(kind, 1, 2, 3))
    recommender = Recommender(hash_index, model, Settings(prompt="taste", reask=False))
    (state,) = recommender.run([RecommendationRequest("user-042", kind, text=text)])
    assert [exchange.purpose for exchange in state.exchanges] == purposes
    assert [exchange.request for exchange in state.exchanges] == model.requests
    assert state.made().usage.calls == state.usage.calls == 2


def test_a_reading_that_failed_is_noted_and_paid(hash_index: ItemIndex) -> None:
    model = ScriptedModel("no form", reply(TopK(), 1, 2, 3))
    asked = RecommendationRequest("user-042", TopK(k=3), text="black tea")
    (state,) = Recommender(hash_index, model).run([asked])
    assert state.exchanges[0].purpose == "request"
    assert state.made().usage.calls == 2
    assert state.understood is not None
    assert state.understood.how == "keywords"
    assert "cannot be used" in (state.understood.problem or "")


@every_kind
@pytest.mark.parametrize(
    ("text", "omitted"), [("for the morning", "reading of the request"), (None, "taste profile")]
)
def test_a_preview_sends_nothing_and_says_what_it_left_out(
    hash_index: ItemIndex, kind: Kind, text: str | None, omitted: str
) -> None:
    model = ScriptedModel("{}")
    recommender = Recommender(hash_index, model, Settings(prompt="taste"))
    (state,) = recommender.preview([RecommendationRequest("user-042", kind, text=text)])
    assert not model.requests
    assert state.prompt is not None
    assert state.result is None
    (line,) = state.omitted
    assert omitted in line


@every_kind
def test_a_weight_of_zero_asks_nothing(hash_index: ItemIndex, kind: Kind, tmp_path: Path) -> None:
    Blend(weight=0).save(tmp_path / "blend.toml")
    model = ScriptedModel("{}")
    settings = Settings(prompt="taste", blend=str(tmp_path / "blend.toml"))
    (state,) = Recommender(hash_index, model, settings).run(
        [RecommendationRequest("user-042", kind)]
    )
    assert not model.requests
    assert state.made().outcome == "retrieval_only"
    assert state.made().items


@every_kind
def test_a_reply_that_came_another_way_gives_the_same_list(
    hash_index: ItemIndex, kind: Kind
) -> None:
    asked = RecommendationRequest("user-042", kind)
    recommender = Recommender(hash_index, ScriptedModel(reply(kind, 2, 3, 1)))
    (state,) = recommender.run([asked])
    (previewed,) = recommender.preview([asked])
    recommender.ground(previewed, [state.exchanges[0].completion])
    assert previewed.made() == state.made()
