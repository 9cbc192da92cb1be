"""The command line of batches: ``rag-rec batch``."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from rag_rec.batch import (
    BatchOptions,
    BatchPipeline,
    JsonEvents,
    RunLimiter,
    Summary,
    Totals,
    convert,
    estimate,
    open_recommender,
    progress_for,
    run,
)
from rag_rec.cli.console import note, terminal, write_json
from rag_rec.cli.loading import note_live_changes
from rag_rec.cli.openai_batch import (
    export_command,
    import_command,
    poll_command,
    submit_command,
)
from rag_rec.cli.options import (
    BatchK,
    Columns,
    Config,
    IndexDir,
    ListType,
    ListTypes,
    Llm,
    NewItems,
    Prompt,
    Users,
    columns_of,
)
from rag_rec.core import Settings

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Recommend for a whole file of users, and go on where it stopped.",
)
app.command("export")(export_command)
app.command("submit")(submit_command)
app.command("poll")(poll_command)
app.command("import")(import_command)

Engines = StrEnum("Engines", ["threads", "vllm", "ray"])

Out = Annotated[
    Path,
    typer.Option(
        "--out",
        metavar="FILE.jsonl",
        help="One record a user; failures go to FILE.failures.jsonl. FILE.parquet: when complete, "
        "as Parquet too.",
    ),
]
Concurrency = Annotated[
    int | None, typer.Option("--concurrency", min=1, help="Requests in flight at most (16).")
]
MaxCost = Annotated[
    float | None,
    typer.Option(
        "--max-cost", min=0, help="Stop before the job costs more; needs [prices] in --config."
    ),
]
MaxRequests = Annotated[
    int | None, typer.Option("--max-requests", min=0, help="Stop before the job sends more.")
]
Rpm = Annotated[float | None, typer.Option("--requests-per-minute", min=0, help="At most.")]
Tpm = Annotated[
    float | None, typer.Option("--tokens-per-minute", min=0, help="At most, read and written.")
]
UserDeadline = Annotated[
    float | None,
    typer.Option("--user-deadline", min=0, metavar="S", help="Seconds a user may take."),
]
GiveUpAfter = Annotated[
    int | None,
    typer.Option(
        "--give-up-after",
        min=0,
        metavar="N",
        help="Stop when N users in a row fail (100; 0: never).",
    ),
]
Cache = Annotated[
    str | None,
    typer.Option("--cache", metavar="FILE", help="Keep replies; an unchanged user costs nothing."),
]


@app.command("run")
def run_command(
    index: IndexDir,
    users: Users,
    out: Out,
    llm: Llm = None,
    prompt: Prompt = None,
    type: ListType = ListTypes.topk,  # noqa: A002
    k: BatchK = None,
    new_items: NewItems = None,
    config: Config = None,
    column: Columns = None,
    engine: Annotated[
        Engines, typer.Option(help="Way of making requests; the records are the same.")
    ] = Engines.threads,
    actors: Annotated[
        int, typer.Option("--actors", min=0, help="Of Ray (0: one a CPU, less one).")
    ] = 0,
    concurrency: Concurrency = None,
    max_cost: MaxCost = None,
    max_requests: MaxRequests = None,
    requests_per_minute: Rpm = None,
    tokens_per_minute: Tpm = None,
    user_deadline: UserDeadline = None,
    give_up_after: GiveUpAfter = None,
    cache: Cache = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try the users of the failures file again.")
    ] = False,
    mix_runs: Annotated[
        bool,
        typer.Option("--mix-runs", help="Go on in a file that was made with other settings."),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say users, requests, tokens and cost; send nothing."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Progress and result as JSON lines on stdout.")
    ] = False,
) -> None:
    """Recommend for every user of a file. The same command again goes on where it stopped.

    Ctrl-C finishes the requests in flight and stops; a second one stops at once. Either way the
    same command goes on later. Exit 0: complete. 3: complete, and some users failed. 4: stopped
    early, at a limit or by the provider. 130: interrupted. 1: it could not be begun or written.
    """
    settings = Settings.load(config, llm=llm, prompt=prompt, k=k)
    limits = {
        "max_cost": max_cost,
        "max_requests": max_requests,
        "requests_per_minute": requests_per_minute,
        "tokens_per_minute": tokens_per_minute,
        "user_deadline_s": user_deadline,
        "give_up_after": give_up_after,
        "cache": cache,
    }
    settings = _with_limits(settings, limits, concurrency)
    options = BatchOptions(
        list_type=str(type),
        k=k,
        new_items=new_items or 0,
        engine=engine.value,  # pyright: ignore[reportArgumentType] - same names
        actors=actors,
        columns=columns_of(column or []),
        mix_runs=mix_runs,
        retry_failed=retry_failed,
    )
    note_live_changes(index, "are not in a batch")
    if dry_run:
        _dry_run(index, users, out, settings, options, as_json=as_json)
        return
    if settings.llm == "none":
        note("no model asked (--llm none): records are the retrieval order")
    raise typer.Exit(_run(index, users, out, settings, options, as_json=as_json))


@app.command("convert")
def convert_command(
    records: Annotated[Path, typer.Argument(metavar="RECORDS.jsonl", help="Output of batch run.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Ends in .csv or .parquet.")],
) -> None:
    """Write records as Parquet, or as CSV for a spreadsheet (nothing in it can be executed)."""
    note(f"{convert(records, out):,} users in {out}")


def _run(
    index: Path, users: Path, out: Path, settings: Settings, options: BatchOptions, *, as_json: bool
) -> int:
    """Run, report, and return the exit code."""
    records = out.with_suffix(".jsonl") if out.suffix.lower() == ".parquet" else out
    progress = progress_for(terminal(stderr=True), as_json=as_json)
    limiters: list[RunLimiter] = []
    options = replace(options, progress=progress, on_limiter=limiters.append)
    try:
        with _interrupts(limiters, progress.note):
            summary = run(index, users, records, settings=settings, options=options)
    finally:
        progress.close()
    if isinstance(progress, JsonEvents):
        progress.event("end", **summary.model_dump(mode="json"), exit_code=summary.exit_code)
    else:
        _report(summary)
    if out != records and summary.end == "complete":
        note(f"{convert(records, out):,} records as Parquet in {out}")
    return summary.exit_code


def _dry_run(
    index: Path,
    users: Path,
    out: Path,
    settings: Settings,
    options: BatchOptions,
    *,
    as_json: bool,
) -> None:
    limiter = RunLimiter(settings)
    with open_recommender(index, settings, limiter) as recommender:
        pipeline = BatchPipeline(
            recommender, list_type=options.list_type, k=options.k, new_items=options.new_items
        )
        out = out.with_suffix(".jsonl")
        result = estimate(pipeline, limiter, users, columns=options.columns, out=out)
    if as_json:
        write_json(result.model_dump_json())
        return
    counted = (
        "counted" if result.exact else "estimated from the length of the text, on the high side"
    )
    note(
        f"{result.users:,} users to recommend for; {result.finished:,} rows done before, "
        f"{result.bad_rows:,} that cannot be served"
    )
    note(
        f"{result.requests:,} requests and {result.cached:,} answers from the cache, going by "
        f"{result.sampled:,} users; re-asks and retries come on top"
    )
    note(
        f"{result.prompt_tokens:,} tokens read ({counted}), "
        f"at most {result.completion_tokens_at_most:,} written"
    )
    for line in result.omitted:
        note(f"left out: {line}")
    if result.cost_at_most is None:
        note("no cost: put [prices] with input and output, a million tokens each, into --config")
    else:
        note(f"at most {result.cost_at_most:,.4f} {result.currency}; --max-cost sets a limit")


def _with_limits(settings: Settings, limits: dict[str, Any], concurrency: int | None) -> Settings:
    batch = settings.batch.model_copy(update={k: v for k, v in limits.items() if v is not None})
    request = settings.request
    if concurrency is not None:
        request = request.model_copy(update={"concurrency": concurrency})
    return settings.model_copy(update={"batch": batch, "request": request})


@contextmanager
def _interrupts(limiters: list[RunLimiter], say: Callable[[str], None]) -> Generator[None]:
    """End the run in good order at the first Ctrl-C (or SIGTERM), at once at the second."""

    def handle(number: int, frame: FrameType | None) -> None:
        del frame
        if not limiters:
            raise KeyboardInterrupt
        if limiters[0].stop and limiters[0].stop.interrupted:
            os._exit(130)  # every record is on the disk; threads wait for a network
        limiters[0].end("interrupted", interrupted=True)
        name = "Ctrl-C" if number == signal.SIGINT else "the signal"
        say(f"finishing what is in flight; {name} again stops at once")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _failed_in(totals: Totals, failures: Path) -> str:
    """Return the failures in words, with their kinds; empty without any."""
    kinds = ", ".join(f"{kind}: {n:,}" for kind, n in totals.reasons.items())
    return f", {totals.failed:,} failed in {failures} ({kinds})" if totals.failed else ""


def _report(summary: Summary) -> None:
    totals, usage = summary.totals, summary.totals.usage
    end = "stopped early" if summary.end == "stopped" else summary.end
    note(f"{end}: {totals.done:,} users in {summary.output}{_failed_in(totals, summary.failures)}")
    if usage.calls or usage.cached:
        cost = "" if summary.cost is None else f", {summary.cost:,.4f} {summary.currency}"
        note(
            f"{usage.calls:,} requests, {usage.prompt_tokens:,} + {usage.completion_tokens:,} "
            f"tokens{cost}, {usage.cached:,} answers from the cache; run {summary.run_id}"
        )
    if usage.estimated:
        note(
            f"{usage.estimated:,} replies came without a usable count of tokens; an estimate, on "
            "the high side, is booked for them"
        )
    if summary.end != "complete":
        note(f"{summary.reason}; the same command goes on")
    elif totals.failed:
        note("the reasons are in that file; --retry-failed tries those users again")
