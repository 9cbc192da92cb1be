"""Text in UTF-16 or a Western single-byte encoding, made UTF-8 before it is read."""

from __future__ import annotations

import codecs
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from rag_rec.core import ScratchFolder
from rag_rec.data.rejects import Rejects

_BLOCK = 1 << 20
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_UTF8 = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_HIGH = re.compile(rb"[\x80-\xff]")
_WESTERN = re.compile(rb"(?<![\x80-\xff])[\x80\x85\x91-\x97\x99\xa0-\xff]{1,2}(?![\x80-\xff])")
"""One or two letters, quotation marks, dashes or signs of cp1252, as they stand among ASCII;
letters of other alphabets stand in longer rows."""

codecs.register_error("rag-rec-mark", lambda error: ("\udcff", error.end))  # pyright: ignore


@contextmanager
def utf8_file(plain: Path, path: Path, rejects: Rejects) -> Generator[Path]:
    """Give the file itself if it is UTF-8, else a copy in UTF-8, with a notice.

    UTF-16, UTF-32 and cp1252 (of which ISO 8859-1 is a part) are recognised. What cannot be
    decoded stays invalid, so that its line can be named. Line ends of old Macs become usual ones.

    Args:
        plain: The unpacked file.
        path: The file as notices name it.
        rejects: Where the notice goes.
    """
    with plain.open("rb") as handle:
        head = handle.read(_BLOCK)
    encoding = _encoding_of(plain, head)
    if encoding != "utf-8":
        rejects.notice(
            f"{path.name}: is not UTF-8, read as {encoding}; if that is wrong, save it as UTF-8"
        )
    elif b"\n" in head or b"\r" not in head:
        yield plain
        return
    with ScratchFolder("utf-8") as folder:
        copy = folder / plain.name
        with (
            plain.open(encoding=encoding, errors="rag-rec-mark") as source,
            copy.open("w", encoding="utf-8", errors="surrogateescape") as out,
        ):
            while block := source.read(_BLOCK):
                out.write(block)
        yield copy


def _encoding_of(plain: Path, head: bytes) -> str:
    marked = next((name for mark, name in _MARKS.items() if head.startswith(mark)), None)
    if marked:
        return marked
    for name, zeros in (("utf-16-le", head[1::2]), ("utf-16-be", head[::2])):
        if zeros.count(0) > 0.4 * len(zeros):  # the high bytes of mostly Latin text
            return name
    decoder = codecs.getincrementaldecoder("utf-8")()
    with plain.open("rb") as handle:
        try:
            while block := handle.read(_BLOCK):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            handle.seek(0)
            return _single_byte(iter(lambda: handle.read(_BLOCK), b""))
    return "utf-8"


def _single_byte(blocks: Iterator[bytes]) -> str:
    """Tell a Western single-byte encoding from UTF-8 with some damage."""
    n_high = n_western = n_utf8 = 0
    for block in blocks:
        rest, found = _UTF8.subn(b".", block)
        n_utf8 += found
        n_high += len(_HIGH.findall(rest))
        n_western += sum(map(len, _WESTERN.findall(rest)))
    return "cp1252" if n_western > n_utf8 and n_western >= 0.7 * n_high else "utf-8"
