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

from rag_rec.cli.batch import batch_app
from rag_rec.cli.console import build_progress, note, steps_shown, table_of
from rag_rec.cli.experiments import evaluate_app
from rag_rec.cli.options import AsJson, Config, IndexDir, Llm, Prompt
from rag_rec.cli.recommend import K, recommend_command
from rag_rec.cli.show import item_document, show_document, show_prompt, user_document
from rag_rec.core import ConfigError, RagRecError, Settings, UserHistory, __version__
from rag_rec.data import FORMATS, Dataset, load_sample
from rag_rec.index import DEFAULT_EMBEDDER, ItemIndex, SentenceTransformerEmbedder
from rag_rec.recommender import Recommender
from rag_rec.retrieval import RetrievalConfig, build_index

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
app.add_typer(batch_app, name="batch")
_out = Console()

Formats = StrEnum("Formats", list(FORMATS))
OnErrors = StrEnum("OnErrors", ["stop", "skip"])

# every command
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]
Version = Annotated[bool, typer.Option("--version", help="Show the version.")]


# the demo
DemoDir = Annotated[Path, typer.Option(help="Where the demo's index is kept.")]
DemoLlm = Annotated[str, typer.Option(help="Model spec, as in recommend.")]
DemoK = Annotated[int, typer.Option(min=1)]

# what an index is built from
Folder = Annotated[
    Path | None, typer.Argument(metavar="[FOLDER]", help="For formats that are a folder.")
]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="The index; made or updated.")]
Items = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Catalog: CSV, JSON lines or Parquet.")
]
Reviews = Annotated[Path | None, typer.Option(metavar="FILE", help="Reviews.")]
Interactions = Annotated[Path | None, typer.Option(metavar="FILE", help="Interaction log.")]
Format = Annotated[Formats, typer.Option(help="auto knows usual column names.")]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TABLE.OURS=THEIRS",
        help="Name a column, such as items.title=product_name; repeatable.",
    ),
]
Sample = Annotated[bool, typer.Option("--sample", help="Index the bundled sample.")]
EmbedderName = Annotated[str, typer.Option(metavar="NAME", help="Any sentence-transformers model.")]
OnError = Annotated[OnErrors, typer.Option(help="Bad rows: stop, or skip them into a side file.")]
Rejects = Annotated[Path, typer.Option(metavar="FILE", help="Where skipped rows go.")]
MemoryGib = Annotated[
    float,
    typer.Option(
        "--memory-gib",
        metavar="GIB",
        min=0.01,
        help="Memory that fitting may use; items beyond it are fitted by co-occurrence.",
    ),
]
Rebuild = Annotated[bool, typer.Option("--rebuild", help="Embed everything again.")]

# a look inside
ShownItem = Annotated[
    str | None, typer.Option("--item", metavar="ID", help="An item, its reviews and neighbours.")
]
ShownUser = Annotated[str | None, typer.Option("--user", metavar="ID", help="A user's history.")]
PromptFor = Annotated[
    str | None,
    typer.Option("--prompt-for", metavar="USER", help="Exactly what the model is sent."),
]


@app.callback()
def options(debug: Debug = False, version: Version = False) -> None:
    """Options of every command."""
    if debug:
        os.environ["RAG_REC_DEBUG"] = "1"
    if version:
        _out.print(f"rag-rec {__version__}")
        raise typer.Exit


@app.command()
def demo(out: DemoDir = Path("indexes/demo"), llm: DemoLlm = "local", k: DemoK = 5) -> None:
    """Build the sample's index and recommend for three of its customers, one of them cold."""
    _build(load_sample(), out, DEFAULT_EMBEDDER)
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
    folder: Folder = None,
    out: Out = Path("indexes/shop"),
    items: Items = None,
    reviews: Reviews = None,
    interactions: Interactions = None,
    format: Format = Formats["auto"],  # noqa: A002
    columns: Columns = None,
    sample: Sample = False,
    embedder: EmbedderName = DEFAULT_EMBEDDER,
    on_error: OnError = OnErrors.stop,
    rejects: Rejects = Path("rejected.csv"),
    rebuild: Rebuild = False,
    memory_gib: MemoryGib = 6.0,
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
            format=format.value,
            columns=_columns(columns or []),
            on_error=on_error.value,  # pyright: ignore[reportArgumentType]
            rejects_file=rejects,
        )
    for line in data.notices:
        note(line)
    if data.rejected:
        note(f"{data.rejected} rows set aside in {rejects}")
    retrieval = RetrievalConfig.within(memory_gib)
    manifest = _build(data, out, embedder, rebuild=rebuild, retrieval=retrieval)
    if as_json:
        sys.stdout.write(json.dumps(manifest) + "\n")


app.command("recommend")(recommend_command)


@app.command()
def show(
    index: IndexDir,
    item: ShownItem = None,
    user: ShownUser = None,
    prompt_for: PromptFor = None,
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
            show_prompt(recommender, prompt_for, settings.k, as_json=as_json)
        return
    opened = ItemIndex.open(index)
    if item is not None:
        document = item_document(opened, item)
    elif user is not None:
        document = user_document(opened, user)
    else:
        document = opened.manifest.model_dump(mode="json")
    show_document(document, as_json=as_json)


def main() -> None:
    """Entry point: errors become one line and an exit code."""
    logging.captureWarnings(capture=True)
    # threads that spin while they wait bring a busy machine to a standstill
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
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


def _build(
    data: Dataset,
    out: Path,
    embedder: str,
    *,
    rebuild: bool = False,
    retrieval: RetrievalConfig | None = None,
) -> dict[str, Any]:
    with steps_shown() as step:
        manifest, embedded = build_index(
            data,
            out,
            embedder=SentenceTransformerEmbedder(embedder),
            rebuild=rebuild,
            retrieval=retrieval,
            on_step=step,
        )
    retrieved = manifest.retrieval
    note(
        f"retrieval: {retrieved['fusion']} ({retrieved['fusion_why']}); {retrieved['solve']} solve"
    )
    note(
        f"index at {out}: {manifest.n_items} items, {manifest.n_reviews} reviews, "
        f"{manifest.n_users} users, {manifest.n_interactions} interactions; "
        f"{embedded} texts embedded"
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
