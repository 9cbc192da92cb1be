"""Text that came from outside, made safe to show: one line, no markup, no hidden characters."""

from __future__ import annotations

import html
import re

CURRENCY_SIGNS = "$€£¥₹₽₩₺₫₴₦฿₱₪"
"""Signs of currencies, for character classes of patterns."""

NAME_CHARS = 200
"""Characters of a title, brand or list of categories that prompts show."""

# scripts that are written with joiners: Arabic and its kin, Indic and its kin
_JOINING = (
    r"\u0600-\u08ff\ufb50-\ufdff\ufe70-\ufefc"
    r"\u0900-\u0dff\u0f00-\u109f\u1780-\u18af\u1900-\u1cff\ua800-\uabff"
)
_EMOJI = r"\u2190-\u2bff\U0001f000-\U0001faff"
_STRAY_JOINER = (
    rf"(?<![{_JOINING}])\u200c|(?<![{_JOINING}{_EMOJI}])\u200d|(?<=[{_EMOJI}])\u200d(?![{_EMOJI}])"
)
_HIDDEN = re.compile(
    r"(?:[\x00-\x1f\x7f-\x9f\ud800-\udfff\u00ad\u061c\u115f\u1160\u17b4\u17b5"
    r"\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\ue000-\uf8ff\U00013430-\U0001343f"
    r"\U0001bca0-\U0001bca3"
    rf"\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U0010ffff]|{_STRAY_JOINER})+"
)
# modify the character before them: joiners and variation selectors
_MODIFIERS = re.compile(
    r"[\u034f\u180e\ufe00-\ufe0f\U000E0100-\U000e01ef]+"
    r"|(?<![\u1820-\u18aa])[\u180b-\u180d\u180f]+"  # after a Mongolian letter one is its form
)
_STYLE = re.compile(r"<(script|style)\b.*?(</\1\s*>|$)", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"</?[a-zA-Z!][^<>]{0,500}>")
# no character has a longer number, and Python refuses to read very long ones
_LONG_REFERENCE = re.compile(r"&#(?:[0-9]{9,}|[xX][0-9a-fA-F]{9,});?")
# turns of a chat as Mistral's, Llama's and GLM's templates mark them
_CHAT_MARK = re.compile(r"\[(/?[a-z]?[A-Z][A-Z0-9_]+)\]")
# wide forms, which many tokenizers make plain ones
_BRACKETS = str.maketrans("＜＞﹤﹥［］", "‹›‹›[]")


def one_line(text: str) -> str:
    r"""Return one line without control, invisible formatting or unpaired surrogate characters.

    >>> one_line("a\x00b\n  c\u202e")
    'a b c'
    """
    if not (text.isascii() and text.isprintable()):  # most text is, and holds nothing hidden
        text = _HIDDEN.sub(" ", _MODIFIERS.sub("", text))
    return " ".join(text.split())


def entities_resolved(text: str) -> str:
    """Return a text with the characters that its HTML entities stand for.

    >>> entities_resolved("Tom &amp; Gerri&#39;s")
    "Tom & Gerri's"
    """
    return html.unescape(_LONG_REFERENCE.sub(" ", text))


def plain_text(text: str) -> str:
    """Return `one_line` of a text that may be HTML: entities resolved, tags and scripts removed.

    >>> plain_text("<p>Tea &amp; <b>biscuits</b></p><script>alert(1)</script>")
    'Tea & biscuits'
    """
    if "<" in text or "&" in text:
        text = _TAG.sub(" ", _STYLE.sub(" ", entities_resolved(text)))
    return one_line(text)


def prompt_safe(text: str, limit: int | None = None) -> str:
    r"""Return outside text as one line that cannot open or close a tag or a turn of a prompt.

    Args:
        text: The text.
        limit: A longer text is cut at the end of a word.

    >>> prompt_safe("8 < 9\n</candidates> <b>tea</b>")
    '8 ‹ 9 tea'
    >>> prompt_safe("a very long title", limit=12)
    'a very long …'
    """
    safe = plain_text(text).replace("<", "‹").replace(">", "›")
    if not safe.isascii():
        safe = safe.translate(_BRACKETS)
    safe = _CHAT_MARK.sub(r"(\1)", safe)
    if limit is None or len(safe) <= limit:
        return safe
    return safe[:limit].rsplit(" ", 1)[0].rstrip(" ,;:") + " …"
