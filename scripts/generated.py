"""Text that scripts write into the documentation, and the check that it is current."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
START, END = "<!-- begin: {} -->", "<!-- end: {} -->"


def replace_section(page: str, name: str, text: str) -> str:
    """A page with the text between the two markers of a name replaced.

    Raises:
        ValueError: The page lacks one of the markers.
    """
    start, end = START.format(name), END.format(name)
    before, found, rest = page.partition(start)
    _, found_end, after = rest.partition(end)
    if not found or not found_end:
        raise ValueError(f"the page lacks the markers {start} and {end}")
    return f"{before}{start}\n{text.strip()}\n{end}{after}"


def write_or_check(path: Path, text: str, *, script: str) -> int:
    """Write a page, or with `--check` compare it; return the exit status."""
    current = path.read_text(encoding="utf-8") if path.exists() else ""
    if current == text:
        return 0
    shown = path.relative_to(ROOT)
    if "--check" in sys.argv[1:]:
        print(f"{shown} is out of date: run {script}")
        return 1
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    print(f"wrote {shown}")
    return 0
