"""Texts on their way out: nothing acts on a page, a terminal or a spreadsheet."""

from __future__ import annotations

import csv
import io
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_rec.core import has_address, neutral, safe_cell, spoken, visible, visible_json

LINKS = [
    "[win big](http://evil.example/?u=1)",
    "![x](data:image/png,abc)",
    "<img src=x onerror=alert(1)>",
    "<img src=x onerror=alert(1)",
    "&lt;a href=//evil.example&gt;",
    "&#104;ttp://evil.example",
    "https://evil.example",
    "www.evil.example",
    "javascript:alert(1)",
    "mailto:bob@evil.example",
]
ADDRESSES = [
    *LINKS,
    "evil-shop.com",
    "EVIL-SHOP.COM",
    "evil．com",
    "пример.рф",
    "t.me/evil",
    "evil [dot] com",
    "bob@evil",
    "@evilshop",
    "45.33.32.156",
    "+1 900 555 0100",
    "1900555",
    "(0900) 555-01-00",
]


@pytest.mark.parametrize("link", LINKS)
def test_a_name_keeps_no_link_and_no_markup(link: str) -> None:
    shown = neutral(f"Tea {link} pot")
    assert shown.startswith("Tea ")
    assert shown.endswith(" pot") or "<img" in link
    for mark in ("](", "://", "<", "www.", "javascript:", "mailto:"):
        assert mark not in shown


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_sentence_names_no_address(address: str) -> None:
    sentence = f"Order this tea at {address} today."
    assert has_address(sentence)
    assert not has_address(spoken(sentence))
    assert spoken(sentence).endswith(" today.")


HONEST = [
    "A kettle of 1.5 l, e.g. for tea at 5 p.m., from 2019-2023.",
    "Great.It lasts, and costs 1,234.50; released on 2024-01-02.",
    "M*A*S*H, C#, snake_case_name and AT&T: no. 7 of 10 (9/10).",
    "Written in Node.js; see README.txt.",
    "Größe 36–44, Übergröße; 100 % Baumwolle.",
    "好茶。推荐 3 < 5",
]


@pytest.mark.parametrize("text", HONEST)
def test_an_honest_sentence_stays_as_it_is(text: str) -> None:
    assert not has_address(text)
    assert spoken(text) == neutral(text) == text


def test_a_domain_that_is_the_brand_may_be_named() -> None:
    assert spoken("A card from Booking.com", ["Booking.com"]) == "A card from Booking.com"
    assert spoken("A card from booking.com.evil.example", ["Booking.com"]) == "A card from …"


def test_emphasis_is_no_reason_to_lose_a_sentence() -> None:
    assert spoken("# A **fine** _small_ `pot` &amp; lid") == "A fine small 'pot' & lid"


@given(st.text())
def test_what_is_spoken_holds_nothing_that_acts(text: str) -> None:
    shown = spoken(text)
    assert not has_address(shown)
    assert "\n" not in shown
    assert visible(shown) == shown


FORMULAS = [
    "=1+1",
    "+1",
    "-1",
    "@x",
    " =1",
    "＝1",
    "\t=1",
    "\r=1",
    "\n=1",
    "tea;=1+1",
    "tea; =1",
    'tea;"=1',
    "tea\t@x",
]


@pytest.mark.parametrize("text", FORMULAS)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_no_spreadsheet_finds_a_formula_whatever_it_separates_by(text: str, separator: str) -> None:
    file = io.StringIO(newline="")
    csv.writer(file).writerow(["a", safe_cell(text), 1])
    file.seek(0)
    cells = [cell for row in csv.reader(file, delimiter=separator) for cell in row]
    assert not any(cell.lstrip(" \t").startswith(("=", "+", "-", "@", "＝")) for cell in cells)


@pytest.mark.parametrize(
    "escape", ["\x1b[2J", "\x9b2J", "\x1b]8;;http://evil\x1b\\", "\r", "\x07", "\u202e"]
)
def test_a_terminal_obeys_nothing(escape: str) -> None:
    assert visible(f"a{escape}\nb").isprintable() or visible(f"a{escape}\nb").count("\n") == 1
    assert not {"\x1b", "\x9b", "\r", "\x07", "\u202e"} & set(visible(f"a{escape}b"))


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_visible_json_says_the_same(text: str) -> None:
    import json

    document = json.dumps({text: text}, ensure_ascii=False)
    assert json.loads(visible_json(document)) == {text: text}
    assert visible(visible_json(document)) == visible_json(document)


HOSTILE = [
    "a.",
    "-",
    "*a",
    "1 ",
    "@",
    "a@",
    "http:",
    "_",
    "[(",
    "<a",
    "a dot ",
    "www",
    "'",
    ";",
    "(1",
]


@pytest.mark.parametrize("unit", HOSTILE)
def test_hostile_text_takes_no_long_time(unit: str) -> None:
    text = unit * (60_000 // len(unit))
    started = time.process_time()
    for clean in (neutral, spoken, has_address, safe_cell, visible):
        clean(text)
    assert time.process_time() - started < 5


@given(st.lists(st.sampled_from([*"aB.@[]() -:/<&*1", "dot", "com", "evil"]), max_size=16))
def test_plain_letters_are_judged_as_others_are(parts: list[str]) -> None:
    text = "".join(parts)
    assert has_address(text) == has_address(f"é {text}")
