"""The Batch API on the command line: ``rag-rec batch export | submit | poll | import``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from rag_rec.batch import (
    MAX_REQUESTS,
    BatchPipeline,
    Submission,
    export_requests,
    import_answers,
    offline_recommender,
    poll,
    read_manifest,
    submit,
)
from rag_rec.cli.console import note
from rag_rec.cli.loading import note_live_changes
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
from rag_rec.llm import BatchApi

_POLL_S = 30.0
_IMPORT = "rag-rec batch import {} --index DIR --out FILE.jsonl"

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="Output of batch export.")]
BaseUrl = Annotated[
    str | None, typer.Option("--base-url", metavar="URL", help="Another endpoint with that API.")
]


def export_command(
    index: IndexDir,
    users: Users,
    out: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", help="Where the request files go.")
    ],
    llm: Llm = None,
    prompt: Prompt = None,
    type: ListType = ListTypes.topk,  # noqa: A002
    k: BatchK = None,
    new_items: NewItems = None,
    config: Config = None,
    column: Columns = None,
    skip_done: Annotated[
        Path | None,
        typer.Option("--skip-done", metavar="RECORDS.jsonl", help="Leave out the users in it."),
    ] = None,
    per_file: Annotated[
        int, typer.Option("--per-file", min=1, max=MAX_REQUESTS, help="Requests a file at most.")
    ] = MAX_REQUESTS,
) -> None:
    """Write one request a user, as the OpenAI Batch API and ``vllm run-batch`` read them.

    Files hold at most 50,000 requests and 200 MB. Nothing is sent and no key is needed. Then:
    rag-rec batch submit FOLDER, poll FOLDER --wait, import FOLDER; or for vLLM:
    vllm run-batch -i FOLDER/requests-0001.jsonl -o FOLDER/answers-0001.jsonl --model MODEL.
    """
    settings = Settings.load(config, llm=llm, prompt=prompt, k=k)
    note_live_changes(index, "are not in a batch")
    with offline_recommender(index, settings) as recommender:
        manifest = export_requests(
            BatchPipeline(recommender, list_type=str(type), k=k, new_items=new_items or 0),
            users,
            out,
            columns=columns_of(column or []),
            skip_done=skip_done,
            max_requests=per_file,
        )
    note(f"{manifest.requests:,} requests in {len(manifest.files)} files in {out}")
    if manifest.not_exported:
        note(f"{manifest.not_exported:,} rows cannot be asked about; import tells why")
    for line in manifest.omitted:
        note(f"left out: {line}")


def import_command(
    folder: Folder,
    index: IndexDir,
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE.jsonl", help="Records, as batch run writes them.")
    ],
    answers: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[ANSWERS...]", help="Files of answers; else those in FOLDER."),
    ] = None,
    prompt: Prompt = None,
    config: Config = None,
    column: Columns = None,
) -> None:
    """Join answers with their users, make lists of them, and say how many are missing.

    Users without an answer get no record, so a later import goes on with them, and so does
    batch run with the same --out. Exit 0: complete. 3: some users failed. 4: answers are missing.
    """
    made = read_manifest(folder).identity
    settings = Settings.load(config, llm=made.model, prompt=prompt or made.settings["prompt"])
    with offline_recommender(index, settings) as recommender:
        pipeline = BatchPipeline(
            recommender, list_type=made.type, k=made.k, new_items=made.new_items
        )
        columns = columns_of(column or [])
        summary = import_answers(pipeline, folder, answers or [], out, columns=columns)
    note(f"{summary.done:,} users in {summary.output}")
    if summary.failed:
        note(f"{summary.failed:,} failed in {summary.failures}")
    if summary.unknown:
        note(f"{summary.unknown:,} answers belong to no user who waits for one")
    if summary.missing:
        reasons = ", ".join(f"{why}: {n:,}" for why, n in summary.reasons.items())
        note(
            f"{summary.missing:,} users have no answer ({reasons}); "
            f"rag-rec batch submit {folder} sends their requests again, "
            f"rag-rec batch run --out {summary.output} asks one by one"
        )
    raise typer.Exit(summary.exit_code)


def submit_command(folder: Folder, base_url: BaseUrl = None) -> None:
    """Submit exported requests to the hosted Batch API (the key comes from OPENAI_API_KEY).

    What is under way is not submitted again. What has ended without an answer is: the batch was
    refused, expired or was cancelled, its answers are gone, or the provider had a passing error.
    """
    api = BatchApi(base_url)
    submission = submit(folder, api)
    api.close()
    _show(submission)
    if submission.again:
        note(f"{submission.again:,} requests had no answer and are sent again")
    if submission.under_way:
        note(f"next: rag-rec batch poll {folder} --wait")
    else:
        note(f"nothing was left to send; next: {_IMPORT.format(folder)}")


def poll_command(
    folder: Folder,
    base_url: BaseUrl = None,
    wait: Annotated[bool, typer.Option("--wait", help="Until all have ended.")] = False,
    every: Annotated[
        float, typer.Option("--every", min=0.1, metavar="S", help="Seconds between looks.")
    ] = _POLL_S,
) -> None:
    """Ask for the state of submitted requests, and fetch the answers there are.

    Exit 0: all answers are here. 4: some are still to come, or have to be sent again.
    """
    api = BatchApi(base_url)
    submission = poll(folder, api)
    while wait and submission.under_way:
        _show(submission)
        time.sleep(every)
        submission = poll(folder, api)
    api.close()
    _show(submission)
    if submission.missing:
        note(
            f"{submission.missing:,} requests have no answer: rag-rec batch submit {folder} sends "
            f"them again; {_IMPORT.format(folder)} takes what there is"
        )
    elif not submission.batches:
        note(f"nothing is submitted; next: rag-rec batch submit {folder}")
    elif not submission.under_way:
        note(f"next: {_IMPORT.format(folder)}")
        return
    raise typer.Exit(4)


def _show(submission: Submission) -> None:
    for batch in submission.batches:
        note(batch.line())
