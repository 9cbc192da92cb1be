"""A user's failure is that user's: long texts, small contexts, unknown users, wrong types."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rag_rec import (
    BudgetTooSmall,
    Bundle,
    ConfigError,
    DataError,
    Dataset,
    ItemIndex,
    PlaySequence,
    RagRecError,
    RecommendationRequest,
    Recommender,
    Settings,
    Slate,
    TopK,
    UserHistory,
    build_index,
)
from rag_rec.batch import BatchOptions, run
from rag_rec.llm import Request, scores_text
from rag_rec.prompting import variant_names
from rag_rec.testing import HashEmbedder, ScriptedModel, check_list

LONG = "var aPageStart = 1; " * 1_500
FIELDS: dict[str, Any] = {
    "title": LONG,
    "title without a space": "x" * 30_000,
    "brand": LONG,
    "categories": [LONG, "Pots"],
    "many categories": [f"Kind {n}" for n in range(5_000)],
    "description": LONG,
    "markup": "<b>" * 10_000,
}


def first_labels(request: Request) -> str:
    """Choose the first labels, whatever the form asks for."""
    schema = request.schema or {}
    if request.ranking is not None:
        return scores_text([-float(n) for n in range(len(request.ranking.labels))])
    if "items" not in schema.get("properties", {}):
        return "{}"
    entries = schema["properties"]["items"]
    labels = entries["items"]["properties"]["label"]["enum"][: entries["maxItems"]]
    return json.dumps({"items": [{"label": n, "reason": ""} for n in labels]})


def shop(folder: Path, **odd: object) -> Path:
    """Build an index of twelve pots, one of them odd, with an order of it by most users."""
    rows: list[dict[str, object]] = [
        {
            "item_id": f"a{n}",
            "title": f"Pot {n}",
            "brand": "Acme",
            "price": 5,
            "categories": ["Pots"],
        }
        for n in range(12)
    ]
    rows[5] |= odd
    events = [(f"u{u}", f"a{(u + n) % 12}") for u in range(6) for n in range(3)]
    reviews = [{"item_id": f"a{n}", "user_id": "u1", "text": LONG} for n in range(12)]
    files: dict[str, Any] = {}
    for name, table in {
        "items": rows,
        "interactions": [{"user_id": u, "item_id": i} for u, i in events],
        "reviews": reviews,
    }.items():
        files[name] = folder / f"{name}.jsonl"
        files[name].write_text("".join(json.dumps(row) + "\n" for row in table))
    build_index(Dataset.load(**files), folder / "index", embedder=HashEmbedder())
    return folder / "index"


@pytest.mark.parametrize("field", FIELDS)
def test_one_long_text_costs_nobody_a_list(field: str, tmp_path: Path) -> None:
    name = {"many categories": "categories", "markup": "title"}.get(field, field.split()[0])
    index = ItemIndex.open(shop(tmp_path, **{name: FIELDS[field]}), HashEmbedder())
    for prompt in variant_names():
        model = ScriptedModel(first_labels, context_tokens=8_192)
        recommender = Recommender(index, model, Settings(prompt=prompt))
        results = recommender.recommend_many(index.user_ids, 3)
        assert {result.outcome for result in results} == {"ok"}
        sent = [turn.content for request in model.requests for turn in request.messages]
        assert max(map(len, sent)) < 12_000


@pytest.mark.parametrize("kind", [Bundle(budget=40), PlaySequence(), Slate(rows=2, per_row=2)])
def test_one_long_text_costs_no_list_of_another_kind(kind: Any, tmp_path: Path) -> None:
    odd = {"title": LONG, "brand": LONG, "categories": [LONG]}
    index = ItemIndex.open(shop(tmp_path, **odd), HashEmbedder())
    model = ScriptedModel('{"items": []}', context_tokens=8_192)
    recommender = Recommender(index, model, Settings(reask=False))
    for user in index.user_ids:
        assert recommender.recommend(user, kind=kind).items
    assert max(len(turn.content) for r in model.requests for turn in r.messages) < 12_000


def test_a_long_id_is_cut_where_it_stands_for_a_title(tmp_path: Path) -> None:
    odd = {"item_id": "z" * 3_000, "title": ""}
    items = tmp_path / "items.jsonl"
    rows = [odd, {"item_id": "a", "title": "Pot"}, {"item_id": "b", "title": "Pan"}]
    items.write_text("".join(json.dumps(row) + "\n" for row in rows))
    build_index(Dataset.load(items=items), tmp_path / "index", embedder=HashEmbedder())
    model = ScriptedModel(first_labels, context_tokens=2_500)
    recommender = Recommender.open(tmp_path / "index", model, embedder=HashEmbedder())
    assert recommender.recommend([], 3).outcome == "ok"
    assert recommender.recommend(["z" * 3_000], 2).outcome == "ok"


def test_users_that_cannot_be_served_get_a_failed_list(hash_index: ItemIndex) -> None:
    model = ScriptedModel(first_labels, context_tokens=2_000)
    recommender = Recommender(hash_index, model)
    talkative = UserHistory(user_id="t", profile="tea " * 3_000)
    users = ["user-042", "nobody", talkative, ["no such item"], "user-007"]
    done: list[int] = []
    results = recommender.recommend_many(users, 3, on_done=done.append)
    assert [result.outcome for result in results] == ["ok", "failed", "failed", "failed", "ok"]
    assert [len(result.items) for result in results] == [3, 0, 3, 0, 3]
    assert [result.user_id for result in results] == ["user-042", "nobody", "t", None, "user-007"]
    assert sum(done) == len(users)
    for result, match in zip(
        results[1:4],
        ["no user 'nobody'", "tokens do not hold", "no item 'no such item'"],
        strict=True,
    ):
        assert match in (result.error or "")
    assert {slot.origin for slot in results[2].items} == {"backfill"}
    check_list(results[2], hash_index, talkative, 3)
    with pytest.raises(BudgetTooSmall, match=r"largest part is the words about the user with \d+"):
        recommender.recommend(talkative, 3)


def test_a_user_whose_prompt_does_not_fit_has_a_fallback_in_a_batch(
    hash_index_folder: Path, tmp_path: Path
) -> None:
    users = tmp_path / "users.jsonl"
    rows = [{"user_id": "user-042"}, {"custom_id": "t", "profile": "tea " * 3_000}]
    users.write_text("".join(json.dumps(row) + "\n" for row in rows))
    model = ScriptedModel(first_labels, context_tokens=2_000)
    options = BatchOptions(embedder=HashEmbedder(), k=3)
    summary = run(hash_index_folder, users, tmp_path / "lists.jsonl", llm=model, options=options)
    assert (summary.totals.done, summary.totals.failed) == (1, 1)
    failure = json.loads(summary.failures.read_text())
    assert failure["kind"] == "prompt_too_long"
    assert "tokens do not hold" in failure["reason"]
    assert len(failure["fallback"]["items"]) == 3


WRONG: dict[str, tuple[type[RagRecError], str, Any]] = {
    "number": (DataError, "expected a user id.* found 42", lambda r: r.recommend(42)),
    "numbers": (DataError, r"expected item ids.* found \(1, 2\)", lambda r: r.recommend([1, 2])),
    "nothing": (DataError, "expected a user id.* found None", lambda r: r.recommend(None)),
    "set": (DataError, "expected a user id", lambda r: r.recommend({"tea-001"})),
    "no length": (ConfigError, "k: .*greater than or equal to 1", lambda r: r.recommend([], -1)),
    "zero": (ConfigError, "k: ", lambda r: r.recommend_many([[]], 0)),
    "word": (ConfigError, "k: .*integer", lambda r: r.recommend([], "many")),
    "kind": (ConfigError, "no registered kind", lambda r: r.recommend([], kind="bundle")),
    "rules": (
        ConfigError,
        "constraints: .*rag_rec.where",
        lambda r: r.recommend([], constraints="x"),
    ),
    "profile": (
        ConfigError,
        "profile: expected text, found 5",
        lambda r: r.recommend([], profile=5),
    ),
    "wish": (ConfigError, "text: expected text, found 5", lambda r: r.recommend([], text=5)),
    "understand": (ConfigError, "text: expected text", lambda r: r.understand(5)),
    "taste": (DataError, "expected a user id", lambda r: r.profile(7)),
    "where": (ConfigError, "constraints as text, found 5", lambda r: r.where(5)),
    "users": (ConfigError, "expected several users, found 3", lambda r: r.recommend_many(3)),
    "one user": (ConfigError, "several users, found 'u'", lambda r: r.recommend_many("u")),
    "history": (DataError, "expected item ids", lambda _: UserHistory.of(3)),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_type_is_one_line_that_says_what_is_expected(
    wrong: str, hash_index: ItemIndex
) -> None:
    error, match, call = WRONG[wrong]
    with pytest.raises(error, match=match) as caught:
        call(Recommender(hash_index))
    assert "\n" not in str(caught.value)


def test_states_keep_the_failure_of_their_user(hash_index: ItemIndex) -> None:
    recommender = Recommender(hash_index, ScriptedModel(first_labels))
    requests = [RecommendationRequest(user, TopK(k=2)) for user in ("user-042", "nobody")]
    good, bad = recommender.run(requests)
    assert good.made().outcome == "ok"
    assert good.failure is None
    with pytest.raises(DataError, match="no user 'nobody'"):
        bad.made()
