"""Check the layout of the package: folders, faces, names, docstrings and circles.

Run it as `python scripts/check_layout.py [FOLDER]`. It prints one line a finding and exits with 1
when there is one. import-linter checks the order of the rooms; this script checks the rest:

- a folder holds at most 14 Python files, a file at most 400 lines;
- other rooms import a room through its face, and only names that the face lists;
- a room does not import its own face, and nothing imports the face of the package;
- a class name occurs once, and no public name shadows one of the standard library;
- nothing outside `retrieval` names a class that implements `Retriever`;
- no docstring begins with a question word;
- files do not import each other in a circle.
"""

from __future__ import annotations

import ast
import builtins
import collections.abc
import sys
import typing
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

MOST_FILES = 14
MOST_LINES = 400
QUESTIONS = {"What", "Whether", "How", "Where", "Why"}
TAKEN = {
    name
    for module in (builtins, typing, collections.abc)
    for name in dir(module)
    if not name.startswith("_")
}


@dataclass(frozen=True, order=True)
class Finding:
    """One place that breaks a rule."""

    path: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


@dataclass(frozen=True)
class Import:
    """One imported name: `from module import name`, or `import module` without a name."""

    module: str
    name: str | None
    line: int


@dataclass(frozen=True)
class File:
    """One parsed Python file of the package."""

    path: Path
    package: Path

    @cached_property
    def text(self) -> str:
        """The source."""
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        """The parsed source."""
        return ast.parse(self.text, filename=str(self.path))

    @property
    def shown(self) -> str:
        """The path that findings show, from the package's folder on."""
        return self.path.relative_to(self.package.parent).as_posix()

    @property
    def module(self) -> str:
        """The dotted name."""
        parts = self.path.relative_to(self.package.parent).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def room(self) -> str:
        """The first folder or file below the package; empty for the package's own face."""
        return room_of(self.module)

    @cached_property
    def imports(self) -> list[Import]:
        """Every import, those inside functions included."""
        found: list[Import] = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found += [Import(alias.name, None, node.lineno) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                module = "." * node.level + (node.module or "")
                found += [Import(module, alias.name, node.lineno) for alias in node.names]
        return found

    def finding(self, line: int, text: str) -> Finding:
        """A finding in this file."""
        return Finding(self.shown, line, text)


def room_of(module: str) -> str:
    """The room of a dotted name; empty for the package itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def read_package(package: Path) -> list[File]:
    """Every Python file below a package's folder, in the order of the paths."""
    return [File(path, package) for path in sorted(package.rglob("*.py"))]


def check_sizes(files: list[File]) -> Iterator[Finding]:
    """Folders with too many files, and files with too many lines."""
    folders: dict[str, int] = defaultdict(int)
    for file in files:
        folders[file.path.parent.relative_to(file.package.parent).as_posix()] += 1
        lines = len(file.text.splitlines())
        if lines > MOST_LINES:
            yield file.finding(1, f"{lines} lines; split it, at most {MOST_LINES} are allowed")
    for folder, n in folders.items():
        if n > MOST_FILES:
            yield Finding(folder, 1, f"{n} Python files; at most {MOST_FILES} are allowed")


def check_faces(files: list[File]) -> Iterator[Finding]:
    """Imports that go past the face of a room, or through one's own."""
    faces = {file.module: names for file in files if (names := listed_names(file)) is not None}
    for file in files:
        package = file.package.name
        for found in file.imports:
            if found.module.startswith("."):
                yield file.finding(found.line, "relative import; write the whole name")
            elif found.module.split(".")[0] == package:
                text = face_fault(file, found, faces)
                if text:
                    yield file.finding(found.line, text)


def face_fault(file: File, found: Import, faces: dict[str, set[str]]) -> str | None:
    """The rule of faces that an import within the package breaks, if it breaks one."""
    package, room = file.package.name, room_of(found.module)
    name = f"{found.module}.{found.name}" if found.name else found.module
    if not room:
        return f"imports {name}; import the room that has it"
    face = f"{package}.{room}"
    if room == file.room:
        own_face = found.module == face and face in faces and file.module != face
        return f"imports {name} through its own face; import the file" if own_face else None
    if found.module != face:
        return f"imports the inside of a room ({found.module}); import from {face}"
    if found.name and found.name not in faces.get(face, {found.name}):
        return f"{found.name} is not listed in __all__ of {face}"
    return None


def listed_names(file: File) -> set[str] | None:
    """The names in `__all__` of a file; None for a file that is not the face of a folder."""
    if file.path.name != "__init__.py":
        return None
    for node in file.tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


def check_class_names(files: list[File]) -> Iterator[Finding]:
    """Class names that occur more than once in the package."""
    places: dict[str, list[tuple[File, int]]] = defaultdict(list)
    for file in files:
        for node in ast.walk(file.tree):
            if isinstance(node, ast.ClassDef):
                places[node.name].append((file, node.lineno))
    for name, found in places.items():
        for file, line in found[1:]:
            first, where = found[0]
            yield file.finding(line, f"a class {name} is also in {first.shown}:{where}")


def check_shadows(files: list[File]) -> Iterator[Finding]:
    """Public names of a file that shadow a built-in, `typing` or `collections.abc` name."""
    for file in files:
        for node in file.tree.body:
            for name in defined_names(node):
                if name in TAKEN:
                    yield file.finding(node.lineno, f"{name} shadows a standard name")


def defined_names(node: ast.stmt) -> list[str]:
    """The names that a statement of a module defines."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return [node.name]
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign):
        targets = [node.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def check_retrievers(files: list[File]) -> Iterator[Finding]:
    """Names of concrete retrievers outside the room of retrieval."""
    concrete = {name for file in files if file.room == "retrieval" for name in retrievers(file)}
    for file in files:
        if file.room == "retrieval":
            continue
        for name, line in sorted(used_names(file)):
            if name in concrete:
                yield file.finding(line, f"names the retriever {name}; use the Retriever protocol")


def retrievers(file: File) -> Iterator[str]:
    """The classes of a file that have `retrieve` and are not protocols."""
    for node in ast.walk(file.tree):
        if isinstance(node, ast.ClassDef):
            methods = {part.name for part in node.body if isinstance(part, ast.FunctionDef)}
            bases = {ast.unparse(base).split("[")[0].split(".")[-1] for base in node.bases}
            if "Protocol" not in bases and ("retrieve" in methods or "Retriever" in bases):
                yield node.name


def used_names(file: File) -> set[tuple[str, int]]:
    """Every imported, read or accessed name with its line."""
    found = {(each.name, each.line) for each in file.imports if each.name}
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Name):
            found.add((node.id, node.lineno))
        elif isinstance(node, ast.Attribute):
            found.add((node.attr, node.lineno))
    return found


def check_docstrings(files: list[File]) -> Iterator[Finding]:
    """Docstrings that begin with a question word."""
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    for file in files:
        for node in ast.walk(file.tree):
            if not isinstance(node, documented):
                continue
            words = (ast.get_docstring(node) or "").split(maxsplit=1)
            if words and words[0].rstrip(",.:;") in QUESTIONS:
                line = node.body[0].lineno
                yield file.finding(line, f"the docstring begins with {words[0]!r}")


def check_circles(files: list[File]) -> Iterator[Finding]:
    """The first circle of imports between files, if there is one."""
    modules = {file.module: file for file in files}
    graph = {
        file.module: {
            target
            for found in file.imports
            for target in (f"{found.module}.{found.name}", found.module)
            if target in modules and target != file.module
        }
        for file in files
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = list(reversed(error.args[1]))
        yield modules[circle[0]].finding(1, f"imports in a circle: {' -> '.join(circle)}")


CHECKS = (
    check_sizes,
    check_faces,
    check_class_names,
    check_shadows,
    check_retrievers,
    check_docstrings,
    check_circles,
)


def check_layout(package: Path) -> list[Finding]:
    """All findings about the package in a folder, in the order of the paths."""
    files = read_package(package)
    return sorted(finding for check in CHECKS for finding in check(files))


def main() -> int:
    """Print the findings; the exit status is 1 when there are any."""
    root = Path(__file__).resolve().parents[1]
    package = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else root / "rag_rec"
    findings = check_layout(package)
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
