"""Sentences that the figures of a report support; the same in every rendering."""

from __future__ import annotations

from collections.abc import Iterator

from rag_rec.evaluation.report.sections import format_p, format_percent
from rag_rec.evaluation.report_model import Report
from rag_rec.evaluation.statistics import Comparison

_REPEATS_ORDER = 0.5
"""Share of users from which on a model is said to repeat the order it was given."""


def conclusions(report: Report) -> list[str]:
    """Return the sentences that the figures support, and no more."""
    void = [f"THIS REPORT IS VOID: {'; '.join(report.findings)}"] if report.findings else []
    parts = (_test, _verdicts, _repeated_orders, _limit_of_retrieval, _blends)
    return void + [sentence for part in parts for sentence in part(report)]


def _test(report: Report) -> Iterator[str]:
    yield (
        f"{report.experiment.metric} over {report.users.measured} users; every variant is tested "
        f"against “{report.experiment.baseline}” by a paired permutation test, corrected for their "
        "number (Holm)."
    )


def _verdicts(report: Report) -> Iterator[str]:
    baseline = report.experiment.baseline
    tested = [(row.name, row.comparison) for row in report.rows if row.comparison]
    same = [name for name, found in tested if found.n_differ == 0]
    if same:
        yield f"No difference shown, not one user differs from {baseline}: {', '.join(same)}."
    for name, found in tested:
        if found.n_differ:
            yield _verdict(name, found, baseline)


def _verdict(name: str, found: Comparison, baseline: str) -> str:
    size = (
        f"{found.difference:+.4f} [{found.low:+.4f}, {found.high:+.4f}], corrected p "
        f"{format_p(found.p_holm)}"
    )
    if found.verdict != "no difference shown":
        return f"{name} is {found.verdict} than {baseline}: {size}."
    more = f" ({found.n_needed:,} users would be needed)" if found.n_needed else ""
    return (
        f"{name}: no difference shown ({size}); with so many users, differences under "
        f"{found.smallest:.4f} are missed more than one time in five{more}."
    )


def _repeated_orders(report: Report) -> Iterator[str]:
    """Name the models that mostly repeat the order they were given; their score is retrieval's."""
    kept = {row.name: row.behaviour.get("kept order") or 0.0 for row in report.rows}
    often = {name: share for name, share in kept.items() if share >= _REPEATS_ORDER}
    repeated = [f"{name} for {format_percent(share)}" for name, share in often.items()]
    if repeated:
        yield (
            f"The order that was given is repeated by {', '.join(repeated)} of the users answered: "
            "their score is retrieval's."
        )


def _limit_of_retrieval(report: Report) -> Iterator[str]:
    shown = report.lists.n_shown
    share = report.funnel.retrieval[f"retrieved, first {shown}"]
    yield (
        f"Retrieval puts the target among the {shown} candidates of {format_percent(share)} of the "
        "users; for the others no order of a model can find it."
    )


def _blends(report: Report) -> Iterator[str]:
    useless = [name for name, fit in report.blends.items() if fit.calls_saved >= 1]
    if useless:
        yield (
            f"Blends of {', '.join(useless)}: weight 0 for every length of history, that is, do "
            "not ask the model; all calls are saved."
        )
    for name, fit in report.blends.items():
        if name not in useless:
            yield (
                f"Blend of {name}: weight {fit.weight:g} overall; asking only where it paid on "
                f"validation saves {format_percent(fit.calls_saved)} of the calls."
            )
