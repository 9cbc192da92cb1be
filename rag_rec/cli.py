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
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console

from rag_rec import __version__, lists
from rag_rec.batch_cli import batch_app
from rag_rec.builder import build_index
from rag_rec.config import Settings
from rag_rec.console import build_progress, note, steps_shown, table_of
from rag_rec.constraints import RELAXABLE
from rag_rec.dataset import Dataset, load_sample
from rag_rec.errors import ConfigError, RagRecError
from rag_rec.experiment_cli import evaluate_app
from rag_rec.index import DEFAULT_EMBEDDER, ItemIndex, SentenceTransformerEmbedder
from rag_rec.lists import Bundle, Kind, Slate
from rag_rec.llm import SPECS
from rag_rec.prompt import variant_names
from rag_rec.recommender import Recommender
from rag_rec.retrieve import RetrievalConfig
from rag_rec.show import item_document, show_document, show_prompt, user_document
from rag_rec.types import Constraints, RecommendationList, UserHistory

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

Formats = StrEnum("Formats", ["auto", "amazon", "movielens", "recbole", "sequences"])
OnErrors = StrEnum("OnErrors", ["stop", "skip"])
ListTypes = StrEnum("ListTypes", ["topk", "bundle", "sequence", "slate"])

# every command
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]
Version = Annotated[bool, typer.Option("--version", help="Show the version.")]
AsJson = Annotated[
    bool, typer.Option("--json", help="One JSON document on stdout and nothing else.")
]

# a run
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
Exclude = Annotated[
    list[str] | None, typer.Option(metavar="ID", help="Never list this item; repeatable.")
]
Where = Annotated[
    str | None,
    typer.Option(
        "--where",
        metavar="TEXT",
        help='What every item must be: "price<=20 and category=tea and not brand=Acme". Fields: '
        "price, category, brand, released, in_stock, and for the list as a whole max_per_brand, "
        "max_per_category, min_categories.",
    ),
]
ListType = Annotated[
    ListTypes,
    typer.Option(
        "--type",
        help="topk: the best. bundle: items that go together. sequence: in an order that matters. "
        "slate: a page of rows with themes.",
    ),
]
Budget = Annotated[
    float | None, typer.Option("--budget", min=0, help="What a bundle may cost in all.")
]
Slots = Annotated[
    list[str] | None,
    typer.Option(
        "--slot",
        metavar="TEXT",
        help='One item of a bundle, as in --where: "category=Teapots"; repeatable.',
    ),
]
Anchors = Annotated[
    list[str] | None,
    typer.Option("--anchor", metavar="ID", help="An item the bundle must hold; repeatable."),
]
Rows = Annotated[int, typer.Option("--rows", min=1, help="Rows of a slate; --k is items a row.")]
Relax = Annotated[
    str | None,
    typer.Option(
        "--relax",
        metavar="NAMES",
        help="Give these up, in this order, when too few items qualify: " + ", ".join(RELAXABLE),
    ),
]

# a user
User = Annotated[str | None, typer.Option("--user", metavar="ID", help="A user of the log.")]
Profile = Annotated[
    str | None,
    typer.Option("--profile", metavar="TEXT", help='Plain words: "likes slow science fiction".'),
]
History = Annotated[
    str | None,
    typer.Option("--history", metavar="IDS", help="Item ids, oldest first, separated by commas."),
]

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
    format: Format = Formats.auto,  # noqa: A002
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
            format=format.value,  # pyright: ignore[reportArgumentType] - the enum holds the same names
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


@app.command()
def recommend(
    index: IndexDir,
    user: User = None,
    history: History = None,
    profile: Profile = None,
    k: K = None,
    llm: Llm = None,
    prompt: Prompt = None,
    exclude: Exclude = None,
    where: Where = None,
    relax: Relax = None,
    type: ListType = ListTypes.topk,  # noqa: A002
    budget: Budget = None,
    slot: Slots = None,
    anchor: Anchors = None,
    rows: Rows = 3,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Recommend for one user: known by id, by a history of items, or by plain words."""
    parts = Parts(budget, slot or [], anchor or [])
    if type != ListTypes.bundle and (budget or slot or anchor):
        raise typer.BadParameter("--budget, --slot and --anchor go with --type bundle")
    settings = Settings.load(config, llm=llm, prompt=prompt, k=k)
    with Recommender.open(index, settings=settings) as recommender:
        who = _who(recommender, user, history, profile)
        constraints = _constraints(recommender, where, relax, exclude)
        if settings.llm == "none":
            note("no model asked (--llm none): this is the retrieval order")
        kind = _kind(recommender, type, k, rows, parts)
        result = _result(recommender, kind, who, settings.k, constraints)
        if as_json:
            sys.stdout.write(result.model_dump_json() + "\n")
            return
        past = [recommender.index.item_by_id(i).title for i in who.item_ids[-5:]]
        _out.print(table_of(user or profile or "anonymous", past, result))


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


@dataclass(frozen=True, slots=True)
class Parts:
    """What is asked of a bundle."""

    budget: float | None
    slots: list[str]
    anchors: list[str]


def _kind(
    recommender: Recommender, chosen: ListTypes, k: int | None, rows: int, parts: Parts
) -> Kind | None:
    """The kind of list that the options describe; None for the best k."""
    try:
        match chosen:
            case ListTypes.bundle:
                slots, anchors = tuple(map(recommender.where, parts.slots)), tuple(parts.anchors)
                size = k or max(3, len(anchors) + 1)
                return Bundle(size=size, budget=parts.budget, slots=slots, anchors=anchors)
            case ListTypes.sequence:
                return lists.Sequence(length=k or 5)
            case ListTypes.slate:
                return Slate(rows=rows, per_row=k or 4)
            case _:
                return None
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise typer.BadParameter(message) from error


def _result(
    recommender: Recommender,
    kind: Kind | None,
    who: UserHistory,
    k: int,
    constraints: Constraints,
) -> RecommendationList:
    match kind:
        case Bundle():
            return recommender.bundle(who, kind, constraints=constraints)
        case Slate():
            return recommender.slate(who, kind, constraints=constraints)
        case None:
            return recommender.recommend(who, k, constraints=constraints)
        case _:
            return recommender.sequence(who, kind, constraints=constraints)


def _constraints(
    recommender: Recommender, where: str | None, relax: str | None, exclude: list[str] | None
) -> Constraints:
    names = [name.strip() for name in (relax or "").split(",") if name.strip()]
    if names and where is None:
        raise typer.BadParameter("--relax gives up what --where asks for: give --where, too")
    asked = Constraints() if where is None else recommender.where(where, relax=names)
    return asked.model_copy(update={"exclude": frozenset(exclude or ())})


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


if __name__ == "__main__":
    main()
