"""What the page's browser over users holds: compact enough for ten thousand of them.

Items are numbers into one table. Lists are kept for every user; prompts and replies, which are
long, for the first users only (in an order drawn before anything was asked).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rag_rec.evaluation.experiments.answers import Answer
from rag_rec.evaluation.measure import Details
from rag_rec.evaluation.metrics.rows import LeaderboardRow

PROMPT_CHARS = 1_500_000
"""Characters of prompts and replies on one page at most."""

_DEPTH = 20
_MANY = 2_000
"""Users beyond which histories and candidates are shown to half that depth."""


class _Numbers:
    """Numbers of items in the order in which they occur."""

    def __init__(self) -> None:
        self.ids: dict[str, int] = {}

    def __call__(self, items: Sequence[str]) -> list[int]:
        return [self.ids.setdefault(item, len(self.ids)) for item in items]


def browser_of(details: Details) -> dict[str, Any]:
    """The data block of the page."""
    users = [task.key for task in details.tasks]
    numbers = _Numbers()
    shown = [row for row in details.rows if row.lists]
    with_prompts = _affordable(shown, users)
    depth = _DEPTH if len(users) <= _MANY else _DEPTH // 2
    deep = {user: details.deep[user][:depth] for user in users}
    rows = [_row(row, users, deep, numbers, with_prompts) for row in shown]
    asked = [at for at, row in enumerate(shown) if any(a.messages for a in row.answers.values())]
    return {
        "users": list(details.user_ids),
        "strata": [task.stratum for task in details.tasks],
        "targets": [numbers(target) for target in details.targets],
        "histories": [numbers(task.history.item_ids[-depth:]) for task in details.tasks],
        "deep": [numbers(deep[user]) for user in users],
        "lengths": [len(task.history.events) for task in details.tasks],
        "rows": rows,
        "first": asked[0] if asked else 0,
        "notice": f"Prompts and replies are on this page for the first {with_prompts} of "
        f"{len(users)} users, in an order drawn before anything was asked; all of them are in the "
        "run's folder.",
        "items": list(numbers.ids),
        "titles": [details.titles.get(item, "") for item in numbers.ids],
    }


def _affordable(rows: Sequence[LeaderboardRow], users: Sequence[str]) -> int:
    """How many users' prompts fit."""
    left = PROMPT_CHARS
    for at, user in enumerate(users):
        for row in rows:
            answer = row.answers.get(user)
            if answer is not None:
                left -= sum(len(text) for _, text in answer.messages) + sum(
                    map(len, answer.replies)
                )
        if left < 0:
            return at
    return len(users)


def _row(
    row: LeaderboardRow,
    users: Sequence[str],
    deep: Mapping[str, Sequence[str]],
    numbers: _Numbers,
    with_prompts: int,
) -> dict[str, Any]:
    """A row; what begins like retrieval's own order is written as how much of it."""

    def short(items: Sequence[str], user: str) -> list[int] | int:
        return len(items) if items == deep[user][: len(items)] else numbers(items)

    depth = max((len(items) for items in deep.values()), default=0)
    found: dict[str, Any] = {
        "name": row.name,
        "lists": [short(row.lists[user], user) for user in users],
        "seen": [short(_seen(row, user, deep)[:depth], user) for user in users],
    }
    if row.answers:
        answers = [row.answers[user] for user in users]
        found["outcome"] = [_outcome(answer) for answer in answers]
    if any(answer.messages for answer in row.answers.values()):
        first = [row.answers[user] for user in users[:with_prompts]]
        found["asked"] = [
            {"messages": answer.messages, "replies": answer.replies} for answer in first
        ]
        found["origins"] = [_marks(answer) for answer in first]
    return found


def _seen(row: LeaderboardRow, user: str, deep: Mapping[str, Sequence[str]]) -> Sequence[str]:
    """What a row could choose from: a variant's candidates, and retrieval's for the others."""
    answer = row.answers.get(user)
    return answer.candidates[: answer.n_shown] if answer else deep[user][: len(row.lists[user])]


def _outcome(answer: Answer) -> str:
    return answer.outcome.replace("_", " ") + (f": {answer.error}" if answer.error else "")


def _marks(answer: Answer) -> list[str]:
    return ["" if origin == "llm" else origin for origin in answer.origins]
