"""Lists for tasks, kept on disk as they come: finished users are never paid for twice.

Nothing in this file can reach a target: it sees tasks (histories) and a recommender.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from rag_rec.core import ConfigError, DataError, OnDone
from rag_rec.evaluation.experiments.recorder import RecordingModel
from rag_rec.evaluation.metrics.scorer import Task
from rag_rec.pipeline import RecommendationRequest, RecommendationState
from rag_rec.recommender import Recommender


@dataclass(frozen=True, slots=True)
class Answer:
    """What one variant made for one user.

    Attributes:
        user: The task's key.
        history: What `digest_of` says of the history the list was made for.
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
        profiled: How many of the calls, cached ones included, were for the user's taste profile.
        others: Replies to requests that no user's state accounts for, kept with the first user of
            those asked together.
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
    history: str = ""
    profiled: int = 0
    others: list[str] = field(default_factory=list)

    @property
    def shown(self) -> list[str]:
        """Candidates that the model saw, best first."""
        return self.candidates[: self.n_shown]

    @property
    def counted(self) -> list[str]:
        """The list as it is scored: empty where a model was asked and failed."""
        return [] if self.outcome == "failed" else self.items

    @property
    def by_model(self) -> list[str]:
        """Items of the list that the model chose, in its order."""
        pairs = zip(self.items, self.origins, strict=True)
        return [item for item, origin in pairs if origin != "backfill"]


Answers = Mapping[str, Answer]
"""Answers of one variant under one condition, by user."""

Gathered = Mapping[str, Mapping[str, Answers]]
"""Answers by condition and variant."""

_FIELDS = tuple(field.name for field in fields(Answer))


def answered(tasks: Sequence[Task], answers: Sequence[Answers]) -> list[Task]:
    """Return the tasks before the first one that some variant has no answer for."""
    n = 0
    while n < len(tasks) and all(tasks[n].key in found for found in answers):
        n += 1
    return list(tasks[:n])


def digest_of(task: Task) -> str:
    """The first half of the SHA-256 of everything that is known of a task's user."""
    known = json.dumps(task.history.model_dump(), sort_keys=True, default=sorted)  # of sets
    return hashlib.sha256(known.encode()).hexdigest()[:32]


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
        if path.exists():
            whole = len(_whole_lines(path))
            if whole < path.stat().st_size:
                os.truncate(path, whole)
            if whole:
                check_identity(path, identity)
                return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(identity) + "\n", encoding="utf-8")

    def read(self, tasks: Sequence[Task]) -> dict[str, Answer]:
        """See `answers_to`."""
        return answers_to(tasks, self.path)

    def add(self, answers: Sequence[Answer]) -> None:
        """Appends answers."""
        rows = ({name: getattr(answer, name) for name in _FIELDS} for answer in answers)
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        with self.path.open("a", encoding="utf-8") as file:
            file.write("".join(lines))


def check_identity(path: Path, identity: Mapping[str, Any]) -> None:
    """What answers are answers to must be what is asked now.

    Args:
        path: The answer file.
        identity: What is known of it now; what is not named here is not compared.

    Raises:
        ConfigError: If something differs, such as an edited prompt.
    """
    header, _ = read_lines(path)
    if not header:
        return
    changed = sorted(name for name in identity if header.get(name) != identity[name])
    if changed:
        raise ConfigError(
            f"{path} holds answers of another {', '.join(changed)}; they are not mixed with new "
            "ones: give another --out, or remove that file to ask again"
        )


def answers_to(tasks: Sequence[Task], path: Path) -> dict[str, Answer]:
    """The answers of a file to these tasks, by user.

    Raises:
        DataError: If a line is damaged, or a list was made for another history of its user.
    """
    digests = {task.key: digest_of(task) for task in tasks}
    found = {a.user: a for a in read_answers(path) if a.user in digests}
    other = next((user for user in found if found[user].history != digests[user]), None)
    if other is not None:
        raise DataError(
            f"holds a list for another history of user {other}: the data or the split has changed "
            "since; give another --out, or remove the file to ask again",
            path=path,
        )
    return found


def _whole_lines(path: Path) -> bytes:
    """What a file holds without a last line torn by a crash or still being written."""
    content = path.read_bytes()
    return content[: content.rfind(b"\n") + 1]


def read_lines(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Header and rows of an answer file, as far as its lines are whole; the file stays as it is.

    Raises:
        DataError: If a line is damaged.
    """
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(_whole_lines(path).splitlines(), start=1):
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            raise DataError(
                f"is not JSON ({error}); remove the file", path=path, row=number
            ) from error
    return (rows[0], rows[1:]) if rows else ({}, [])


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
    recorder: RecordingModel | None,
    tasks: Sequence[Task],
    on_done: OnDone | None = None,
) -> list[Answer]:
    """Make lists for tasks through the pipeline as it is shipped.

    Args:
        recommender: Makes the lists.
        recorder: Its model, the audit's witness; None if it has none.
        tasks: The users.
        on_done: Called with the number of lists just finished.
    """
    states = recommender.run([RecommendationRequest(task.history) for task in tasks], on_done)
    answers = [_answer(task, state) for task, state in zip(tasks, states, strict=True)]
    strays = recorder.unaccounted(states) if recorder else []
    return [replace(answers[0], others=strays), *answers[1:]] if strays else answers


def _answer(task: Task, state: RecommendationState) -> Answer:
    made = state.result
    if made is None:
        raise state.failure or AssertionError("a state without a failure has a result")
    chat = [exchange for exchange in state.exchanges if exchange.purpose in {"list", "reask"}]
    messages = chat[0].request.messages if chat else ()
    profiles = [e.completion.counted for e in state.exchanges if e.purpose == "profile"]
    return Answer(
        user=task.key,
        history=digest_of(task),
        profiled=sum(usage.calls + usage.cached for usage in profiles),
        items=[slot.item_id for slot in made.items],
        origins=[slot.origin for slot in made.items],
        statuses=[slot.reason_status for slot in made.items],
        reasons=[slot.reason for slot in made.items],
        outcome=made.outcome,
        candidates=[candidate.item_id for candidate in state.candidates],
        n_shown=state.n_shown or len(state.candidates),
        messages=[(turn.role, turn.content) for turn in messages],
        replies=[exchange.completion.text for exchange in chat],
        repairs={name: n for name, n in made.repairs.model_dump().items() if n},
        usage=made.usage.model_dump(),
        error=made.error,
    )
