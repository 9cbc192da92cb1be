"""Write the rooms of the package into docs/architecture.md.

The order comes from the layers contract in pyproject.toml, the imports from the code (grimp), and
the sentence about a room from the docstring of its face. `--check` only compares.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from pathlib import Path

import grimp
from generated import ROOT, replace_section, write_or_check

PACKAGE = "rag_rec"
PAGE = ROOT / "docs" / "architecture.md"


def read_layers(pyproject: Path) -> list[list[str]]:
    """The rooms of each layer, the uppermost layer first."""
    settings = tomllib.loads(pyproject.read_text(encoding="utf-8"))["tool"]["importlinter"]
    (layers,) = [each["layers"] for each in settings["contracts"] if each["type"] == "layers"]
    return [[room.strip() for room in layer.split("|")] for layer in layers]


def read_imports(layers: list[list[str]]) -> dict[str, list[str]]:
    """The rooms that each room imports, the uppermost first."""
    graph = grimp.build_graph(PACKAGE)
    order = [room for layer in layers for room in layer]
    found: dict[str, set[str]] = {room: set() for room in order}
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            upper, lower = room_of(module), room_of(imported)
            if upper in found and upper != lower:
                found[upper].add(lower)
    return {room: sorted(lowers & set(order), key=order.index) for room, lowers in found.items()}


def room_of(module: str) -> str:
    """The room of a dotted name; empty for the package itself."""
    return module.partition(".")[2].partition(".")[0]


def first_sentence(room: str) -> str:
    """The first line of the docstring of a room's face."""
    folder = ROOT / PACKAGE / room
    path = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(text.partition("\n\n")[0].split())


def draw(layers: list[list[str]]) -> str:
    """The layers as a picture, one box a layer."""
    texts = [" | ".join(layer) for layer in layers]
    width = max(map(len, texts))
    rule = "+" + "-" * (width + 2) + "+"
    boxes = "\n".join(f"| {text:^{width}} |\n{rule}" for text in texts)
    return f"```text\n{rule}\n{boxes}\n```"


def tabulate(layers: list[list[str]], imports: dict[str, list[str]]) -> str:
    """The table of the rooms: contents and imports, the lowest room first."""
    lines = ["| room | contents | imports |", "|---|---|---|"]
    for room in reversed([room for layer in layers for room in reversed(layer)]):
        lowers = ", ".join(f"`{lower}`" for lower in imports[room]) or "nothing"
        contents = first_sentence(room).replace("|", "\\|")
        lines.append(f"| `{room}` | {contents} | {lowers} |")
    return "\n".join(lines)


def main() -> int:
    """Write or check the page."""
    layers = read_layers(ROOT / "pyproject.toml")
    text = f"{draw(layers)}\n\n{tabulate(layers, read_imports(layers))}"
    page = replace_section(PAGE.read_text(encoding="utf-8"), "rooms", text)
    return write_or_check(PAGE, page, script="scripts/write_architecture.py")


if __name__ == "__main__":
    sys.exit(main())
