"""The command line of batches: ``rag-rec batch``."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
from rich.console import Console

from rag_rec.batch import (
    Control,
    JsonEvents,
    Options,
    Summary,
    convert,
    estimate,
    open_recommender,
    progress_for,
    run,
)
from rag_rec.cli.batch_options import Columns, K, Users, columns_of
from rag_rec.cli.console import note
from rag_rec.cli.openai_batch import (
    export_command,
    import_command,
    poll_command,
    submit_command,
)
from rag_rec.cli.options import Config, IndexDir, Llm, Prompt
from rag_rec.core import Settings

batch_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Recommend for a whole file of users, and go on where it stopped.",
)
_err = Console(stderr=True, highlight=False)

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
    Path | None,
    typer.Option("--cache", metavar="FILE", help="Keep replies; an unchanged user costs nothing."),
]


batch_app.command("export")(export_command)
batch_app.command("submit")(submit_command)
batch_app.command("poll")(poll_command)
batch_app.command("import")(import_command)


@batch_app.callback()
def _group() -> None:
    """Recommend for a whole file of users, and go on where it stopped."""


@batch_app.command("run")
def run_command(
    index: IndexDir,
    users: Users,
    out: Out,
    llm: Llm = None,
    prompt: Prompt = None,
    k: K = None,
    config: Config = None,
    column: Columns = None,
    engine: Annotated[
        Engines, typer.Option(help="How requests are made; the records are the same.")
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

    Ctrl-C finishes what is in flight and stops; a second one stops at once. Either way the same
    command goes on later. Exit 0: complete. 3: complete, and some users failed. 4: stopped early,
    at a limit or by the provider. 130: interrupted. 1: it could not be begun or written.
    """
    settings = Settings.load(config, llm=llm, prompt=prompt, k=k)
    limits = {
        "max_cost": max_cost,
        "max_requests": max_requests,
        "requests_per_minute": requests_per_minute,
        "tokens_per_minute": tokens_per_minute,
        "user_deadline_s": user_deadline,
        "give_up_after": give_up_after,
        "cache": None if cache is None else str(cache),
    }
    settings = _with(settings, limits, concurrency)
    if dry_run:
        _dry_run(index, users, out, settings, column or [], as_json=as_json)
        return
    if settings.llm == "none":
        note("no model asked (--llm none): records are the retrieval order")
    table = out if out.suffix.lower() == ".parquet" else None
    out = out.with_suffix(".jsonl") if table else out
    progress = progress_for(_err, as_json=as_json)
    controls: list[Control] = []
    try:
        with _interrupts(controls, progress.note):
            summary = run(
                index,
                users,
                out,
                settings=settings,
                options=Options(
                    engine=engine.value,  # pyright: ignore[reportArgumentType] - same names
                    actors=actors,
                    columns=columns_of(column or []),
                    mix_runs=mix_runs,
                    retry_failed=retry_failed,
                    progress=progress,
                    on_control=controls.append,
                ),
            )
    finally:
        progress.close()
    if isinstance(progress, JsonEvents):
        progress.event("end", **summary.model_dump(mode="json"), exit_code=summary.exit_code)
    else:
        _report(summary)
    if table and summary.end == "complete":
        note(f"{convert(out, table):,} records as Parquet in {table}")
    raise typer.Exit(summary.exit_code)


@batch_app.command("convert")
def convert_command(
    records: Annotated[Path, typer.Argument(metavar="RECORDS.jsonl", help="What run has written.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Ends in .csv or .parquet.")],
) -> None:
    """Write records as Parquet, or as CSV for a spreadsheet (nothing in it can be executed)."""
    note(f"{convert(records, out):,} users in {out}")


def _dry_run(
    index: Path, users: Path, out: Path, settings: Settings, column: list[str], *, as_json: bool
) -> None:
    control = Control(settings)
    with open_recommender(index, settings, control) as recommender:
        result = estimate(
            recommender,
            control,
            users,
            columns=columns_of(column),
            out=out.with_suffix(".jsonl"),
        )
    if as_json:
        sys.stdout.write(result.model_dump_json() + "\n")
        return
    note(
        f"{result.users:,} users to recommend for; {result.finished:,} rows done before, "
        f"{result.bad_rows:,} that cannot be served"
    )
    counted = (
        "counted" if result.exact else "estimated from the length of the text, on the high side"
    )
    note(
        f"{result.requests:,} requests and {result.cached:,} answers from the cache, going by "
        f"{result.sampled:,} users; re-asks and retries come on top"
    )
    note(
        f"{result.prompt_tokens:,} tokens read ({counted}), "
        f"at most {result.completion_tokens_at_most:,} written"
    )
    if result.cost_at_most is None:
        note("no cost: put [prices] with input and output, a million tokens each, into --config")
    else:
        note(f"at most {result.cost_at_most:,.4f} {result.currency}; --max-cost sets a limit")


def _with(settings: Settings, limits: dict[str, Any], concurrency: int | None) -> Settings:
    batch = settings.batch.model_copy(update={k: v for k, v in limits.items() if v is not None})
    request = settings.request
    if concurrency is not None:
        request = request.model_copy(update={"concurrency": concurrency})
    return settings.model_copy(update={"batch": batch, "request": request})


@contextmanager
def _interrupts(controls: list[Control], say: Any) -> Generator[None]:
    """The first Ctrl-C (or SIGTERM) ends the run in good order, the second at once."""

    def handle(number: int, frame: FrameType | None) -> None:
        del frame
        if not controls:
            raise KeyboardInterrupt
        if controls[0].stop and controls[0].stop.interrupted:
            os._exit(130)  # every record is on the disk; threads wait for a network
        controls[0].end("interrupted", interrupted=True)
        what = "Ctrl-C" if number == signal.SIGINT else "the signal"
        say(f"finishing what is in flight; {what} again stops at once")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _report(summary: Summary) -> None:
    totals, usage = summary.totals, summary.totals.usage
    ends = {"complete": "complete", "stopped": "stopped early", "interrupted": "interrupted"}
    note(
        f"{ends[summary.end]}: {totals.done:,} users in {summary.output}"
        + (f", {totals.failed:,} failed in {summary.failures}" if totals.failed else "")
    )
    if usage.calls or usage.cached:
        cost = "" if summary.cost is None else f", {summary.cost:,.4f} {summary.currency}"
        note(
            f"{usage.calls:,} requests, {usage.prompt_tokens:,} + {usage.completion_tokens:,} "
            f"tokens{cost}, {usage.cached:,} answers from the cache; run {summary.run_id}"
        )
    if summary.end != "complete":
        note(f"{summary.reason}; the same command goes on")
    elif totals.failed:
        note("the reasons are in that file; --retry-failed tries those users again")
