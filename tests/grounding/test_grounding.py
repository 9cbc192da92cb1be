"""Whatever a model writes, the list is valid."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_rec import Candidate, Constraints, ItemIndex, Recommender, UserHistory
from rag_rec.core import parse_json
from rag_rec.grounding import answer_schema, merge_readings, read_answer
from rag_rec.testing import HashEmbedder, ScriptedModel, check_list


def reply(*labels: object, reason: str = "it goes well with your kettle") -> str:
    return json.dumps({"items": [{"label": label, "reason": reason} for label in labels]})


def labels_of(text: str, **options: object) -> list[int]:
    reading = read_answer(text, n_labels=5, k=3, **options)  # type: ignore[arg-type]
    return [entry.label for entry in reading.entries]


@pytest.mark.parametrize(
    "text",
    [
        '{"items": [{"label": NaN}]}',
        '{"items": [{"label": 1, "label": 2}]}',
        '{"items": [{"label": 1}]} trailing',
        '{"items": [{"label": Infinity}]}',
        "",
        "\x00",
        "[" * 100_000,
    ],
)
def test_strict_json_refuses(text: str) -> None:
    with pytest.raises(ValueError):
        parse_json(text)


def test_a_valid_reply_needs_no_repair() -> None:
    reading = read_answer(reply(3, 1, 2), n_labels=5, k=3)
    assert [entry.label for entry in reading.entries] == [3, 1, 2]
    assert not any(entry.repaired for entry in reading.entries)
    assert sum(reading.repairs.model_dump().values()) == 0
    assert reading.problems == ()


def test_unknown_duplicate_and_ill_typed_labels_are_dropped_and_counted() -> None:
    reading = read_answer(reply(1, 9, 1, "2", True, 2.0, None, 0, -1, 10**400, 4), n_labels=5, k=3)
    assert [(e.label, e.repaired) for e in reading.entries] == [(1, False), (2, True), (4, False)]
    counts = reading.repairs
    assert (counts.unknown_label, counts.duplicate, counts.invalid_entry) == (4, 2, 3)
    assert not any("usable labels" in problem for problem in reading.problems)


def test_more_than_k_entries_are_cut() -> None:
    assert labels_of(reply(5, 4, 3, 2, 1)) == [5, 4, 3]


def test_complete_entries_of_a_torn_reply_are_saved_as_repaired() -> None:
    torn = reply(2, 4, 1)[:-30]
    reading = read_answer(torn, n_labels=5, k=3, truncated=True)
    assert [entry.label for entry in reading.entries] == [2, 4]
    assert all(entry.repaired for entry in reading.entries)
    assert reading.repairs.truncated == reading.repairs.unparseable == 1


def test_a_fenced_reply_is_saved_as_repaired() -> None:
    reading = read_answer(f"Sure!\n```json\n{reply(1, 2, 3)}\n```", n_labels=5, k=3)
    assert [(entry.label, entry.repaired) for entry in reading.entries] == [
        (1, True),
        (2, True),
        (3, True),
    ]


def test_reasons_are_cleaned_to_one_line() -> None:
    reading = read_answer(reply(1, reason="a\x00b\n\u202e c \ud800"), n_labels=5, k=1)
    assert reading.entries[0].reason == "a b c"


def test_a_reask_adds_to_the_first_answer() -> None:
    first = read_answer(reply(2, 2, 2), n_labels=5, k=3)
    second = read_answer(reply(2, 4, 1), n_labels=5, k=3)
    merged = merge_readings(first, second, k=3)
    assert [(e.label, e.repaired) for e in merged.entries] == [(2, False), (4, True), (1, True)]
    assert merged.repairs.reasked == 1
    assert merged.repairs.duplicate == 2


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 500))
def test_the_schema_describes_what_the_reader_accepts(n_labels: int, k: int, chars: int) -> None:
    schema = answer_schema(n_labels=n_labels, k=k, reason_chars=chars)["properties"]["items"]
    assert schema["minItems"] == schema["maxItems"] == min(k, n_labels)
    assert schema["items"]["properties"]["label"]["enum"] == list(range(1, n_labels + 1))
    assert ("reason" in schema["items"]["properties"]) == (chars > 0)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["items", "label", "reason", "x"]), inner)
    ),
)


@given(st.text() | st.binary().map(lambda b: b.decode("latin-1")) | JSON.map(json.dumps))
def test_reading_never_raises(text: str) -> None:
    reading = read_answer(text, n_labels=5, k=3)
    labels = [entry.label for entry in reading.entries]
    assert len(labels) == len(set(labels)) <= 3
    assert set(labels) <= {1, 2, 3, 4, 5}


def hostile_replies(folder: Path | None) -> list[str]:
    """Random bytes, half JSON, unknown labels, duplicates, deep nesting, a JSON torture suite."""
    rng = random.Random(1)
    replies = [
        "", "null", "[]", "{}",
        "[" * 10_000, '{"items":' * 10_000, '{"a":' * 10_000 + "1" + "}" * 10_000,
        reply(), reply(999, -1, 0), reply(*[1] * 50), reply("1", "2"), reply(1.5, True, None),
        '{"items": [' + '{"label": 1}, ' * 5_000, '{"items": {"label": 1}}', " " * 100_000,
        '{"items": [{"label": 1, "reason": "\\ud800"}]}', '{"items": [{"label": 1e400}]}',
    ]  # fmt: skip
    whole = reply(3, 1, 2, 5, 4)
    replies += [whole[: rng.randrange(len(whole))] for _ in range(50)]
    replies += [rng.randbytes(rng.randrange(200)).decode("latin-1") for _ in range(200)]
    replies += [
        reply(*(rng.randrange(-3, 30) for _ in range(rng.randrange(9)))) for _ in range(100)
    ]
    if folder is not None:
        files = sorted((folder / "hard_inputs" / "json").iterdir())
        replies += [file.read_bytes().decode("latin-1") for file in files]
    return replies


@pytest.mark.parametrize("prompt", ["plain", "reviews"])
def test_a_thousand_hostile_replies_give_a_thousand_valid_lists(
    hash_index: ItemIndex, data_folder: Path, prompt: str
) -> None:
    replies = hostile_replies(data_folder)
    users = [hash_index.history(user) for user in sorted(hash_index.user_ids)]
    histories = (users * 3)[:1_000]
    assert len(replies) > 600
    model = ScriptedModel(*replies)
    recommender = Recommender.open(
        hash_index.folder.parent.parent, model, prompt=prompt, embedder=HashEmbedder()
    )
    lists = recommender.recommend_many(histories, 5)
    assert len(lists) == 1_000
    for history, result in zip(histories, lists, strict=True):
        check_list(result, hash_index, history, 5)
    assert {result.outcome for result in lists} == {"ok", "partial", "failed"}


@given(st.data())
def test_invariants_hold_for_any_reply_and_constraints(
    hash_index: ItemIndex, data: st.DataObject
) -> None:
    ids = hash_index.item_ids
    excluded = data.draw(st.frozensets(st.sampled_from(ids), max_size=300))
    constraints = Constraints(
        exclude=excluded,
        allow_seen=data.draw(st.booleans()),
        allow_out_of_stock=data.draw(st.booleans()),
    )
    past = data.draw(st.lists(st.sampled_from(ids), max_size=8))
    history = UserHistory.of(*past).model_copy(update={"constraints": constraints})
    k = data.draw(st.integers(1, 12))
    labels = data.draw(st.lists(st.integers(-1, 25), max_size=14))
    recommender = _recommender(hash_index, ScriptedModel(reply(*labels)))
    check_list(recommender.recommend(history, k), hash_index, history, k)


def _recommender(index: ItemIndex, model: ScriptedModel) -> Recommender:
    return Recommender(index, model)


def test_a_poor_reason_is_replaced_by_one_from_the_log(hash_index: ItemIndex) -> None:
    said = [
        "1",
        "Goes with the pot you bought",
        "Goes with the pot you bought",
        "",
        "It keeps tea warm for hours",
    ]
    entries = [{"label": n, "reason": text} for n, text in enumerate(said, 1)]
    recommender = Recommender(hash_index, ScriptedModel(json.dumps({"items": entries})))
    result = recommender.recommend(sorted(hash_index.user_ids)[3], 5)
    status = [slot.reason_status for slot in result.items]
    assert status == ["evidence", "unverified", "evidence", "evidence", "unverified"]
    assert result.repairs.poor_reason == 2


@pytest.mark.parametrize(
    "words",
    [
        "[win big](http://evil.example/?u=1) with this fine kettle",
        "It is a fine kettle <img src=x onerror=alert(1)> for your tea",
        "It is a fine kettle, see www.evil.example for more of them",
        "A fine kettle, write to me@evil.example to get it for less",
        "A fine kettle [here](evil) for your tea and your toast",
    ],
)
def test_a_link_or_markup_never_reaches_a_list(hash_index: ItemIndex, words: str) -> None:
    """Words of a review that a model repeats must not lead anywhere, whatever the prompt."""
    entries = [{"label": 1, "reason": words}, {"label": 2, "reason": "It suits < 2 cups & more"}]
    recommender = Recommender(hash_index, ScriptedModel(json.dumps({"items": entries})))
    result = recommender.recommend(sorted(hash_index.user_ids)[3], 2)
    assert [slot.reason_status for slot in result.items] == ["evidence", "unverified"]
    assert "evil" not in result.items[0].reason
    assert result.repairs.poor_reason == 1


def test_when_nothing_is_eligible_the_list_is_empty_and_nobody_is_asked(
    hash_index: ItemIndex,
) -> None:
    model = ScriptedModel(reply(1))
    recommender = Recommender(hash_index, model)
    everything = Constraints(exclude=frozenset(hash_index.item_ids))
    result = recommender.recommend(UserHistory(), 5, constraints=everything)
    assert (result.items, result.outcome, model.requests) == ((), "retrieval_only", [])


def test_candidates_are_compared_by_value() -> None:
    assert Candidate("a", 1.0, {"content": 1}) == Candidate("a", 1.0, {"content": 1})
