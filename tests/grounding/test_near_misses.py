"""Replies that are nearly as agreed are read where they can mean one thing, and counted."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_rec.core import without_thoughts
from rag_rec.grounding import Reading, read_answer

ENTRIES = [{"label": n, "reason": f"Number {n} goes with your kettle"} for n in (3, 1, 2)]
ITEMS = json.dumps(ENTRIES)
AGREED = json.dumps({"items": ENTRIES})
DRAFT = json.dumps({"items": [{"label": n, "reason": "a first rough idea"} for n in (5, 6, 4)]})


def read(text: str) -> Reading:
    return read_answer(text, n_labels=6, k=3)


def labels(reading: Reading) -> list[int]:
    return [entry.label for entry in reading.entries]


def items(*entries: object) -> str:
    return json.dumps({"items": entries})


@pytest.mark.parametrize(
    "text",
    [
        items({"label": "3"}, {"label": " 1 "}, {"label": "2."}),
        items({"label": "#3"}, {"label": "[1]"}, {"label": "(2)"}),
        items({"label": "Item 3"}, {"label": "label #1"}, {"label": "No. 2"}),
        items({"label": 3.0}, {"label": 1.0}, {"label": "2.0"}),
        items(*({**entry, "title": "Kettle"} for entry in ENTRIES)),
        items(*({**entry, "reason": None} for entry in ENTRIES)),
        items(*({**entry, "reason": ["It", "fits"]} for entry in ENTRIES)),
        items(*({**entry, "cites": "1"} for entry in ENTRIES)),
        items(*({**entry, "cites": None} for entry in ENTRIES)),
        items(*({**entry, "row": None} for entry in ENTRIES)),
        items(3, 1, 2),
        items("3", "1", "2"),
    ],
)
def test_an_entry_that_can_mean_one_thing_is_mended_and_counted(text: str) -> None:
    reading = read(text)
    assert labels(reading) == [3, 1, 2]
    assert all(entry.repaired for entry in reading.entries)
    assert reading.repairs.invalid_entry == 3
    assert reading.problems == ()


@pytest.mark.parametrize(
    "text",
    [
        ITEMS,
        str({"items": ENTRIES}),
        str(ENTRIES),
        "Here's the list: " + str({"items": ENTRIES}) + " That's it.",
        AGREED.replace('"', "“", 1).replace('"', "”"),
        json.dumps({"recommendations": ENTRIES}),
        json.dumps({"items": ENTRIES, "note": "enjoy"}),
        json.dumps([{"items": ENTRIES}]),
        json.dumps({"items": {"1": ENTRIES[0], "2": ENTRIES[1], "3": ENTRIES[2]}}),
        json.dumps(AGREED),
        json.dumps({"items": ITEMS}),
        f"```json\n{AGREED}\n```",
        f"```\n{ITEMS}\n```\nI hope this helps [1].",
        f"As asked [see 1]: {AGREED} Enjoy!",
        f"{AGREED} {AGREED}",
        AGREED.replace("}]", "},]"),
        ITEMS.replace("}]", "},]"),
        re.sub(r'"(\w+)":', r"\1:", AGREED),
        re.sub(r'"(\w+)":', r"\1:", ITEMS).replace('"', "'"),
        str(ENTRIES).replace("}]", "},]"),
        AGREED.replace("goes with", "goes\nwith"),
        AGREED.replace("your kettle", "the kettle\\'s lid"),
        AGREED[:-2],
        AGREED[:-1],
        "\ufeff" + AGREED,
        "[3, 1, 2]",
    ],
)
def test_a_list_that_can_mean_one_thing_is_read_and_counted(text: str) -> None:
    reading = read(text)
    assert labels(reading) == [3, 1, 2]
    assert all(entry.repaired for entry in reading.entries)
    assert reading.repairs.unparseable == 1


def test_one_entry_alone_is_a_list_of_one() -> None:
    reading = read_answer('{"label": 4, "reason": "It fits"}', n_labels=6, k=1)
    assert labels(reading) == [4]


@pytest.mark.parametrize(
    "text",
    [
        f"First {DRAFT}, or better {AGREED}",  # two lists: which one?
        f"{ITEMS}\n{json.dumps(ENTRIES[::-1])}",
        items({"label": "3 or 4"}, {"label": "1-2"}, {"label": "kettle 2"}),
        items({"label": 3.5}, {"label": True}, {"label": [2]}),
        items({"id": 3}, {"number": 1}, {"place": 2}),
        items([3], [1], [2]),
        '{"items": [{"label": 3, "label": 1}]}',
        json.dumps({"good": ENTRIES, "bad": ENTRIES[::-1]}),
        "{'items': [{'label': 3, 'reason': 'It's'}, {'label': 1, 'reason': 'It's'}]}",
        "3, 1, 2",
        f"<think>{AGREED}</think>",
        f"<think>{AGREED}",
    ],
)
def test_what_can_mean_several_things_is_asked_again(text: str) -> None:
    reading = read(text)
    assert reading.entries == ()
    assert reading.problems[-1] == "it names 0 usable labels where 3 are needed"


@pytest.mark.parametrize(
    "thoughts",
    [
        "<think>{}</think>",
        "<thinking>Hm. {}</thinking>\n",
        "<THINK>\n{}\n</THINK>",
        "{} but too dear.</think>",
        "<think>{}<think>again</think>",
        "<think>one <think>two</think> {}</think>",
        "[THINK]{}[/THINK]",
        "◁think▷{}◁/think▷",
        '<think lang="en">{}</think>',
        "<analysis>{}</analysis>",
        "<|begin_of_thought|>{}<|end_of_thought|>",
        "<|START_THINKING|>{}<|END_THINKING|>",
        "<|channel|>analysis<|message|>{}<|end|><|start|>assistant<|channel|>final<|message|>",
        "<think>{}</think><think>{}</think>",
    ],
)
def test_a_draft_in_a_thought_is_not_the_answer(thoughts: str) -> None:
    reading = read(thoughts.replace("{}", DRAFT) + AGREED)
    assert labels(reading) == [3, 1, 2]


def test_a_thought_after_the_answer_takes_nothing_from_it() -> None:
    assert labels(read(f"{AGREED}<think>Or {DRAFT}?</think>")) == [3, 1, 2]
    assert labels(read(f"{AGREED}<think>Or {DRAFT}?")) == [3, 1, 2]


def test_a_mark_inside_a_reason_is_text() -> None:
    text = items({"label": 2, "reason": "I <think> it fits your kettle"})
    reading = read_answer(text, n_labels=6, k=1)
    assert (labels(reading), reading.repairs.unparseable) == ([2], 0)


@given(st.text(), st.text(alphabet="<>/think[]{}\"':, 12"))
def test_text_without_marks_stays_as_it_is(before: str, after: str) -> None:
    assert isinstance(without_thoughts(before + after), str)
    plain = before.replace("<", "").replace("[", "").replace("◁", "")
    assert without_thoughts(plain) == plain


@given(
    st.lists(st.integers(1, 6), min_size=3, max_size=3, unique=True),
    st.sampled_from([str, "{}.".format, float, " {} ".format, int]),
    st.sampled_from(["{}", "```json\n{}\n```", "Sure: {}", "<think>[1]</think>{}"]),
    st.sampled_from([json.dumps, str]),
)
def test_any_mix_of_near_misses_gives_the_list(
    wanted: list[int], written: object, around: str, dumped: object
) -> None:
    entries = [{"label": written(n), "reason": "It goes with it", "x": None} for n in wanted]  # type: ignore[operator]
    text = around.replace("{}", dumped({"items": entries}))  # type: ignore[operator]
    assert labels(read(text)) == wanted


@pytest.mark.parametrize("unit", ["[", "{", '{"a":', "[{", "'", "<think>", '{"items": [{"label": '])
def test_long_nonsense_is_read_quickly(unit: str) -> None:
    assert read(unit * 50_000).entries == ()
