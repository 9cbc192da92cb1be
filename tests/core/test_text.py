"""Outside text on one line: hidden characters go, joiners stay where a script needs them."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_rec.core import one_line, prompt_safe

FAMILY = "\U0001f469\u200d\U0001f467"
HEART = "\U0001f469\u200d\u2764\u200d\U0001f469"


@pytest.mark.parametrize(
    "text",
    ["می\u200cخواهم چای", "കാര്\u200d", "क्\u200dष", "ක්\u200dෂ", "বাংলা\u200cদেশ", FAMILY, HEART],
)
def test_joiners_of_scripts_and_emoji_stay(text: str) -> None:
    assert one_line(text) == prompt_safe(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\u200db\u200cc", "a b c"),
        ("می\u200c\u200c\u200c\u200dخ", "می\u200c خ"),
        (f"{FAMILY}\u200dtext", f"{FAMILY} text"),
        ("\u200cx", "x"),
        ("a\u202eb\u2066c\u200e\u200fd\x00e\u00adf\ufeffg", "a b c d e f g"),
        ("tag\U000e0041\U000e007f", "tag"),
    ],
)
def test_joiners_elsewhere_and_other_hidden_characters_go(text: str, shown: str) -> None:
    assert one_line(text) == shown


@given(st.text(st.sampled_from("aب1 क\u200c\u200d\u200e\u202a\u2067\U0001f469\x07")))
def test_no_control_or_direction_is_left_and_no_joiner_stands_alone(text: str) -> None:
    shown = one_line(text)
    assert one_line(shown) == shown
    for before, char in zip(" " + shown, shown, strict=False):
        assert unicodedata.category(char) != "Cc"
        if unicodedata.category(char) == "Cf":
            assert char in "\u200c\u200d"
            assert before not in "a1 \u200c\u200d"
