"""``rag-rec show``: the inside of an index, and what a model is sent."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from rag_rec.cli.console import note, terminal, write_json
from rag_rec.cli.loading import note_live_changes
from rag_rec.cli.options import AsJson, Config, IndexDir, K, Llm, Prompt
from rag_rec.core import ConfigError, Settings, visible, visible_json
from rag_rec.index import IndexCheck, ItemIndex, LiveIndex, verify_index
from rag_rec.list_types import TopK
from rag_rec.pipeline import RecommendationRequest
from rag_rec.recommender import Recommender

app = typer.Typer(add_completion=False)
_out = terminal()

ShownItem = Annotated[
    str | None, typer.Option("--item", metavar="ID", help="An item, its reviews and neighbours.")
]
ShownUser = Annotated[str | None, typer.Option("--user", metavar="ID", help="A user's history.")]
ListUsers = Annotated[
    bool, typer.Option("--users", help="Every user with the number of events, one a line.")
]
Verify = Annotated[
    bool,
    typer.Option("--verify", help="Compare every byte with what was written; exit 1 for a fault."),
]
PromptFor = Annotated[
    str | None,
    typer.Option("--prompt-for", metavar="USER", help="Exactly what the model is sent."),
]


@app.command()
def show(
    index: IndexDir,
    item: ShownItem = None,
    user: ShownUser = None,
    users: ListUsers = False,
    prompt_for: PromptFor = None,
    verify: Verify = False,
    k: K = None,
    llm: Llm = None,
    prompt: Prompt = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Look inside an index: its manifest, users, an item, a user's history or prompt; check it."""
    if sum((item is not None, user is not None, users, prompt_for is not None, verify)) > 1:
        raise typer.BadParameter("give one of --item, --user, --users, --prompt-for, --verify")
    if verify:
        _show_check(verify_index(index), as_json=as_json)
        return
    if prompt_for is not None:
        settings = Settings.load(config, llm=llm or "local", prompt=prompt, k=k)
        with Recommender.open(index, settings=settings) as recommender:
            _show_prompt(recommender, prompt_for, settings.k, as_json=as_json)
        return
    opened = LiveIndex.open(index)
    note_live_changes(index, "since this version was built")
    if users:
        _show_users(opened, as_json=as_json)
        return
    if item is not None:
        document = _item_document(opened, item)
    elif user is not None:
        document = _user_document(opened, user)
    else:
        document = opened.manifest.model_dump(mode="json", exclude=None if as_json else {"files"})
    _show_document(document, as_json=as_json)


def _show_check(check: IndexCheck, *, as_json: bool) -> None:
    if as_json:
        write_json(check.model_dump_json())
    else:
        sys.stdout.writelines(f"{visible(fault)}\n" for fault in check.faults)
        found = f"{len(check.faults):,} faults" if check.faults else "all as they were written"
        note(f"version {check.version}: {check.files:,} files, {check.bytes:,} bytes; {found}")
    if check.faults:
        raise typer.Exit(1)


def _show_prompt(recommender: Recommender, user: str, k: int, *, as_json: bool) -> None:
    (state,) = recommender.preview([RecommendationRequest(user, TopK(k=k))])
    prompt = state.prompt
    if prompt is None:
        raise state.failure or ConfigError(
            "no prompt is sent: there is no model, or nothing to choose from"
        )
    for line in state.omitted:
        note(f"left out: {line}")
    if prompt.left_out:
        note(f"left out: candidates that do not fit: {', '.join(prompt.left_out)}")
    if as_json:
        messages = [{"role": role, "content": text} for role, text in prompt.messages]
        write_json(json.dumps({
            "messages": messages,
            "labels": prompt.labels,
            "left_out": prompt.left_out,
            "tokens": prompt.tokens,
            "exact": prompt.exact,
        }, ensure_ascii=False))  # fmt: skip
        return
    for role, text in prompt.messages:
        _out.rule(role, align="left")
        _out.print(text, markup=False, highlight=False)
    _out.rule(align="left")
    counted = "counted with the model's tokenizer" if prompt.exact else "estimated from the length"
    note(
        f"{prompt.tokens} tokens ({counted}), {len(prompt.labels)} candidates, "
        f"{prompt.n_history} past items, {prompt.n_evidence} quoted reviews"
    )


def _show_users(opened: ItemIndex, *, as_json: bool) -> None:
    counts = opened.interactions.group_by("user_id").len("events").sort("user_id")
    for user_id, events in counts.iter_rows():
        line = json.dumps({"user_id": user_id, "events": events}, ensure_ascii=False)
        sys.stdout.write(
            (visible_json(line) if as_json else visible(f"{user_id}\t{events}")) + "\n"
        )


def _item_document(opened: ItemIndex, item_id: str) -> dict[str, Any]:
    item = opened.item_by_id(item_id)
    row = opened.find(item_id) or 0
    nearest = opened.nearest(opened.vectors_of([row]), 6)[0]
    return item.model_dump(mode="json") | {
        "reviews": opened.review_texts([int(r) for r in opened.reviews_of(row)]),
        "nearest": [
            {"item_id": other.item_id, "title": other.title, "cosine": round(float(cosine), 3)}
            for ix, cosine in zip(*nearest, strict=True)
            if (other := opened.item(int(ix))).item_id != item_id
        ],
    }


def _user_document(opened: ItemIndex, user_id: str) -> dict[str, Any]:
    history = opened.history(user_id)
    document = history.model_dump(mode="json", include={"user_id", "events"})
    for event in document["events"]:
        event["title"] = opened.item_by_id(event["item_id"]).title
    return document


def _show_document(document: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        write_json(json.dumps(document, ensure_ascii=False))
        return
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in document.items():
        table.add_row(name, escape(_shown(value)))
    _out.print(table)


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, indent=2)
    if not isinstance(value, list):
        return str(value)
    lines = (
        entry
        if isinstance(entry, str)
        else "  ".join(f"{v}" for v in entry.values() if v is not None)
        for entry in value
    )
    return "\n".join(f"- {line}" for line in lines)
