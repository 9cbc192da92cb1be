"""The way of one request from the command line to the model, as docs/architecture.md states it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

import rag_rec
from rag_rec import ItemIndex
from rag_rec.cli import app
from rag_rec.core import OnDone
from rag_rec.llm import BACKENDS, Backend, ByteEstimate, ChatModel, Completion, Request
from rag_rec.llm import ModelOptions as Options

PACKAGE = Path(rag_rec.__file__).parent
DOCS = PACKAGE.parent / "docs" / "architecture.md"


class StackWalker(ChatModel):
    """Answers 2, 1, and keeps the call stack of its `generate`."""

    name = "stack:walker"
    context_tokens = 100_000
    tokens = ByteEstimate()

    def __init__(self) -> None:
        self.hops: list[tuple[str, str]] = []

    def generate(
        self, requests: Iterable[Request], on_done: OnDone | None = None
    ) -> list[Completion]:
        for frame in inspect.stack()[1:]:
            path, function = Path(frame.filename), frame.function
            if path.is_relative_to(PACKAGE) and not function.startswith(("_", "<")):
                self.hops.append((path.relative_to(PACKAGE).as_posix(), function))
        del on_done
        return [Completion('{"items": [{"label": 2}, {"label": 1}]}') for _ in requests]

    def close(self) -> None:
        pass


@pytest.fixture
def walker() -> Iterator[StackWalker]:
    model = StackWalker()

    def opened(rest: str, options: Options) -> ChatModel:
        del rest, options
        return model

    BACKENDS["walker"] = Backend("walker", {"walker": "keeps the stack"}, opened)
    yield model
    del BACKENDS["walker"]


def claimed_hops() -> list[tuple[str, str]]:
    """The numbered list of the docs: file and function, from the command line down."""
    text = DOCS.read_text(encoding="utf-8")
    section = text[text.index("## From the command line to the model") :]
    lines = re.findall(r"^\d\. `rag_rec/([\w/]+\.py)`: `(?:\w+\.)?(\w+)`", section, re.MULTILINE)
    assert lines, "docs/architecture.md has lost its list of hops"
    return lines


def test_a_list_takes_the_hops_that_the_docs_claim(
    walker: StackWalker, hash_index_folder: Path
) -> None:
    command = ["recommend", "--index", str(hash_index_folder), "--user", "user-042", "--k", "2"]
    done = CliRunner().invoke(app, [*command, "--llm", "walker"])
    assert done.exit_code == 0, done.output
    assert walker.hops[::-1][: len(claimed_hops())] == claimed_hops()
    assert len(walker.hops) == len(claimed_hops())


def test_python_takes_the_same_hops(walker: StackWalker, hash_index: ItemIndex) -> None:
    rag_rec.Recommender(hash_index, walker).recommend("user-042", k=2)
    above = [("recommender.py", "recommend"), *claimed_hops()[1:]]
    assert walker.hops[::-1] == above
