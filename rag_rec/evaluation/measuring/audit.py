"""Look for ways in which a run could have known the answers; findings make a report void."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from rag_rec.evaluation.experiments.answers import UserAnswer
from rag_rec.evaluation.experiments.retrievers import SHIPPED
from rag_rec.evaluation.experiments.study import Study
from rag_rec.evaluation.measuring.rows import RETRIEVAL, LeaderboardRow
from rag_rec.evaluation.metrics.scorer import Scorer, Task
from rag_rec.retrieval import Retriever

_LEVEL = 0.001

_PROBED = 400
"""Users with whom a retriever is asked under a borrowed history."""


def audit(study: Study, tasks: Sequence[Task], rows: Sequence[LeaderboardRow]) -> list[str]:
    """Return every sign that answers were known; any of them makes the report void."""
    scorer, users = study.sampled.test.scorer, [task.key for task in tasks]
    known = {task.key: task.history.item_ids for task in tasks}
    used = {variant.retriever for variant in study.experiment.all_variants()} - {SHIPPED}
    found: list[str] = []
    for name in (SHIPPED, *sorted(used)):
        retriever, probed = study.retrievers[name], tasks[:_PROBED]
        leak = leaks(retriever, probed, scorer, depth=20, seed=study.experiment.seed)
        found += [f"{RETRIEVAL if name == SHIPPED else name}: {leak}"] if leak else []
    for row in (row for row in rows if row.kind == "variant"):
        answers = list(row.answers.values())
        hit = lists_hit(row.answers, users, scorer)
        for sign in (retries(answers, hit), outsiders(answers, known)):
            found += [f"{row.name}: {sign}"] if sign else []
    return found


def leaks(
    retriever: Retriever, tasks: Sequence[Task], scorer: Scorer, *, depth: int, seed: int
) -> str | None:
    """Ask with histories that belong to somebody else, under each user's own name and place.

    Whoever proposes from the history alone then finds a user's target about as often as it finds
    anybody's; one that knows the answers by name or by place still finds it. One-sided Fisher
    test at .001 of hits on the user's own target against hits on the target of the user whose
    history was borrowed.

    Returns:
        What was found, or None. A leak that needs the true history to open is not seen this way;
        `check_index` and the pseudonyms are against those.
    """
    users = [task.key for task in tasks]
    if len(users) < 20:
        return None
    shift = 1 + int(np.random.default_rng(seed).integers(0, len(users) - 1))
    lenders = users[shift:] + users[:shift]
    borrowed = [
        task.history.model_copy(update={"events": other.history.events})
        for task, other in zip(tasks, [*tasks[shift:], *tasks[:shift]], strict=True)
    ]
    found = retriever.retrieve(borrowed, depth)
    lists = [list(dict.fromkeys(candidate.item_id for candidate in some)) for some in found]
    own = int(scorer.relevance(dict(zip(users, lists, strict=True)), users, depth).hits.sum())
    lent = dict(zip(lenders, lists, strict=True))
    owed = int(scorer.relevance(lent, lenders, depth).hits.sum())
    n = len(users)
    p = _fisher([[own, n - own], [owed, n - owed]], "greater")
    if p >= _LEVEL:
        return None
    return (
        f"with another user's history it still proposes the user's own target {own} times in {n} "
        f"(the history's owner's: {owed}): it knows the answers by name or by place"
    )


def retries(answers: Sequence[UserAnswer], lists_hit: Mapping[str, bool]) -> str | None:
    """Look for repeated questions that the re-ask rule does not explain.

    A reply may be asked for once more when it does not fill the list. Anything beyond that is
    named; calls beyond the questions seen (a client's transport retries) are allowed unless they
    go with whether the target was found (two-sided Fisher test at .001).

    Args:
        answers: A variant's answers.
        lists_hit: By user, whether the target is in the list.
    """
    stray = next((text for answer in answers for text in answer.others), None)
    if stray is not None:
        return (
            f"a question was put that no user's state accounts for; its answer was {stray[:80]!r}"
        )
    asked = [answer for answer in answers if answer.messages]
    counts = np.zeros((2, 2), np.int64)
    for answer in asked:
        seen, rule = len(answer.replies), answer.prompts + answer.repairs.reasked
        if seen > rule:
            return f"user {answer.user} was asked {seen} times where the re-ask rule allows {rule}"
        extra = answer.usage.calls + answer.usage.cached - answer.profiled > seen
        counts[int(lists_hit[answer.user]), int(extra)] += 1
    if not counts[:, 1].any():
        return None
    p = _fisher(counts, "two-sided")
    if p >= _LEVEL:
        return None
    return (
        f"questions were repeated for {counts[1, 1]} of {counts[1].sum()} users whose target was "
        f"found and {counts[0, 1]} of {counts[0].sum()} others: retries depend on the answer"
    )


def lists_hit(
    answers: Mapping[str, UserAnswer], users: Sequence[str], scorer: Scorer
) -> dict[str, bool]:
    """Return by user whether the target is in the list."""
    lists = {user: answers[user].items for user in users}
    ranks = scorer.relevance(lists, users).first_rank()
    return {user: rank > 0 for user, rank in zip(users, ranks.tolist(), strict=True)}


def outsiders(answers: Sequence[UserAnswer], known: Mapping[str, Sequence[str]]) -> str | None:
    """Look for list items that were not proposed, or that the user already had."""
    for answer in answers:
        strange = set(answer.items) - set(answer.candidates)
        if strange:
            return f"user {answer.user}'s list names '{strange.pop()}', which was not a candidate"
        seen = set(answer.items) & set(known[answer.user])
        if seen:
            return f"user {answer.user}'s list names '{seen.pop()}' from the history"
    return None


def _fisher(counts: Any, alternative: str) -> float:
    """Return the p-value of Fisher's exact test of a two by two table."""
    result: Any = stats.fisher_exact(counts, alternative)
    return float(result.pvalue)
