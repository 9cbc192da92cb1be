"""Taste profiles: counted facts, a model's words only where they hold, made once."""

from __future__ import annotations

import json

from prompts import prompt_of
from rag_rec import ItemIndex, Recommender, Settings, UserHistory
from rag_rec.testing import ScriptedModel


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
