"""The data of the page's browser over users: compact enough for ten thousand of them.

Items are numbers into one table. Lists are kept for every user; prompts and replies, which are
long, for the first users only (in an order drawn before anything was asked). `page.js` reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rag_rec.evaluation.experiments.answers import UserAnswer
from rag_rec.evaluation.measuring.measure import Details
from rag_rec.evaluation.measuring.rows import LeaderboardRow

PROMPT_CHARS = 1_500_000
"""Characters of prompts and replies on one page at most."""

_DEPTH = 20
_MANY = 2_000
"""Users beyond which histories and candidates are shown to half that depth."""


Numbers = Callable[[Sequence[str]], list[int]]
"""From items to their numbers, in the order in which items occur."""


def browser_data(details: Details) -> dict[str, Any]:
    """Return the page's data block, ready for JSON."""
    users = [task.key for task in details.tasks]
    found: dict[str, int] = {}

    def numbers(items: Sequence[str]) -> list[int]:
        return [found.setdefault(item, len(found)) for item in items]

    shown = [row for row in details.rows if row.lists]
    n_prompts = _users_with_prompts(shown, users)
    depth = _DEPTH if len(users) <= _MANY else _DEPTH // 2
    deep = {user: details.deep[user][:depth] for user in users}
    asked = [at for at, row in enumerate(shown) if _has_prompts(row)]
    return {
        "users": list(details.user_ids),
        "strata": [task.stratum for task in details.tasks],
        "targets": [numbers(target) for target in details.targets],
        "histories": [numbers(task.history.item_ids[-depth:]) for task in details.tasks],
        "deep": [numbers(deep[user]) for user in users],
        "lengths": [len(task.history.events) for task in details.tasks],
        "rows": [_row_data(row, deep, numbers, n_prompts) for row in shown],
        "first": asked[0] if asked else 0,
        "notice": f"Prompts and replies are on this page for the first {n_prompts} of "
        f"{len(users)} users, in an order drawn before anything was asked; all of them are in the "
        "run's folder.",
        "items": list(found),
        "titles": [details.titles.get(item, "") for item in found],
    }


def _has_prompts(row: LeaderboardRow) -> bool:
    return any(answer.messages for answer in row.answers.values())


def _users_with_prompts(rows: Sequence[LeaderboardRow], users: Sequence[str]) -> int:
    """Return the number of users whose prompts and replies fit on the page."""
    left = PROMPT_CHARS
    for at, user in enumerate(users):
        for answer in (row.answers[user] for row in rows if user in row.answers):
            left -= sum(map(len, answer.replies)) + sum(len(text) for _, text in answer.messages)
        if left < 0:
            return at
    return len(users)


def _row_data(
    row: LeaderboardRow, deep: Mapping[str, Sequence[str]], numbers: Numbers, n_prompts: int
) -> dict[str, Any]:
    """Return a row's data; a beginning of retrieval's own order is written as its length."""
    users, depth = list(deep), max(map(len, deep.values()), default=0)

    def short(items: Sequence[str], user: str) -> list[int] | int:
        return len(items) if items == deep[user][: len(items)] else numbers(items)

    found: dict[str, Any] = {
        "name": row.name,
        "lists": [short(row.lists[user], user) for user in users],
        "seen": [short(_candidates(row, user, deep)[:depth], user) for user in users],
    }
    if row.answers:
        found["outcome"] = [_outcome(row.answers[user]) for user in users]
    if _has_prompts(row):
        first = [row.answers[user] for user in users[:n_prompts]]
        found["asked"] = [{"messages": a.messages, "replies": a.replies} for a in first]
        found["origins"] = [["" if o == "llm" else o for o in a.origins] for a in first]
    return found


def _candidates(row: LeaderboardRow, user: str, deep: Mapping[str, Sequence[str]]) -> Sequence[str]:
    """Return the items a row could choose from: a variant's candidates, or retrieval's."""
    answer = row.answers.get(user)
    return answer.candidates[: answer.n_shown] if answer else deep[user][: len(row.lists[user])]


def _outcome(answer: UserAnswer) -> str:
    return answer.outcome.replace("_", " ") + (f": {answer.error}" if answer.error else "")
