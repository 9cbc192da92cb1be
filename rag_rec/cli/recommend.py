"""``rag-rec recommend``: one user, one list of any kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer
from pydantic import ValidationError

from rag_rec.cli.console import note, terminal, write_json
from rag_rec.cli.options import (
    AsJson,
    Config,
    IndexDir,
    K,
    ListType,
    ListTypes,
    Llm,
    NewItems,
    Prompt,
)
from rag_rec.cli.tables import table_of
from rag_rec.constraints import RELAXABLE, describe
from rag_rec.core import Constraints, Settings, UserHistory
from rag_rec.list_types import Bundle, Kind, PlaySequence, Slate, TopK
from rag_rec.pipeline import RecommendationRequest
from rag_rec.recommender import Recommender

app = typer.Typer(add_completion=False)
_out = terminal()

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
        "max_per_category, min_categories, new_items.",
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
Rows = Annotated[
    int | None, typer.Option("--rows", min=1, help="Rows of a slate (3); --k is items a row (4).")
]
Wish = Annotated[
    str | None,
    typer.Option(
        "--request",
        metavar="TEXT",
        help='A wish in plain words: "a present for my father, under 40". With --llm none only '
        "prices, years and names of the catalog are understood.",
    ),
]
Relax = Annotated[
    str | None,
    typer.Option(
        "--relax",
        metavar="NAMES",
        help="Give these up, in this order, when too few items qualify: " + ", ".join(RELAXABLE),
    ),
]
User = Annotated[str | None, typer.Option("--user", metavar="ID", help="A user of the log.")]
Profile = Annotated[
    str | None,
    typer.Option("--profile", metavar="TEXT", help='Plain words: "likes slow science fiction".'),
]
History = Annotated[
    str | None,
    typer.Option("--history", metavar="IDS", help="Item ids, oldest first, separated by commas."),
]


@app.command("recommend")
def recommend_command(
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
    new_items: NewItems = None,
    request: Wish = None,
    type: ListType = ListTypes.topk,  # noqa: A002
    budget: Budget = None,
    slot: Slots = None,
    anchor: Anchors = None,
    rows: Rows = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Recommend for one user: known by id, by a history of items, or by plain words."""
    parts = Parts(budget, slot or [], anchor or [])
    if type != ListTypes.bundle and (budget or slot or anchor):
        raise typer.BadParameter("--budget, --slot and --anchor go with --type bundle")
    if type != ListTypes.slate and rows:
        raise typer.BadParameter("--rows goes with --type slate")
    if user is None and history is None and profile is None and request is None:
        raise typer.BadParameter(
            "name the user: --user ID, --history IDS, --profile TEXT or --request TEXT"
        )
    settings = Settings.load(config, llm=llm, prompt=prompt, k=k)
    with Recommender.open(index, settings=settings) as recommender:
        if settings.llm == "none":
            note("no model asked (--llm none): this is the retrieval order")
        asked = RecommendationRequest(
            _who(user, history),
            kind=_kind(recommender, type, k, rows, parts),
            profile=profile,
            constraints=_constraints(recommender, where, relax, exclude, new_items),
            text=request,
        )
        (state,) = recommender.run([asked])
        result = state.made()
        if (understood := result.understood) is not None:
            rules = describe(understood.constraints) or "no constraint"
            note(f"understood ({understood.how}): {rules}")
            if understood.problem:
                note(understood.problem)
        if as_json:
            write_json(result.model_dump_json())
            return
        past = [recommender.index.item_by_id(i).title for i in state.history.item_ids[-5:]]
        _out.print(table_of(user or profile or request or "anonymous", past, result))


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a bundle that options name."""

    budget: float | None
    slots: list[str]
    anchors: list[str]


def _kind(
    recommender: Recommender, chosen: ListTypes, k: int | None, rows: int | None, parts: Parts
) -> Kind:
    """The kind of list that the options describe."""
    try:
        match chosen:
            case ListTypes.bundle:
                slots, anchors = tuple(map(recommender.where, parts.slots)), tuple(parts.anchors)
                size = k or max(3, len(anchors) + 1)
                return Bundle(size=size, budget=parts.budget, slots=slots, anchors=anchors)
            case ListTypes.sequence:
                return PlaySequence(length=k or 5)
            case ListTypes.slate:
                return Slate(rows=rows or 3, per_row=k or 4)
            case ListTypes.topk:
                return TopK(k=recommender.settings.k)
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise typer.BadParameter(message) from error


def _constraints(
    recommender: Recommender,
    where: str | None,
    relax: str | None,
    exclude: list[str] | None,
    new_items: float | None,
) -> Constraints:
    names = [name.strip() for name in (relax or "").split(",") if name.strip()]
    if names and where is None:
        raise typer.BadParameter("--relax gives up what --where asks for: give --where, too")
    asked = Constraints() if where is None else recommender.where(where, relax=names)
    share = asked.new_items if new_items is None else new_items
    return asked.model_copy(update={"exclude": frozenset(exclude or ()), "new_items": share})


def _who(user: str | None, history: str | None) -> str | UserHistory:
    if history is None:
        return user or UserHistory()
    ids = [part.strip() for part in history.split(",") if part.strip()]
    return UserHistory.of(*ids, user_id=user)
