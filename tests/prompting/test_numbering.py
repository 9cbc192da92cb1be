"""Numbers of evidence, the order of the history, and what each setting of a variant shows."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_rec import Candidate, Evidence, Item, PromptError, UserHistory
from rag_rec.llm import ByteEstimate
from rag_rec.prompting import PromptRenderer, PromptSettings, RenderedPrompt, Variant, facts_of

ITEMS = {
    letter: Item(item_id=letter, title=f"Title {letter}", description="word " * 30)
    for letter in "abcdef"
}
VARIANT = """
description = "x"
system = "$k"
user = "<$history>\\n<$candidates>\\n<$profile>"
history_line = "H$ref $n $title"
candidate_line = "C$ref $label $title $description $hint"
evidence_line = "E$ref $text"
[settings]
"""


def render(settings: str, *, k: int = 2, profile: str | None = None) -> RenderedPrompt:
    history = UserHistory.of("a", "b", "c").model_copy(update={"profile": profile})
    sources = {"smoothed": 4, "content": 2, "popular": 9, "sequence": 1}
    reviews = {
        i: [Evidence(item_id=i, kind="review", text=f"{i}{n} review " * 9) for n in (1, 2, 3)]
        for i in "def"
    }
    renderer = PromptRenderer(Variant("x", VARIANT + settings), ByteEstimate())
    return renderer.render(
        history, [Candidate(i, 1.0, sources) for i in "def"], k=k, budget=4_000,
        item_of=ITEMS.__getitem__, evidence=reviews,
    )  # fmt: skip


def lines(settings: str, start: str) -> list[str]:
    text = render(settings).messages[-1][1].replace("<", "").replace(">", "")
    return [line for line in text.splitlines() if line.startswith(start)]


@pytest.mark.parametrize(
    ("settings", "events"),
    [
        ("", ["H3 3 Title a", "H2 2 Title b", "H1 1 Title c"]),
        ('history_order = "newest_first"', ["H1 1 Title c", "H2 2 Title b", "H3 3 Title a"]),
        ("max_history = 2", ["H2 2 Title b", "H1 1 Title c"]),
        ("max_history = 0", []),
    ],
)
def test_the_latest_event_is_number_one_in_either_order(settings: str, events: list[str]) -> None:
    assert lines(settings, "H") == events


def test_candidates_and_their_quotations_have_numbers_behind_those_of_events() -> None:
    settings = "max_history = 5\nevidence = 2\ncitations = true"
    assert [line.split()[0] for line in lines(settings, "C")] == ["C6", "C9", "C12"]
    assert [line.split()[:2] for line in lines(settings, "E")] == [
        ["E7", "d1"], ["E8", "d2"], ["E10", "e1"], ["E11", "e2"], ["E13", "f1"], ["E14", "f2"],
    ]  # fmt: skip
    shown = render(settings, profile="likes <b>tea</b>").evidence
    numbers = {(e.item_id, e.kind, e.text[:2]): e.number for e in shown}
    assert numbers["c", "past", "Ti"] == 1
    assert numbers["a", "past", "Ti"] == 3
    assert numbers["e", "item", "Ti"] == 9
    assert numbers["f", "review", "f2"] == 14
    (own,) = [e for e in shown if e.kind == "profile"]
    assert (own.number, own.text) == (None, "likes tea")


@given(st.integers(0, 30), st.integers(0, 4), st.integers(1, 40))
def test_no_two_pieces_of_evidence_have_one_number(past: int, quotes: int, labels: int) -> None:
    settings = PromptSettings(max_history=past, evidence=quotes)  # type: ignore[call-arg]
    numbers = [
        settings.candidate_number(label, piece)
        for label in range(1, labels + 1)
        for piece in range(quotes + 1)
    ]
    assert numbers == list(range(past + 1, past + 1 + len(numbers)))


def test_settings_limit_what_is_shown() -> None:
    assert render("max_candidates = 1").labels == ("d", "e"), "never fewer than k"
    assert render("max_candidates = 1", k=1).labels == ("d",)
    assert render("evidence = 0").n_evidence == 0
    assert render("evidence = 9").n_evidence == 9
    assert render("evidence = 1\ncitations = true\nreason_chars = 0").evidence == ()
    (line, *_) = lines("description_chars = 20", "C")
    assert line.startswith("C21 1 Title d word word word")
    assert len(line) - len("C21 1 Title d  sequence #1, content #2, smoothed #4") <= 21
    assert line.endswith(" sequence #1, content #2, smoothed #4"), "the three best sources"
    quote = lines("evidence = 1\nevidence_chars = 20", "E")[0]
    assert quote == "E22 d1 review d1 review …"
    tight = render("").tokens - 5
    assert render(f"budget_tokens = {tight}").tokens <= tight


def test_what_is_unknown_has_a_word_of_its_own() -> None:
    assert "<(nothing known)>" in render("").messages[-1][1]
    assert "<(nothing known)>\n<C1" in render("max_history = 0").messages[-1][1]


@pytest.mark.parametrize(
    ("item", "facts"),
    [
        ({"title": "Kettle, 0.9 l", "brand": "Anna", "price": 49.9, "categories": ("Tea", "Pots"),
          "released": date(2021, 4, 1)}, "Kettle, 0.9 l · Anna · 49.90 · Tea · Pots · 2021-04-01"),
        ({"title": "", "price": 0.0}, "x1 · 0.00"),
        ({"title": "<b>Tea</b>\nfor two"}, "Tea for two"),
        ({"title": "Tea", "description": "never shown"}, "Tea"),
    ],
)  # fmt: skip
def test_facts_of_an_item_in_one_line(item: dict[str, object], facts: str) -> None:
    assert facts_of(Item(item_id="x1", **item)) == facts  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("addition", "match"),
    [
        ("max_candidates = 0", "settings.max_candidates: .*greater than or equal to 1"),
        ("evidence_chars = 5", "settings.evidence_chars: .*greater than or equal to 20"),
        ('history_order = "any"', "settings.history_order: .*'oldest_first' or 'newest_first'"),
        ("citations = 7", "settings.citations"),
    ],
)
def test_a_setting_out_of_range_is_named(addition: str, match: str) -> None:
    with pytest.raises(PromptError, match=rf"x\.toml: {match}"):
        Variant("x", VARIANT + addition)


def test_citations_need_a_number_in_every_line() -> None:
    for line in ("H$ref", "C$ref", "E$ref"):
        with pytest.raises(PromptError, match=r"_line: must contain \$ref"):
            Variant("x", VARIANT.replace(line, line[0]) + "citations = true")
