"""The command line: ``rag-rec demo | index | recommend | show``.

Results go to stdout, progress and messages to stderr. Exit 0: done. 1: it failed, and one line
says why and what to do. 2: the command was not understood.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rag_rec import __version__
from rag_rec.builder import build_index
from rag_rec.config import Settings
from rag_rec.console import build_progress, note, table_of
from rag_rec.dataset import Dataset, load_sample
from rag_rec.errors import ConfigError, RagRecError
from rag_rec.evaluate_cli import evaluate_app
from rag_rec.index import DEFAULT_EMBEDDER, ItemIndex, SentenceTransformerEmbedder
from rag_rec.llm import SPECS
from rag_rec.prompt import variant_names
from rag_rec.recommender import Recommender
from rag_rec.types import Constraints, UserHistory

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Recommendations from a language model that can only name your items.\n\n"
    "Start with [bold]rag-rec demo[/bold]. Then: [bold]rag-rec index[/bold] your files, "
    "[bold]rag-rec recommend[/bold] for a user, [bold]rag-rec show[/bold] what the model was sent.",
)
app.add_typer(evaluate_app, name="evaluate")
_out = Console()

Formats = StrEnum("Formats", ["auto", "amazon", "movielens", "recbole", "sequences"])
OnErrors = StrEnum("OnErrors", ["stop", "skip"])

IndexDir = Annotated[Path, typer.Option("--index", metavar="DIR", help="A built index.")]
Llm = Annotated[
    str | None,
    typer.Option("--llm", metavar="SPEC", help="Which model:\n\n" + SPECS.replace("\n", "\n\n")),
]
Prompt = Annotated[
    str | None,
    typer.Option(
        "--prompt",
        metavar="NAME",
        help="Prompt variant: " + ", ".join(variant_names()) + ", or a .toml file.",
    ),
]
Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings as TOML; options win over it."),
]
K = Annotated[
    int | None,
    typer.Option("--k", min=1, help="List length (10 unless the settings say otherwise)."),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="One JSON document on stdout and nothing else.")
]
Profile = Annotated[
    str | None,
    typer.Option("--profile", metavar="TEXT", help='Plain words: "likes slow science fiction".'),
]
Histories = Annotated[
    str | None,
    typer.Option("--history", metavar="IDS", help="Item ids, oldest first, separated by commas."),
]


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    """Options of every command."""
    if debug:
        os.environ["RAG_REC_DEBUG"] = "1"
    if version:
        _out.print(f"rag-rec {__version__}")
        raise typer.Exit


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Where the demo's index is kept.")] = Path(
        "indexes/demo"
    ),
    llm: Annotated[str, typer.Option(help="Model spec, as in recommend.")] = "local",
    k: Annotated[int, typer.Option(min=1)] = 5,
) -> None:
    """Build the bundled sample's index and recommend for three of its customers, one of them cold."""
    _build(load_sample(), out, DEFAULT_EMBEDDER, rebuild=False)
    note("asking the model (embedded ones take some seconds a user)")
    with Recommender.open(out, llm) as recommender:
        users: list[tuple[str, UserHistory]] = [
            (user_id, recommender.history_of(user_id)) for user_id in ("user-042", "user-007")
        ]
        words = "I have just started baking with sourdough and I like a quiet cup of tea"
        users.append(("a new customer who says: " + words, UserHistory(profile=words)))
        with build_progress() as progress:
            task = progress.add_task("recommending", total=len(users))
            lists = recommender.recommend_many(
                [history for _, history in users], k, on_done=lambda n: progress.advance(task, n)
            )
        for (name, history), result in zip(users, lists, strict=True):
            past = [recommender.index.item_by_id(i).title for i in history.item_ids[-3:]]
            _out.print()
            _out.print(table_of(name, past, result))
    note(f"next: rag-rec show --index {out} --prompt-for user-042 --llm {llm}")


@app.command()
def index(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[FOLDER]", help="For formats that are a folder.")
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="The index; made or updated.")
    ] = Path("indexes/shop"),
    items: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Catalog: CSV, JSON lines or Parquet.")
    ] = None,
    reviews: Annotated[Path | None, typer.Option(metavar="FILE", help="Reviews.")] = None,
    interactions: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Interaction log.")
    ] = None,
    format: Annotated[Formats, typer.Option(help="auto knows usual column names.")] = Formats.auto,  # noqa: A002
    columns: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TABLE.OURS=THEIRS",
            help="Name a column, such as items.title=product_name; repeatable.",
        ),
    ] = None,
    sample: Annotated[bool, typer.Option("--sample", help="Index the bundled sample.")] = False,
    embedder: Annotated[
        str, typer.Option(metavar="NAME", help="Any sentence-transformers model.")
    ] = DEFAULT_EMBEDDER,
    on_error: Annotated[
        OnErrors, typer.Option(help="Bad rows: stop, or skip them into a side file.")
    ] = OnErrors.stop,
    rejects: Annotated[Path, typer.Option(metavar="FILE", help="Where skipped rows go.")] = Path(
        "rejected.csv"
    ),
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Embed everything again.")] = False,
    as_json: AsJson = False,
) -> None:
    """Build an index, or update it: only texts that changed are embedded again."""
    if sample:
        if folder or items or reviews or interactions or columns:
            raise typer.BadParameter("--sample stands alone: give either it or files of your own")
        data = load_sample()
    else:
        data = Dataset.load(
            folder,
            items=items,
            reviews=reviews,
            interactions=interactions,
            format=format.value,  # pyright: ignore[reportArgumentType] - the enum holds the same names
            columns=_columns(columns or []),
            on_error=on_error.value,  # pyright: ignore[reportArgumentType]
            rejects_file=rejects,
        )
    for line in data.notices:
        note(line)
    if data.rejected:
        note(f"{data.rejected} rows set aside in {rejects}")
    manifest = _build(data, out, embedder, rebuild=rebuild)
    if as_json:
        sys.stdout.write(json.dumps(manifest) + "\n")


@app.command()
def recommend(
    index: IndexDir,
    user: Annotated[
        str | None, typer.Option("--user", metavar="ID", help="A user of the log.")
    ] = None,
    history: Histories = None,
    profile: Profile = None,
    k: K = None,
    llm: Llm = None,
    prompt: Prompt = None,
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Never list this item; repeatable.")
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Recommend for one user: known by id, by a history of items, or by plain words."""
    settings = Settings.load(config, llm=llm, prompt=prompt, k=k)
    with Recommender.open(index, settings=settings) as recommender:
        who = _who(recommender, user, history, profile)
        constraints = Constraints(exclude=frozenset(exclude or ()))
        if settings.llm == "none":
            note("no model asked (--llm none): this is the retrieval order")
        result = recommender.recommend(who, settings.k, constraints=constraints)
        if as_json:
            sys.stdout.write(result.model_dump_json() + "\n")
            return
        past = [recommender.index.item_by_id(i).title for i in who.item_ids[-5:]]
        _out.print(table_of(user or profile or "anonymous", past, result))


@app.command()
def show(
    index: IndexDir,
    item: Annotated[
        str | None,
        typer.Option("--item", metavar="ID", help="An item, its reviews and neighbours."),
    ] = None,
    user: Annotated[
        str | None, typer.Option("--user", metavar="ID", help="A user's history.")
    ] = None,
    prompt_for: Annotated[
        str | None,
        typer.Option("--prompt-for", metavar="USER", help="Exactly what the model is sent."),
    ] = None,
    k: K = None,
    llm: Llm = None,
    prompt: Prompt = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Look inside an index: its manifest, an item, a user, or a user's prompt."""
    if sum(value is not None for value in (item, user, prompt_for)) > 1:
        raise typer.BadParameter("give one of --item, --user, --prompt-for")
    if prompt_for is not None:
        settings = Settings.load(config, llm=llm or "local", prompt=prompt, k=k)
        with Recommender.open(index, settings=settings) as recommender:
            _show_prompt(recommender, prompt_for, settings.k, as_json=as_json)
        return
    opened = ItemIndex.open(index)
    document = (
        _item_document(opened, item)
        if item is not None
        else opened.history(user).model_dump(mode="json", include={"user_id", "events"})
        if user is not None
        else opened.manifest.model_dump(mode="json")
    )
    if user is not None:
        for event in document["events"]:
            event["title"] = opened.item_by_id(event["item_id"]).title
    _show_document(document, as_json=as_json)


def main() -> None:
    """Entry point: errors become one line and an exit code."""
    logging.captureWarnings(capture=True)
    try:
        app()
    except RagRecError as error:
        if os.environ.get("RAG_REC_DEBUG"):
            raise
        note(f"error: {error}")
        sys.exit(1)
    except KeyboardInterrupt:
        note("interrupted")
        sys.exit(130)


def _build(data: Dataset, out: Path, embedder: str, *, rebuild: bool) -> dict[str, Any]:
    with build_progress() as progress:
        tasks: dict[str, Any] = {}

        def step(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total)
            progress.update(tasks[what], completed=done)

        manifest, embedded = build_index(
            data, out, embedder=SentenceTransformerEmbedder(embedder), rebuild=rebuild, on_step=step
        )
    note(
        f"index at {out}: {manifest.n_items} items, {manifest.n_reviews} reviews, "
        f"{manifest.n_users} users, {manifest.n_interactions} interactions; {embedded} texts embedded"
    )
    return manifest.model_dump(mode="json")


def _columns(pairs: Iterable[str]) -> dict[str, dict[str, str]]:
    mapping: dict[str, dict[str, str]] = {}
    for pair in pairs:
        ours, _, theirs = pair.partition("=")
        table, _, name = ours.partition(".")
        if table not in {"items", "reviews", "interactions"} or not name or not theirs:
            raise ConfigError(
                f"--columns {pair}: write it as TABLE.OURS=THEIRS, such as items.title=product_name"
            )
        mapping.setdefault(table, {})[name] = theirs
    return mapping


def _who(
    recommender: Recommender, user: str | None, history: str | None, profile: str | None
) -> UserHistory:
    if user is None and history is None and profile is None:
        raise typer.BadParameter("say for whom: --user ID, --history IDS or --profile TEXT")
    if history is not None:
        ids = [part.strip() for part in history.split(",") if part.strip()]
        who = UserHistory.of(*ids, user_id=user)
    elif user is not None:
        who = recommender.history_of(user)
    else:
        who = UserHistory()
    return who.model_copy(update={"profile": profile}) if profile else who


def _show_prompt(recommender: Recommender, user: str, k: int, *, as_json: bool) -> None:
    prompt = recommender.prompt_for(user, k)
    if as_json:
        messages = [{"role": role, "content": text} for role, text in prompt.messages]
        document = {
            "messages": messages,
            "labels": prompt.labels,
            "tokens": prompt.tokens,
            "exact": prompt.exact,
        }
        sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
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


def _item_document(opened: ItemIndex, item_id: str) -> dict[str, Any]:
    item = opened.item_by_id(item_id)
    row = opened.find(item_id) or 0
    nearest = opened.store.query("items", opened.item_vectors[row : row + 1], 6)[0]
    return item.model_dump(mode="json") | {
        "reviews": opened.review_texts([int(r) for r in opened.reviews_of(row)]),
        "nearest": [
            {"item_id": other.item_id, "title": other.title, "cosine": round(float(cosine), 3)}
            for ix, cosine in zip(*nearest, strict=True)
            if (other := opened.item(int(ix))).item_id != item_id
        ],
    }


def _show_document(document: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
        return
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in document.items():
        if isinstance(value, list):
            lines = [
                v
                if isinstance(v, str)
                else "  ".join(f"{v[key]}" for key in v if v[key] is not None)
                for v in value
            ]
            shown = "\n".join(f"- {line}" for line in lines)
        else:
            shown = (
                json.dumps(value, ensure_ascii=False, indent=2)
                if isinstance(value, dict)
                else str(value)
            )
        table.add_row(name, escape(shown))
    _out.print(table)


if __name__ == "__main__":
    main()
