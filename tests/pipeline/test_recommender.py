"""The pipeline as its callers see it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from prompts import prompt_of
from rag_rec import (
    BudgetTooSmall,
    ConfigError,
    DataError,
    ItemIndex,
    RecommendationRequest,
    Recommender,
    Settings,
    UserHistory,
)
from rag_rec.llm import Request
from rag_rec.prompting.variant import prompt_folder
from rag_rec.testing import (
    ChatServer,
    HashEmbedder,
    Response,
    ScriptedModel,
    check_list,
    completion,
)


def answer(*labels: int) -> str:
    return json.dumps(
        {"items": [{"label": n, "reason": f"number {n} suits your long evenings"} for n in labels]}
    )


@pytest.fixture
def user(hash_index: ItemIndex) -> UserHistory:
    return hash_index.history(sorted(hash_index.user_ids)[7])


def test_the_models_order_is_the_lists_order(hash_index: ItemIndex, user: UserHistory) -> None:
    recommender = Recommender(hash_index, ScriptedModel(answer(4, 2, 9)))
    result = recommender.recommend(user, 3)
    shown = prompt_of(recommender, user, 3).labels
    assert [slot.item_id for slot in result.items] == [shown[3], shown[1], shown[8]]
    assert result.outcome == "ok"
    assert {slot.origin for slot in result.items} == {"llm"}
    assert result.items[0].reason == "number 4 suits your long evenings"
    assert result.usage.calls == 1
    check_list(result, hash_index, user, 3)


def test_a_short_answer_is_asked_again_once_with_the_error(
    hash_index: ItemIndex, user: UserHistory
) -> None:
    model = ScriptedModel(answer(1, 1), answer(1, 5))
    result = Recommender(hash_index, model).recommend(user, 3)
    assert [slot.origin for slot in result.items] == ["llm", "repaired", "backfill"]
    assert (result.outcome, result.repairs.reasked, result.usage.calls) == ("partial", 1, 2)
    again = model.requests[1].messages
    assert again[:2] == model.requests[0].messages
    assert "label 1 is named twice" in again[-1].content
    assert "exactly 3 items" in again[-1].content
    assert result.error
    assert "usable labels" in result.error


def test_reasking_can_be_turned_off(hash_index: ItemIndex, user: UserHistory) -> None:
    model = ScriptedModel("nonsense")
    result = Recommender(hash_index, model, Settings(reask=False)).recommend(user, 3)
    assert (result.outcome, len(model.requests)) == ("failed", 1)


def test_both_turns_fit_the_context(hash_index: ItemIndex, user: UserHistory) -> None:
    model = ScriptedModel("x" * 5_000, context_tokens=1_700)
    Recommender(hash_index, model).recommend(user, 3)
    for request in model.requests:
        texts = [message.content for message in request.messages]
        tokens = sum(model.tokens.count(texts)) + model.tokens.per_message * (len(texts) + 1)
        assert tokens + request.max_tokens <= 1_700
    assert len(model.requests) == 2
    with pytest.raises(BudgetTooSmall):
        Recommender(hash_index, ScriptedModel("", context_tokens=400)).recommend(user, 3)


def test_one_users_failure_costs_only_its_own_list(hash_index_folder: Path) -> None:
    def respond(body: dict) -> Response:
        n = len(server.requests)
        return Response(b"{}", 400) if n % 3 == 0 else Response(completion(answer(1, 2)))

    with ChatServer(respond) as server:
        opened = Recommender.open(
            hash_index_folder, f"openai:x@{server.url}", embedder=HashEmbedder()
        )
        with opened as recommender:
            users = sorted(recommender.index.user_ids)[:30]
            results = recommender.recommend_many(users, 2)
    outcomes = [result.outcome for result in results]
    assert (outcomes.count("failed"), outcomes.count("ok")) == (10, 20)
    assert [result.user_id for result in results] == users
    for result in results:
        assert len(result.items) == 2
        assert (result.error is not None) == (result.outcome == "failed")


def test_without_a_model_it_says_so(hash_index_folder: Path, user: UserHistory) -> None:
    recommender = Recommender.open(hash_index_folder, "none", embedder=HashEmbedder())
    result = recommender.recommend(user, 4)
    assert (result.outcome, result.usage.calls) == ("retrieval_only", 0)
    assert {slot.reason_status for slot in result.items} == {"evidence"}
    assert recommender.preview([RecommendationRequest(user)])[0].prompt is None
    check_list(result, recommender.index, user, 4)


def test_users_in_every_form(hash_index: ItemIndex) -> None:
    recommender = Recommender(hash_index)
    known = sorted(hash_index.user_ids)[0]
    items = list(hash_index.history(known).item_ids)
    by_id = recommender.recommend(known, 5).items
    by_items = recommender.recommend(items, 5).items
    assert [slot.item_id for slot in by_id] == [slot.item_id for slot in by_items]
    assert recommender.recommend([], 5).items == recommender.recommend(UserHistory(), 5).items
    assert recommender.recommend([], 5, profile="tea").items[0].sources["profile"] == 1
    for wrong, match in [("nobody", "no user"), (["nothing"], "no item 'nothing'")]:
        with pytest.raises(DataError, match=match):
            recommender.recommend(wrong, 5)


def test_many_equals_one_by_one(hash_index: ItemIndex) -> None:
    users = sorted(hash_index.user_ids)[:40]
    recommender = Recommender(hash_index, ScriptedModel(answer(2, 1, 3)))
    one_by_one = [recommender.recommend(user, 3) for user in users]
    done: list[int] = []
    assert recommender.recommend_many(users, 3, on_done=done.append) == one_by_one
    assert sum(done) == len(users)


def test_run_id_follows_what_changes_the_output(hash_index: ItemIndex, tmp_path: Path) -> None:
    base = Settings()
    model = ScriptedModel("")

    def run_id(settings: Settings) -> str:
        return Recommender(hash_index, model, settings).run_id

    changed = [
        base.model_copy(update=update)
        for update in (
            {"prompt": "plain"},
            {"seed": 1},
            {"temperature": 0.5},
            {"history_decay": 3.0},
        )
    ]
    assert len({run_id(base), *map(run_id, changed)}) == 5
    slow = Settings.model_validate({"request": {"concurrency": 3, "timeout_s": 9, "attempts": 7}})
    assert run_id(slow) == run_id(base)
    assert Recommender(hash_index, None, base).run_id != run_id(base)
    places = [tmp_path / "here" / "own.toml", tmp_path / "there" / "own.toml"]
    for place in places:
        place.parent.mkdir()
        shutil.copy(prompt_folder() / "plain.toml", place)
    moved = {run_id(Settings(prompt=str(place))) for place in places}
    assert len(moved) == 1, "the file's content counts, not where it lies"


def test_the_prompt_shown_is_the_prompt_sent(hash_index: ItemIndex, user: UserHistory) -> None:
    model = ScriptedModel(answer(1))
    recommender = Recommender(hash_index, model, Settings(reask=False))
    shown = prompt_of(recommender, user, 4)
    recommender.recommend(user, 4)
    sent: Request = model.requests[0]
    assert [(message.role, message.content) for message in sent.messages] == list(shown.messages)


def test_settings_come_from_a_file_and_unknown_ones_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "rag.toml"
    path.write_text('llm = "none"\nk = 3\n[request]\nconcurrency = 64\n')
    settings = Settings.load(path, prompt="plain", k=None)
    assert (settings.k, settings.prompt, settings.request.concurrency) == (3, "plain", 64)
    for text, match in [
        ("speed = 1", "speed: extra inputs"),
        ("k = 0", "k: input should"),
        ("k =", "is not TOML"),
    ]:
        path.write_text(text)
        with pytest.raises(ConfigError, match=match):
            Settings.load(path)
    with pytest.raises(ConfigError, match="no settings file"):
        Settings.load(tmp_path / "none.toml")


def test_the_embedded_model_on_the_real_index(real_index_folder: Path) -> None:
    with Recommender.open(real_index_folder, "local", prompt="plain") as recommender:
        history = recommender.history_of("user-042")
        result = recommender.recommend(history, 3)
        check_list(result, recommender.index, history, 3)
        assert result.outcome in {"ok", "partial"}
        assert result.usage.completion_tokens > 0
        assert recommender.recommend(history, 3).items == result.items, (
            "temperature 0 repeats itself"
        )
