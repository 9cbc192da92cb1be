"""Packing: what fits is shown in rank order, what does not is named, and numbers stay right."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rag_rec import BudgetTooSmall, Candidate, Evidence, Interaction, Item, UserHistory
from rag_rec.core import NAME_CHARS
from rag_rec.llm import ByteEstimate
from rag_rec.prompting import PromptRenderer, RenderedPrompt, Variant, facts_of, load_variant

VARIANT = """
description = "For tests."
system = "Choose $k."
user = "<candidates>\\n$candidates\\n</candidates>\\n$history\\n$profile"
history_line = "[$ref] $title"
candidate_line = "$label. [$ref] $title: $description"
evidence_line = "   [$ref] $text"
[settings]
max_history = 3
max_candidates = 6
evidence = 2
description_chars = 4000
citations = true
"""


def items_of(sizes: Sequence[int]) -> dict[str, Item]:
    return {
        f"i{n}": Item(item_id=f"i{n}", title=f"Thing {n}", description="word " * size)
        for n, size in enumerate(sizes)
    }


def render(sizes: Sequence[int], budget: int, k: int = 2, **more: Any) -> RenderedPrompt:
    items = items_of(sizes)
    evidence = {
        i: [Evidence(item_id=i, kind="review", text=f"{i} is {word}") for word in ("good", "red")]
        for i in items
    }
    renderer = PromptRenderer(Variant("test", VARIANT), ByteEstimate())
    return renderer.render(
        more.pop("history", UserHistory.of("i0")),
        [Candidate(i, 1.0, {"content": 1}) for i in items],
        k=k,
        budget=budget,
        item_of=items.__getitem__,
        evidence=evidence,
    )


def test_a_candidate_that_does_not_fit_is_left_out_and_named() -> None:
    prompt = render([1, 1, 700, 1, 1], budget=500)
    assert prompt.labels == ("i0", "i1", "i3", "i4")
    assert prompt.left_out == ("i2",)
    body = prompt.messages[-1][1]
    shown = [re.match(r"(\d)\. \[\d+\] (Thing \d)", line) for line in body.splitlines()]
    labels = [(match[1], match[2]) for match in shown if match]
    assert labels == [("1", "Thing 0"), ("2", "Thing 1"), ("3", "Thing 3"), ("4", "Thing 4")]


def test_the_first_may_be_the_one_that_does_not_fit() -> None:
    prompt = render([700, 1, 1], budget=400)
    assert (prompt.labels, prompt.left_out) == (("i1", "i2"), ("i0",))


def test_candidates_behind_the_last_shown_are_not_left_out() -> None:
    prompt = render([1] * 9, budget=4_000)
    assert prompt.labels == tuple(f"i{n}" for n in range(6))
    assert prompt.left_out == ()


def test_numbers_cite_what_they_stand_beside() -> None:
    prompt = render([1, 700, 1, 1], budget=500)
    assert prompt.labels == ("i0", "i2", "i3")
    said = {e.number: e for e in prompt.evidence if e.number is not None}
    assert len(said) == sum(e.number is not None for e in prompt.evidence)
    lines = prompt.messages[-1][1].splitlines()
    numbered = [(int(m[1]), line) for line in lines if (m := re.search(r"\[(\d+)\]", line))]
    assert {number for number, _ in numbered} == said.keys()
    for number, line in numbered:
        evidence = said[number]
        if evidence.kind == "review":
            assert evidence.text in line
        else:
            assert evidence.text.split(" · ")[0] in line


@example([83, 0], 200)  # the longer one fits by the sum of the parts, and not as a whole
@given(st.lists(st.integers(0, 300), min_size=1, max_size=8), st.integers(100, 1_500))
def test_what_is_shown_and_what_is_left_out_are_the_best_in_order(
    sizes: list[int], budget: int
) -> None:
    try:
        prompt = render(sizes, budget, k=1)
    except BudgetTooSmall:
        assert min(sizes[:6]) > 0 or budget < 200  # the variant shows six
        return
    assert prompt.tokens <= budget
    together = sorted([*prompt.labels, *prompt.left_out])
    assert together == [f"i{n}" for n in range(len(together))]
    assert list(prompt.labels) == sorted(prompt.labels)


@pytest.mark.parametrize(
    ("history", "sizes", "part"),
    [
        (UserHistory(profile="tea " * 900), [1, 1, 1], "the words about the user"),
        (UserHistory(), [1, 700, 700], "item 'i1'"),
        (UserHistory(), [700, 1, 700], "item 'i0'"),
    ],
)
def test_the_part_that_is_too_long_is_named(
    history: UserHistory, sizes: list[int], part: str
) -> None:
    with pytest.raises(BudgetTooSmall, match=rf"largest part is {part} with \d{{3,}}; shorten it"):
        render(sizes, budget=400, history=history)


@pytest.mark.timeout(20)
def test_a_prompt_without_candidates_that_is_too_long_is_refused() -> None:
    with pytest.raises(BudgetTooSmall):
        render([], budget=1, history=UserHistory())


LONG = {
    "title": "very " * 6_000,
    "brand": "b" * 30_000,
    "categories": tuple(f"kind {n}" for n in range(4_000)),
    "description": "long " * 6_000,
}


@pytest.mark.parametrize("field", LONG)
def test_a_long_field_is_cut_at_a_word_in_every_line(field: str) -> None:
    item = Item.model_validate({"item_id": "a", "title": "Tea", field: LONG[field]})
    assert len(facts_of(item)) <= NAME_CHARS + 10
    for name in ("plain", "timeline", "reviews", "cited"):
        renderer = PromptRenderer(load_variant(name), ByteEstimate())
        prompt = renderer.render(
            UserHistory.of("a"),
            [Candidate("a", 1.0, {})],
            k=1,
            budget=4_000,
            item_of=lambda _: item,
        )
        assert (prompt.labels, prompt.n_history) == (("a",), 1)
        assert max(map(len, prompt.messages[-1][1].splitlines())) < 3 * NAME_CHARS


@pytest.mark.parametrize("time", [10**18, -(10**11), 253_402_300_800, None])
def test_a_time_outside_the_calendar_is_a_dash(time: int | None) -> None:
    item = Item(item_id="a", title="Tea")
    history = UserHistory(events=(Interaction(item_id="a", timestamp=time),))
    variant = load_variant("timeline")
    renderer = PromptRenderer(variant, ByteEstimate())
    prompt = renderer.render(
        history, [Candidate("a", 1.0, {})], k=1, budget=2_000, item_of=lambda _: item
    )
    line = variant.history_line.safe_substitute(title="Tea", date="–", rating="–")
    assert line in prompt.messages[-1][1].splitlines()
