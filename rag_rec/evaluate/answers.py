"""Lists for tasks, kept on disk as they come: finished users are never paid for twice.

Nothing in this file can reach a target: it sees tasks (histories) and a recommender.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from rag_rec.errors import ConfigError, DataError
from rag_rec.evaluate.recorder import Exchange, RecordingModel
from rag_rec.evaluate.retrievers import SwappedRetriever
from rag_rec.evaluate.scorer import Task
from rag_rec.llm import Request
from rag_rec.recommender import Recommender
from rag_rec.types import Candidate, RecommendationList

OnDone = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Answer:
    """What one variant made for one user.

    Attributes:
        user: The task's key.
        items: The list, best first.
        origins: Who chose each slot.
        statuses: Where each slot's reason comes from.
        reasons: The reasons.
        outcome: How the list came about.
        candidates: Item ids that were proposed, best first; label 1 is the first.
        n_shown: How many of them the model saw.
        messages: Role and text of the prompt.
        replies: What the model wrote, one a request.
        repairs: What had to be mended.
        usage: Calls, tokens, seconds, cached answers.
        error: Why the model gave less.
    """

    user: str
    items: list[str]
    origins: list[str]
    statuses: list[str]
    reasons: list[str]
    outcome: str
    candidates: list[str] = field(default_factory=list)
    n_shown: int = 0
    messages: list[tuple[str, str]] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)
    repairs: dict[str, int] = field(default_factory=dict)
    usage: dict[str, float] = field(default_factory=dict)
    error: str | None = None


_FIELDS = tuple(field.name for field in fields(Answer))


class AnswerFile:
    """One variant's answers: a line that says what they are answers to, then a line a user.

    Args:
        path: The file.
        identity: Everything that can change an answer.

    Raises:
        ConfigError: If the file holds answers to something else, such as an edited prompt.
    """

    def __init__(self, path: Path, identity: dict[str, Any]) -> None:
        self.path = path
        self._identity = identity
        if path.exists():
            self._check()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(identity) + "\n", encoding="utf-8")

    def _check(self) -> None:
        header, _ = read_lines(self.path)
        changed = sorted(
            name
            for name in set(header) | set(self._identity)
            if header.get(name) != self._identity.get(name)
        )
        if changed:
            raise ConfigError(
                f"{self.path} holds answers of another {', '.join(changed)}; they are not mixed "
                "with new ones: give another --out, or remove that file to ask again"
            )

    def read(self) -> dict[str, Answer]:
        """Answers by user."""
        return {answer.user: answer for answer in read_answers(self.path)}

    def add(self, answers: Sequence[Answer]) -> None:
        """Appends answers."""
        rows = ({name: getattr(answer, name) for name in _FIELDS} for answer in answers)
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        with self.path.open("a", encoding="utf-8") as file:
            file.write("".join(lines))


def read_lines(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Header and rows of an answer file; a last line torn by a crash is cut off.

    Raises:
        DataError: If another line is damaged.
    """
    text = path.read_text(encoding="utf-8")
    whole, _, torn = text.rpartition("\n")
    if torn:
        path.write_text(whole + "\n", encoding="utf-8")
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(whole.split("\n"), start=1):
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise DataError(
                f"is not JSON ({error.msg}); remove the file", path=path, row=number
            ) from error
    return rows[0], rows[1:]


def read_answers(path: Path) -> list[Answer]:
    """Answers of a file, in the order they were made.

    Raises:
        DataError: If a line is damaged or is no answer.
    """
    try:
        rows = read_lines(path)[1]
        for row in rows:
            row["messages"] = [tuple(turn) for turn in row["messages"]]
        return [Answer(**row) for row in rows]
    except (TypeError, KeyError) as error:
        raise DataError(f"holds a row that is no answer ({error})", path=path) from error


def answer_tasks(
    recommender: Recommender,
    retriever: SwappedRetriever,
    recorder: RecordingModel | None,
    tasks: Sequence[Task],
    on_done: OnDone | None = None,
) -> list[Answer]:
    """Lists for tasks through the pipeline as it is shipped.

    Args:
        recommender: Makes the lists.
        retriever: Its retriever.
        recorder: Its model; None if it has none.
        tasks: Whom to make lists for.
        on_done: Told of progress.
    """
    lists = recommender.recommend_many([task.history for task in tasks], on_done=on_done)
    proposed = retriever.take()
    asked = [found.outcome != "retrieval_only" for found in lists]
    exchanges = iter(recorder.take(sum(asked)) if recorder else [])
    return [
        _answer(task.key, made, proposed[task.key], next(exchanges) if was_asked else [])
        for task, made, was_asked in zip(tasks, lists, asked, strict=True)
    ]


def pending(tasks: Sequence[Task], done: Container[str], size: int) -> Iterator[list[Task]]:
    """Tasks without an answer, in pieces of ``size``."""
    left = [task for task in tasks if task.key not in done]
    for start in range(0, len(left), size):
        yield left[start : start + size]


def _answer(
    user: str, made: RecommendationList, proposed: list[Candidate], exchanges: list[Exchange]
) -> Answer:
    request = exchanges[0].request if exchanges else None
    n_shown = _labels(request) if request else len(proposed)
    return Answer(
        user=user,
        items=[slot.item_id for slot in made.items],
        origins=[slot.origin for slot in made.items],
        statuses=[slot.reason_status for slot in made.items],
        reasons=[slot.reason for slot in made.items],
        outcome=made.outcome,
        candidates=[candidate.item_id for candidate in proposed],
        n_shown=n_shown,
        messages=[(turn.role, turn.content) for turn in request.messages] if request else [],
        replies=[exchange.completion.text for exchange in exchanges],
        repairs={name: n for name, n in made.repairs.model_dump().items() if n},
        usage=made.usage.model_dump(),
        error=made.error,
    )


def _labels(request: Request) -> int:
    """How many candidates a request's schema lets the model choose from."""
    if request.schema is None:
        return 0
    entry = request.schema["properties"]["items"]["items"]["properties"]
    return len(entry["label"]["enum"])
