"""Taste profiles: counted facts, a model's words only where they hold, made once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from prompts import prompt_of
from rag_rec import ItemIndex, Recommender, Settings, UserHistory
from rag_rec.core import TransportError
from rag_rec.llm import Completion
from rag_rec.profiles import TasteProfiler
from rag_rec.testing import ChatServer, HashEmbedder, Response, ScriptedModel, completion


def test_facts_are_counted_from_the_history(hash_index: ItemIndex) -> None:
    profile = Recommender(hash_index).profile("user-042")
    last = hash_index.item_by_id(hash_index.history("user-042").item_ids[-1])
    assert profile.status == "facts"
    assert f"“{last.title}”" in profile.text
    assert "Usually pays about" in profile.text
    assert {e.kind for e in profile.evidence} >= {"past"}


def test_own_reviews_are_evidence(hash_index: ItemIndex) -> None:
    recommender = Recommender(hash_index)
    kinds = {
        e.kind for user in hash_index.user_ids[:30] for e in recommender.profile(user).evidence
    }
    assert kinds == {"past", "review"}


def test_nobody_is_described_who_is_not_known(hash_index: ItemIndex) -> None:
    assert Recommender(hash_index).profile([]).text == "Nothing is known of this user."


def test_a_models_words_count_only_if_they_hold(hash_index: ItemIndex) -> None:
    history = hash_index.history("user-042")
    title = hash_index.item_by_id(history.item_ids[-1]).title.split(",")[0]
    told = json.dumps({"cites": [1], "text": f"Lately took the {title}."})
    lies = json.dumps({"cites": [1], "text": f"Paid 9999 for the {title} by Rolex."})
    for reply, status in [(told, "verified"), (lies, "facts"), ("[]", "facts"), ("{", "facts")]:
        model = ScriptedModel(reply)
        recommender = Recommender(hash_index, model)
        assert recommender.profile(history).status == status
        assert recommender.profile(history) is recommender.profile(history)
        assert len(model.requests) == 1, "made once"


def test_the_variant_shows_the_profile_in_place_of_the_history(hash_index: ItemIndex) -> None:
    model = ScriptedModel("{}")
    recommender = Recommender(hash_index, model, Settings(prompt="taste"))
    text = prompt_of(recommender, "user-042", 3).messages[-1][1]
    assert recommender.profile("user-042").text[:40] in text
    own = hash_index.history("user-042").model_copy(update={"profile": "wants a drum"})
    assert "wants a drum" in prompt_of(recommender, own, 3).messages[-1][1]
    cold = UserHistory(profile="likes tea")
    assert "likes tea" in prompt_of(recommender, cold, 3).messages[-1][1]


def test_what_a_profile_costs_is_paid_once_by_its_user(hash_index: ItemIndex) -> None:
    recommender = Recommender(
        hash_index, ScriptedModel("{}"), Settings(prompt="taste", reask=False)
    )
    first, other = recommender.recommend_many(["user-042", "user-043"], 3)
    assert (first.usage.calls, other.usage.calls) == (2, 2)
    assert first.repairs.refuted_profile == 1, "'{}' is no profile, and the list says so"
    assert recommender.recommend("user-042", 3).usage.calls == 1


@pytest.fixture
def profiler(hash_index: ItemIndex) -> TasteProfiler:
    return TasteProfiler(hash_index)


def words(**fields: object) -> str:
    return json.dumps({"cites": [1], "text": "x"} | fields)


def test_a_failed_call_is_not_remembered_and_is_made_again(hash_index_folder: Path) -> None:
    answers: Iterator[Response] = iter(
        [
            Response(b"{}", 400),
            Response(completion(words(text="Paid 9999 for a Rolex."))),
            Response(b"", 500),
        ]
    )
    with ChatServer(lambda _: next(answers)) as server:
        opened = Recommender.open(
            hash_index_folder, f"openai:x@{server.url}", embedder=HashEmbedder()
        )
        with opened as recommender:
            first, second, third = (recommender.profile("user-042") for _ in range(3))
    assert (first.status, second.status) == ("facts", "facts")
    assert len(server.requests) == 2, "the failed call again, the answered one not"
    assert (second.usage.calls, third.usage.calls) == (1, 0)


def test_evidence_is_read_once_for_a_request_and_its_reply(
    hash_index: ItemIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    reviews_by = ItemIndex.reviews_by

    def counted(self: ItemIndex, user_id: str, n: int) -> list[tuple[str, str]]:
        read.append(user_id)
        return reviews_by(self, user_id, n)

    monkeypatch.setattr(ItemIndex, "reviews_by", counted)
    Recommender(hash_index, ScriptedModel("{}")).profile("user-042")
    assert read == ["user-042"]


def test_facts_name_what_occurs_most_and_what_came_last(profiler: TasteProfiler) -> None:
    history = UserHistory.of("tea-001", "kit-005", "tea-001", "tea-004")
    facts = profiler.facts(history)
    titles = [e.text.split(" · ")[0] for e in facts.evidence]
    assert [e.item_id for e in facts.evidence] == ["tea-004", "tea-001", "kit-005"]
    assert [e.number for e in facts.evidence] == [1, 2, 3]
    assert f"Lately took “{titles[0]}” and “{titles[1]}”." in facts.text
    assert facts.profile().text == facts.text


REPLIES = ["", "nonsense", "[]", "{}", words(text=7), words(cites=["1"]), words(cites=[99])]


@pytest.mark.parametrize("reply", [*REPLIES, words(cites=[])])
def test_whatever_the_reply_the_facts_stand_in(profiler: TasteProfiler, reply: str) -> None:
    facts = profiler.facts(UserHistory.of("tea-001"))
    profile = profiler.profile(facts, Completion(reply))
    assert (profile.text, profile.status) == (facts.text, "facts")


def test_a_profile_is_remembered_by_user_and_events_alone(profiler: TasteProfiler) -> None:
    history = UserHistory.of("tea-001", "kit-005", user_id="u")
    made = profiler.profile(profiler.facts(history), Completion("{}"))
    assert profiler.remembered(history.model_copy(update={"profile": "other words"})) == made
    for other in (UserHistory.of("tea-001", user_id="u"), UserHistory.of(*history.item_ids)):
        assert profiler.remembered(other) is None
    failed = TransportError("no connection", provider="x", retryable=True)
    cold = UserHistory.of("tea-004")
    profiler.profile(profiler.facts(cold), Completion(error=failed))
    assert profiler.remembered(cold) is None


def test_the_request_shows_numbered_facts_as_data(profiler: TasteProfiler) -> None:
    request = profiler.facts(UserHistory.of("tea-001", "kit-005")).request()
    body = request.messages[-1].content
    assert body.startswith("<facts>\n[1] ")
    assert body.endswith("\n</facts>")
    assert body.count("<") == 2
    assert request.schema is not None
    assert request.schema["properties"]["cites"]["items"]["enum"] == [1, 2]
