"""The layout check finds each fault in a bad tree, and none in a good one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "check_layout.py"

GOOD = {
    "shop/__init__.py": '"""Sell things."""\n\nfrom shop.core import Thing\n',
    "shop/core/__init__.py": '"""Nouns."""\n\nfrom shop.core.thing import Thing\n\n'
    '__all__ = ["Thing"]\n',
    "shop/core/thing.py": '"""One thing."""\n\n\nclass Thing:\n    """One thing."""\n',
    "shop/retrieval/__init__.py": '"""Find."""\n\nfrom shop.retrieval.base import Retriever\n\n'
    '__all__ = ["Retriever"]\n',
    "shop/retrieval/base.py": '"""The protocol."""\n\nfrom typing import Protocol\n\n'
    "from shop.core import Thing\n\n\nclass Retriever(Protocol):\n    "
    "def retrieve(self, k: int) -> list[Thing]: ...\n",
    "shop/retrieval/shelf.py": "from shop.retrieval.base import Retriever\n\n\n"
    "class Shelf(Retriever):\n    def retrieve(self, k: int) -> list[Thing]: ...\n",
    "shop/app.py": "def run() -> None:\n    from shop.core import Thing\n",
}

BAD = [
    pytest.param("app.py", "from shop.core.thing import Thing", "inside of a room", id="inside"),
    pytest.param(
        "app.py",
        "def late():\n    from shop.core.thing import Thing",
        "app.py:2: imports the inside of a room (shop.core.thing); import from shop.core",
        id="inside, in a function",
    ),
    pytest.param("app.py", "import shop.core.thing", "inside of a room", id="inside, by module"),
    pytest.param("app.py", "from shop.core import thing", "not listed in __all__", id="unlisted"),
    pytest.param("app.py", "from shop import Thing", "import the room that has it", id="package"),
    pytest.param("app.py", "from .core import Thing", "relative import", id="relative"),
    pytest.param("core/more.py", "from shop.core import Thing", "its own face", id="own face"),
    pytest.param("app.py", "class Thing: ...", "class Thing is also in", id="class"),
    pytest.param("app.py", "class Outer:\n    class Thing: ...", "also in", id="inner class"),
    pytest.param("app.py", "class Sequence: ...", "Sequence shadows", id="abc"),
    pytest.param("app.py", "Counter = int", "Counter shadows", id="typing"),
    pytest.param("app.py", "def filter(): ...", "filter shadows", id="builtin"),
    pytest.param("app.py", "from shop.retrieval import Shelf", "retriever Shelf", id="retriever"),
    pytest.param("app.py", "x: 'int' = thing.Shelf", "retriever Shelf", id="retriever, by module"),
    pytest.param("app.py", '"""Where it runs."""', "begins with 'Where'", id="module docstring"),
    pytest.param("app.py", 'def f():\n    """How, then."""', "begins with 'How,'", id="docstring"),
    pytest.param("core/thing.py", "import shop.core.two", "circle", id="circle"),
    pytest.param("app.py", "pass\n" * 401, "401 lines", id="long file"),
]


def write_tree(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder / "shop"


def check(package: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), str(package)], capture_output=True, text=True, timeout=60
    )


def test_a_good_tree_has_no_findings(tmp_path: Path) -> None:
    done = check(write_tree(tmp_path, GOOD))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(("name", "text", "expected"), BAD)
def test_a_bad_file_is_one_finding(tmp_path: Path, name: str, text: str, expected: str) -> None:
    extra = {"shop/core/two.py": "from shop.core.thing import Thing\n"} if "two" in text else {}
    done = check(write_tree(tmp_path, GOOD | extra | {f"shop/{name}": text}))
    assert done.returncode == 1
    assert any(expected in line for line in done.stdout.splitlines())
    assert done.stderr == ""


def test_a_full_folder_is_found(tmp_path: Path) -> None:
    more = {f"shop/core/file_{n}.py": "" for n in range(13)}
    done = check(write_tree(tmp_path, GOOD | more))
    assert done.stdout == "shop/core:1: 15 Python files; at most 14 are allowed\n"


def test_findings_are_sorted_one_a_line(tmp_path: Path) -> None:
    files = {"shop/a.py": "class List: ...\nclass Any: ...", "shop/b.py": "from shop import x"}
    lines = check(write_tree(tmp_path, GOOD | files)).stdout.splitlines()
    assert [line.split(" ")[0] for line in lines] == [
        "shop/a.py:1:",
        "shop/a.py:2:",
        "shop/b.py:1:",
    ]
