"""The behaviour of a model: valid replies, repairs, echoes, reasons, tokens, seconds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import get_args

import numpy as np

from rag_rec.core import ReasonStatus
from rag_rec.evaluation.experiments.answers import UserAnswer
from rag_rec.evaluation.experiments.spending import price_of
from rag_rec.evaluation.statistics import mean_known

_STATUSES: tuple[ReasonStatus, ...] = get_args(ReasonStatus)


def model_behaviour(
    answers: Sequence[UserAnswer],
    histories: Mapping[str, Sequence[str]],
    price: tuple[float, float] | None = None,
) -> dict[str, float | None]:
    """Return rates over the users a model was to choose for; empty where there are none.

    ``failed``: it gave nothing usable, or the prompt did not fit it. ``valid``: the first reply
    filled the list by itself. ``unparseable``: it was not the agreed JSON. ``out of candidates``
    and ``duplicate``: users in whose replies that occurred. ``history copied``: users in whose list
    an item of the history stands. ``re-asked``, ``repaired``: users asked again, and those any of
    whose slots needed it. ``slots by model``: share of slots the model chose. ``profile refuted``:
    users whose taste profile was facts instead of the model's words. ``kept order``: of the users
    for whom it did not fail, those whose list is the order it was given. ``reasons ...``: share of
    the slots whose reason has each status of `ReasonStatus`; together they are all slots.
    """
    asked = [answer for answer in answers if answer.asked]
    if not asked:
        return {}
    slots = [origin for answer in asked for origin in answer.origins]
    statuses = [status for answer in asked for status in answer.statuses]
    return {
        "asked": len(asked),
        "failed": _share(answer.outcome == "failed" for answer in asked),
        "refused or error": _share(answer.error is not None for answer in asked),
        "valid": _share(_first_valid(answer) for answer in asked),
        "unparseable": _share(answer.repairs.unparseable > 0 for answer in asked),
        "truncated": _share(answer.repairs.truncated > 0 for answer in asked),
        "out of candidates": _share(answer.repairs.unknown_label > 0 for answer in asked),
        "duplicate": _share(answer.repairs.duplicate > 0 for answer in asked),
        "history copied": _share(bool(set(a.items) & set(histories[a.user])) for a in asked),
        "profile refuted": _share(a.repairs.refuted_profile > 0 for a in asked),
        "re-asked": _share(answer.repairs.reasked > 0 for answer in asked),
        "repaired": _share("repaired" in answer.origins for answer in asked),
        "slots by model": _share(origin != "backfill" for origin in slots),
        "kept order": _share(
            a.items == a.candidates[: len(a.items)] for a in asked if a.outcome != "failed"
        ),
        **{f"reasons {name}": _share(s == name for s in statuses) for name in _STATUSES},
    } | costs(asked, price)


def costs(
    asked: Sequence[UserAnswer], price: tuple[float, float] | None = None
) -> dict[str, float | None]:
    """Return what the answers took.

    A user's tokens, seconds and cost are of those that no cache had a part in. ``cost`` is
    what was spent on this run, the cache's savings included.
    """
    usages = [answer.usage for answer in asked]
    paid = [usage for usage in usages if usage.calls and not usage.cached]
    seconds = [usage.wall_s for usage in paid]
    calls = sum(usage.calls for usage in usages)
    cached = sum(usage.cached for usage in usages)
    return {
        "calls": calls,
        "cache hits": cached / (calls + cached) if calls + cached else None,
        "prompt tokens a user": mean_known(usage.prompt_tokens for usage in paid),
        "completion tokens a user": mean_known(usage.completion_tokens for usage in paid),
        "seconds p50": float(np.quantile(seconds, 0.5)) if seconds else None,
        "seconds p95": float(np.quantile(seconds, 0.95)) if seconds else None,
        "cost": sum(price_of(usage, price) for usage in usages) if price else None,
        "cost of a thousand users": mean_known(1000 * price_of(usage, price) for usage in paid)
        if price
        else None,
    }


def _first_valid(answer: UserAnswer) -> bool:
    """Return True if the first reply alone is a list without anything to mend."""
    return (
        answer.outcome == "ok"
        and "repaired" not in answer.origins
        and not any(n for name, n in answer.repairs if not name.startswith(("poor", "refuted")))
    )


def _share(values: Iterable[bool]) -> float | None:
    return mean_known(float(value) for value in values)
