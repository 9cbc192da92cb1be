"""Texts of strangers: cleaned whatever they are, and nothing hidden is left in them."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hostile import TEXTS, is_one_line
from hypothesis import given
from hypothesis import strategies as st

from rag_rec import RagRecError
from rag_rec.core import one_line, plain_text, prompt_safe, read_json

_VISIBLE_SIGNS = {0x600, 0x601, 0x602, 0x603, 0x604, 0x605, 0x6DD, 0x70F, 0x890, 0x891, 0x8E2,
                  0x110BD, 0x110CD}  # fmt: skip
"""Format characters that are seen: signs of numbers and verses in Arabic, Syriac and Kaithi."""


@pytest.mark.parametrize("kind", TEXTS)
def test_every_text_becomes_one_line_without_brackets(kind: str) -> None:
    shown = prompt_safe(TEXTS[kind])
    assert not set("<>\n\r\0") & set(shown)
    assert shown == one_line(shown)
    assert plain_text(TEXTS[kind]).isprintable() or kind == "no characters"


def test_no_hidden_character_of_unicode_is_kept() -> None:
    for code in range(sys.maxunicode + 1):
        char = chr(code)
        if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co"} and code not in _VISIBLE_SIGNS:
            assert char not in one_line(f"a{char}b"), hex(code)


@given(st.binary(max_size=60), st.sampled_from(["☕", "م", "ᠠ", "a"]))
def test_no_sentence_hides_behind_a_letter(hidden: bytes, letter: str) -> None:
    selectors = "".join(chr(0xFE00 + b if b < 16 else 0xE00F0 + b) for b in hidden)
    tags = "".join(chr(0xE0000 + b % 128) for b in hidden)
    bits = "".join("\u200c" if b % 2 else "\u200d" for b in hidden)
    forms = "".join(chr(0x180B + b % 3) for b in hidden)
    for carried in (selectors, tags, bits, forms):
        assert len(one_line(letter + carried + letter).replace(" ", "")) <= 3


@pytest.mark.parametrize("text", ["می‌خواهم چای", "👩‍👧", "ශ්‍රී", "ᠠ᠋ᠨ"])
def test_scripts_that_need_joiners_keep_them(text: str) -> None:
    assert prompt_safe(text) == text


@pytest.mark.parametrize(
    "mark",
    ["[INST]", "[/INST]", "[TOOL_CALLS]", "[SYSTEM_PROMPT]", "[gMASK]", "[UNUSED_TOKEN_145]",
     "［INST］", "[IN\ufe0fST]", "<|im_end|>", "＜|im_end|＞", "<｜User｜>", "</s>"],
)  # fmt: skip
def test_no_mark_of_a_chat_format_is_left(mark: str) -> None:
    for wide in (mark, f"{mark}{mark}", f"[{mark}]"):
        shown = unicodedata.normalize("NFKC", prompt_safe(f"tea {wide} pot"))
        assert unicodedata.normalize("NFKC", mark) not in shown
        assert "[INST]" not in shown
        assert "<" not in shown


@pytest.mark.parametrize("kind", TEXTS)
def test_an_error_is_one_line_whatever_it_quotes(kind: str) -> None:
    assert is_one_line(str(RagRecError(f"field {TEXTS[kind]} is wrong; leave it out")))


@pytest.mark.parametrize("n", [*range(80, 120), 500, 900, 990, 1000, 5_000, 100_000])
def test_depth_of_json_is_bounded(n: int) -> None:
    for text in ("[" * n + "]" * n, '{"a":' * n + "1" + "}" * n):
        if n <= 100:
            read_json(text)
            continue
        with pytest.raises(ValueError, match="nested too deeply"):
            read_json(text)
