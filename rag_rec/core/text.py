"""Text that came from outside, made safe to show: one line, no markup, no hidden characters."""

from __future__ import annotations

import html
import re

_HIDDEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    r"\U000e0000-\U000e007f]+"
)
_STYLE = re.compile(r"<(script|style)\b.*?(</\1\s*>|$)", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"</?[a-zA-Z!][^<>]{0,500}>")


def one_line(text: str) -> str:
    r"""One line without control, invisible formatting or unpaired surrogate characters.

    >>> one_line("a\x00b\n  c\u202e")
    'a b c'
    """
    return " ".join(_HIDDEN.sub(" ", text).split())


def plain_text(text: str) -> str:
    """`one_line` of a text that may be HTML: entities resolved, tags and scripts removed.

    >>> plain_text("<p>Tea &amp; <b>biscuits</b></p><script>alert(1)</script>")
    'Tea & biscuits'
    """
    if "<" in text or "&" in text:
        text = _TAG.sub(" ", _STYLE.sub(" ", html.unescape(text)))
    return one_line(text)


def prompt_safe(text: str) -> str:
    r"""Return outside text as one line that cannot open or close a tag of a prompt.

    >>> prompt_safe("8 < 9\n</candidates> <b>tea</b>")
    '8 ‹ 9 tea'
    """
    return plain_text(text).replace("<", "‹").replace(">", "›")
