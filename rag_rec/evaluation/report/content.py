"""The sections of a report, made once for every renderer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rag_rec.evaluation.report.conclusions import conclusions
from rag_rec.evaluation.report.sections import (
    Article,
    Block,
    Bullets,
    Cell,
    Chart,
    ColumnKind,
    Folded,
    Heading,
    Mark,
    Paragraph,
    Section,
    Table,
    Tone,
    format_cell,
    format_number,
    format_percent,
)
from rag_rec.evaluation.report_model import Added, ConditionFigures, Report, ReportRow
from rag_rec.evaluation.statistics import Comparison

_NAME = Heading("", "text")
_COUNTS = ("asked", "calls", "prompt tokens a user", "completion tokens a user")
_MEASURES = ("seconds p50", "seconds p95", "cost", "cost of a thousand users")


def article_of(report: Report) -> Article:
    """Return a report as sections; all text in them is plain, as it came from the data."""
    void = [Paragraph(f"This report is void: {found}", "void") for found in report.findings]
    intro = [Paragraph(report.description), Paragraph(_setting(report), "soft"), *void]
    return Article(report.name, intro, list(_sections(report)))


def _setting(report: Report) -> str:
    data, users, pipeline = report.data, report.users, report.experiment.pipeline
    typed = f"Lists of type {pipeline.list_type}, {report.lists.length} items each. "
    strata = ", ".join(f"{n} {name}" for name, n in users.strata.items())
    return (
        f"{data.items:,} items, {data.events_fitted_on:,} events and {data.reviews_fitted_on:,} "
        f"reviews fitted on; {data.reviews_hidden:,} reviews of hidden events kept out. Split "
        f"{report.experiment.split.protocol}; {users.measured:,} of {users.planned:,} users "
        f"({strata}). {'' if pipeline.list_type == 'topk' else typed}"
        f"Seed {report.experiment.seed}, {report.cores} cores, version "
        f"{report.version}."
    )


def _sections(report: Report) -> Iterator[Section]:
    yield Section("Conclusions", [Bullets(conclusions(report))])
    if report.notes:
        yield Section("Notes", [Bullets(report.notes)])
    yield Section("Leaderboard", _leaderboard(report))
    tested = [(row.name, row.comparison) for row in report.rows if row.comparison]
    if tested:
        yield Section("Differences from the baseline", _differences(report, tested))
    yield Section("Where the target is lost", _funnel(report))
    asked = [row for row in report.rows if row.behaviour]
    if asked:
        yield Section("Accuracy against cost", [_cost(report, asked)])
    yield Section("By length of the history", _strata(report))
    yield Section("Beyond accuracy", [_beyond(report)])
    if asked:
        yield Section("Model behaviour", [_behaviour(asked)])
    for name, conditions in report.sensitivity.items():
        yield Section(f"Sensitivity of {name}", list(_sensitivity(report, conditions)))
    if report.blends:
        yield Section("Blend and routing", _blends(report))


def _leaderboard(report: Report) -> list[Block]:
    metric = report.experiment.metric
    rows = sorted(report.rows, key=lambda row: -row.value)
    marks = [Mark(row.name, row.value, ends=(row.low, row.high), tone=row.kind) for row in rows]
    columns = [
        _NAME, Heading(metric), Heading("95 % interval", "range"), Heading("difference", "signed"),
        Heading("corrected p", "p"), Heading("verdict", "verdict"), Heading("failed", "share"),
    ]  # fmt: skip
    tests = [(c.difference, c.p_holm, c.verdict) if (c := row.comparison) else (None,) * 3
             for row in rows]  # fmt: skip
    body = [
        [row.name, row.value, (row.low, row.high), *test, row.behaviour.get("failed")]
        for row, test in zip(rows, tests, strict=True)
    ]
    metrics = [[row.name, *row.metrics.values()] for row in rows]
    return [
        Chart("intervals", marks, f"{metric} and its 95 % interval over users"),
        Table(columns, body),
        Folded("All metrics", [Table([_NAME, *map(Heading, rows[0].metrics)], metrics)]),
    ]


def _differences(report: Report, tested: Sequence[tuple[str, Comparison]]) -> list[Block]:
    tones: Mapping[str, Tone] = {"better": "better", "worse": "worse"}
    marks = [
        Mark(name, c.difference, ends=(c.low, c.high), tone=tones.get(c.verdict, "baseline"))
        for name, c in tested
    ]
    columns = [
        _NAME, Heading("difference", "signed"), Heading("interval", "signed range"),
        Heading("p", "p"), Heading("corrected p", "p"), Heading("effect dz"),
        Heading("users that differ", "part"), Heading("users needed", "count"),
        Heading("smallest visible"), Heading("verdict", "verdict"),
    ]  # fmt: skip
    body = [
        [name, c.difference, (c.low, c.high), c.p, c.p_holm, format_number(c.effect, 2),
         (c.n_differ, c.n_users), c.n_needed, c.smallest, c.verdict]
        for name, c in tested
    ]  # fmt: skip
    experiment = report.experiment
    caption = f"{experiment.metric} minus that of “{experiment.baseline}”, same users"
    return [Chart("intervals", marks, caption, zero=0.0), Table(columns, body)]


def _funnel(report: Report) -> list[Block]:
    stages = report.funnel.retrieval.items()
    chart = Chart(
        "shares",
        [Mark(name, share, ends=(0.0, share)) for name, share in reversed(stages)],
        "share of users whose target is still there after each stage of retrieval",
        table=Table([Heading("stage", "text"), Heading("recall")], list(stages)),
    )
    names = ("proposed", "in the prompt", "in the list", "first")
    variants = report.funnel.variants.items()
    body = [[name, *(found[stage] for stage in names)] for name, found in variants]
    return [chart, Table([Heading("variant", "text"), *map(Heading, names)], body)]


def _cost(report: Report, asked: Sequence[ReportRow]) -> Chart:
    priced = all(row.behaviour.get("cost") is not None for row in asked)
    x_name = "cost of a thousand users" if priced else "tokens a user, read and written"
    metric, baseline = report.experiment.metric, report.experiment.baseline
    spent = [
        (row, _spent(row, priced=priced))
        for row in report.rows
        if row.kind == "variant" or row.name == baseline
    ]
    marks = [Mark(row.name, x, row.value, tone=row.kind) for row, x in spent if x is not None]
    cached = ", ".join(row.name for row, x in spent if x is None)
    return Chart(
        "points",
        marks,
        f"{metric} against {x_name}"
        + (f"; every answer of {cached} came from a cache" if cached else ""),
        x_name,
        table=Table(
            [_NAME, Heading(x_name, "number" if priced else "count"), Heading(metric)],
            [[row.name, x, row.value] for row, x in spent],
        ),
    )


def _spent(row: ReportRow, *, priced: bool) -> float | None:
    """Return the cost or tokens of a row; 0 where nothing was sent, None if all was cached."""
    found = row.behaviour
    if not found or found["cache hits"] is None:
        return 0.0
    read, written = found["prompt tokens a user"], found["completion tokens a user"]
    if read is None or written is None:
        return None
    return found["cost of a thousand users"] if priced else read + written


def _strata(report: Report) -> list[Block]:
    counts = {name: n for name, n in report.users.strata.items() if n}
    charts = [
        Chart(
            "intervals",
            [
                Mark(row.name, found.value, ends=(found.low, found.high), tone=row.kind)
                for row, found in ((row, row.strata[name]) for row in report.rows)
                if row.kind != "blend"
            ],
            f"{name}: {n} users",
        )
        for name, n in counts.items()
    ]
    columns = [_NAME, *(Heading(f"{name} ({n} users)", "estimate") for name, n in counts.items()),
               Heading("gap")]  # fmt: skip
    body: list[list[Cell]] = []
    for row in report.rows:
        groups = (row.strata[name] for name in counts)
        body.append([row.name, *((g.value, g.low, g.high) for g in groups), row.gap])
    return [*charts, Table(columns, body)]


def _beyond(report: Report) -> Table:
    rows = [row for row in report.rows if row.beyond]
    names = list(rows[0].beyond)
    body = [[row.name, *(format_number(row.beyond[name], 3) for name in names)] for row in rows]
    return Table([_NAME, *map(Heading, names)], body)


def _behaviour(asked: Sequence[ReportRow]) -> Table:
    """Return a column a model; the figures of one line have a kind of their own."""
    body = [
        [name, *(_figure(name, row.behaviour[name]) for row in asked)]
        for name in asked[0].behaviour
    ]
    return Table([_NAME, *(Heading(row.name) for row in asked)], body)


def _figure(name: str, value: float | None) -> str:
    if name in _MEASURES:
        return format_number(value, 2)
    kind: ColumnKind = "count" if name in _COUNTS else "share"
    return format_cell(value, kind)


def _sensitivity(report: Report, conditions: Mapping[str, ConditionFigures]) -> Iterator[Block]:
    if not conditions:
        yield Paragraph("Planned, but nothing of it has been answered.")
        return
    columns = [
        Heading("condition", "text"), Heading("users", "part"), Heading(report.experiment.metric),
        Heading("as asked before"), Heading("retrieval, same condition"),
    ]  # fmt: skip
    yield Table(columns, [
        [name, (found.users, found.planned), found.value, found.as_asked, found.retrieval]
        for name, found in conditions.items()
    ])  # fmt: skip
    shuffled = conditions.get("shuffled")
    if shuffled and shuffled.by_position:
        yield from _shuffled(shuffled)


def _shuffled(found: ConditionFigures) -> Iterator[Block]:
    yield Paragraph(
        "The same candidates in random order: Kendall tau between the two lists "
        f"{format_number(found.correlation, 2)}, shared items {format_percent(found.overlap)}, tau "
        f"between the order shown and the list {format_number(found.follows, 2)}."
    )
    columns = [Heading("target shown at", "text"), Heading("users", "count"),
               Heading("put first", "share"), Heading("mean reciprocal place")]  # fmt: skip
    yield Chart(
        "curve",
        [
            Mark(f"{n} users at place {at}", at, first, tone="variant", n_users=n)
            for at, n, first, _ in found.by_position
        ],
        "target put first, by the place at which it was shown; larger dots, more users",
        "place at which it was shown",
        table=Table(columns, [[str(at), *figures] for at, *figures in found.by_position]),
    )


def _blends(report: Report) -> list[Block]:
    strata = list(report.users.strata)
    columns = [
        Heading("variant", "text"), Heading("weight", "text"),
        *(Heading(name, "text") for name in strata), Heading("validation users", "count"),
        Heading("calls saved", "share"), Heading("file", "text"),
    ]  # fmt: skip
    body: list[list[Cell]] = []
    for name, fit in report.blends.items():
        weights = [f"{w:g} ({n} users)" for w, n, _ in (fit.by_stratum[s] for s in strata)]
        body.append([name, f"{fit.weight:g}", *weights, fit.validation_users, fit.calls_saved,
                     fit.file])  # fmt: skip
    remark = (
        "Weight of the model's order against retrieval's, fitted on earlier events of other "
        "draws of users; 0 means that the model is not asked. A weight above 0 must gain more "
        "than one standard error."
    )
    return [Paragraph(remark), Table(columns, body), *_added(report)]


def _added(report: Report) -> list[Block]:
    """Return what each blend adds to retrieval, by group of users."""
    groups = dict.fromkeys(name for fit in report.blends.values() for name in fit.added)
    if not groups:
        return []
    columns = [Heading("variant", "text"), *(Heading(name, "text") for name in groups)]
    body: list[list[Cell]] = []
    for name, fit in report.blends.items():
        cells = (fit.added.get(group) for group in groups)
        body.append([name, *("–" if one is None else _gain(one) for one in cells)])
    metric = report.experiment.metric
    return [Paragraph(f"Added to retrieval's {metric} on the test:"), Table(columns, body)]


def _gain(added: Added) -> str:
    ends = f"{added.low:+.4f} to {added.high:+.4f}"
    return f"{added.value:+.4f} ({ends}; {added.users:,} users)"
