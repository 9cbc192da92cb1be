"""Protocols: how a log becomes questions, by name, and what a report says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rag_rec.core import ConfigError
from rag_rec.data import (
    Dataset,
    ReviewStore,
    Split,
    is_tied,
    leave_last_out,
    split_at_time,
    split_users,
    split_within_users,
)
from rag_rec.evaluation.retrieval_report import RetrievalSetting

PROTOCOLS: Mapping[str, str] = {
    "leave-last-out": "fitted without the last two events of each user, asked with all but the "
    "last, which is the target; the event between them is validation's",
    "leave-last-out-fit-validation": "the same, and validation's event enters the fit",
    "temporal": "fitted on what lies before a cut in time; each user's first event from then on is "
    "the target",
    "temporal-every": "the same cut; every event from then on is a target, asked with its user's "
    "events of earlier times",
    "within-users": "fitted on the first share of each user's events; the next one is the target",
    "new-users": "a share of the users is unseen in the fit; the last event of each is the target",
}
"""Names of the protocols, and what each does."""

DEFAULT_CUT = 0.9
_HIDDEN = {"leave-last-out": 2, "leave-last-out-fit-validation": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitOptions:
    """Settings of a split.

    Attributes:
        protocol: A name of `PROTOCOLS`.
        n_target: 1 to measure on the test, 2 on validation.
        cut: Of ``temporal`` and ``temporal-every``: a time in Unix seconds, or the share of
            events before it. Of ``within-users``: the share of each user's events that is fitted
            on. Of ``new-users``: the share of users who are not the test's.
        candidates: Given candidates by user; only these users are measured.
        given: A split that files give; the protocol and the cut do not matter then.
        hidden_items: Share of the items that the fit does not see; their takers are measured.
    """

    protocol: str = "leave-last-out"
    n_target: int = 1
    cut: float | None = None
    candidates: Mapping[str, Sequence[str]] | None = None
    given: Split | None = None
    hidden_items: float = 0.0


def split_by(dataset: Dataset, options: SplitOptions) -> Split:
    """Return the questions of a protocol, of given candidates' users only where there are some.

    Raises:
        ConfigError: On an unknown protocol, or a cut that it does not take.
        DataError: If the log cannot be split this way.
    """
    split = options.given or _by_protocol(dataset, options)
    return split if options.candidates is None else split.only(options.candidates)


def _by_protocol(dataset: Dataset, options: SplitOptions) -> Split:
    name, validation = options.protocol, options.n_target == 2
    if name in _HIDDEN:
        if options.cut is not None:
            raise ConfigError(f"the protocol {name} takes no cut; leave --cut out")
        hidden = _HIDDEN[name] + options.n_target - 1
        return leave_last_out(dataset, hidden=hidden, n_target=options.n_target)
    cut = _cut(options)
    if name in {"temporal", "temporal-every"}:
        every = name == "temporal-every"
        return split_at_time(dataset, cut=cut, every=every, validation=validation)
    if not 0 < cut < 1:
        raise ConfigError(f"the protocol {name} cuts by a share: give --cut between 0 and 1")
    if name == "within-users":
        return split_within_users(dataset, share=cut, validation=validation)
    if name == "new-users":
        return split_users(dataset, share=cut, validation=validation)
    raise ConfigError(f"unknown protocol '{name}'; choose one of {', '.join(PROTOCOLS)}")


def _cut(options: SplitOptions) -> float:
    return DEFAULT_CUT if options.cut is None else options.cut


def tied_share(dataset: Dataset, options: SplitOptions) -> float:
    """Return the share of the targets that share their time with another event of their user."""
    split = split_by(replace(dataset, reviews=ReviewStore(())), options)
    return sum(split.tied) / len(split.tied)


def setting_of(dataset: Dataset, split: Split, options: SplitOptions) -> RetrievalSetting:
    """Return what a report says of a split: its protocol, its sizes, its ties and repeats."""
    log, n = dataset.interactions, len(split.targets)
    repeats = sum(
        target in taken for taken, target in zip(split.inputs, split.targets, strict=True)
    )
    takes_cut = options.given is None and options.protocol not in _HIDDEN
    return {
        "protocol": options.protocol if options.given is None else "given-files",
        "target": "test" if options.n_target == 1 else "validation",
        "cut": _cut(options) if takes_cut else None,
        "known_until": split.known_until,
        "hidden_items": options.hidden_items,
        "items": dataset.items.height,
        "users": len(set(split.users)),
        "questions": n,
        "interactions": log.height,
        "fitted_interactions": split.fit.interactions.height,
        "reviews": dataset.reviews.count,
        "fitted_reviews": split.fit.reviews.count,
        "timed_interactions": log["timestamp"].count(),
        "tied_interactions": int(log.select(is_tied().sum()).item()),
        "tied_targets": round(sum(split.tied) / n, 4),
        "repeated_targets": round(repeats / n, 4),
    }
