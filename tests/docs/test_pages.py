"""The pages of the documentation agree with the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TASK = re.compile(r"^\| (.+\?) \| `([^`]+)` \| (?:`([^`]+)`)? ?\|$", re.MULTILINE)


def tasks() -> list[tuple[str, str, str]]:
    return TASK.findall((ROOT / "docs" / "map.md").read_text(encoding="utf-8"))


def defined(path: Path) -> set[str]:
    """The names that a Python file defines, those of methods too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def test_the_map_has_enough_tasks() -> None:
    lines = (ROOT / "docs" / "map.md").read_text(encoding="utf-8").count("?")
    assert len(tasks()) == lines >= 20


@pytest.mark.parametrize(("question", "file", "name"), tasks())
def test_the_map_leads_to_a_file_with_the_name(question: str, file: str, name: str) -> None:
    path = ROOT / file
    assert path.is_file(), question
    if name:
        assert name in defined(path), question


def test_every_room_has_a_page_of_its_api() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    shown = set(re.findall(r"reference/rooms/(\w+)\.md", text))
    assert shown == {path.parent.name for path in ROOT.glob("rag_rec/*/__init__.py")}
    assert yaml.safe_load(text)["theme"]["font"] is False  # no requests to other hosts


def test_the_picture_names_every_room() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = {path.parent.name for path in ROOT.glob("rag_rec/*/__init__.py")} | {"recommender"}
    for room in rooms:
        assert f"| `{room}` |" in page, room
