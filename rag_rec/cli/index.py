"""``rag-rec index``: files in, an index out."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rag_rec.cli.console import note, steps_shown, write_json
from rag_rec.cli.inspect import Columns, Read
from rag_rec.cli.loading import (
    Format,
    Formats,
    Interactions,
    Items,
    MaxRejected,
    OnError,
    OnErrors,
    Rejects,
    Reviews,
    note_loaded,
    reading,
)
from rag_rec.cli.options import AsJson
from rag_rec.data import MAX_REJECTED, Dataset, load_sample
from rag_rec.index import (
    DEFAULT_EMBEDDER,
    Embedder,
    Manifest,
    RayEmbedder,
    SentenceTransformerEmbedder,
    indexed_ids,
)
from rag_rec.retrieval import RetrievalConfig, build_index

app = typer.Typer(add_completion=False)

Folder = Annotated[
    Path | None, typer.Argument(metavar="FOLDER", help="For formats that are a folder.")
]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="The index; made or updated.")]
Sample = Annotated[bool, typer.Option("--sample", help="Index the bundled sample.")]
EmbedderName = Annotated[
    str, typer.Option(metavar="NAME", help="Any sentence-transformers model, or a folder of one.")
]
MemoryGib = Annotated[
    float,
    typer.Option(
        "--memory-gib",
        metavar="GIB",
        min=0.01,
        help="Memory that fitting may use; items beyond it are fitted by co-occurrence.",
    ),
]
Replace = Annotated[
    bool, typer.Option("--replace", help="Keep nothing of the index: drop tables not given.")
]
IndexEngines = StrEnum("IndexEngines", ["local", "ray"])
Engine = Annotated[
    IndexEngines,
    typer.Option(
        "--engine",
        help="Where texts are embedded: in this process, or by Ray. Nodes of a cluster must share "
        "the storage of the index. The vectors are the same.",
    ),
]
Actors = Annotated[int, typer.Option("--actors", min=0, help="Of Ray (0: one a CPU).")]
Rebuild = Annotated[bool, typer.Option("--rebuild", help="Embed everything again.")]


@app.command()
def index(
    folder: Folder = None,
    out: Out = Path("indexes/shop"),
    items: Items = None,
    reviews: Reviews = None,
    interactions: Interactions = None,
    format: Format = Formats["auto"],  # noqa: A002
    columns: Columns = None,
    read: Read = None,
    sample: Sample = False,
    embedder: EmbedderName = DEFAULT_EMBEDDER,
    on_error: OnError = OnErrors.stop,
    rejects: Rejects = Path("rejected.csv"),
    max_rejected: MaxRejected = MAX_REJECTED,
    rebuild: Rebuild = False,
    replace: Replace = False,
    memory_gib: MemoryGib = 6.0,
    engine: Engine = IndexEngines.local,
    actors: Actors = 0,
    as_json: AsJson = False,
) -> None:
    """Build an index, or update it: tables that are not given are kept.

    Only texts that changed are embedded again. Items that are no longer in the catalog still teach
    and are never listed.

    Example: rag-rec index --items items.csv --interactions log.csv --out indexes/shop
    """
    made: Embedder = SentenceTransformerEmbedder(embedder)
    if engine is IndexEngines.ray:
        made = RayEmbedder(made, actors=actors)
    elif actors:
        raise typer.BadParameter("--actors are of Ray: give --engine ray, too")
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
            earlier_items=() if replace else indexed_ids(out),
            **reading(format.value, columns, read, on_error, rejects, max_rejected),
        )
    note_loaded(data, rejects, tables=not sample)
    retrieval = RetrievalConfig.within(memory_gib)
    manifest = build(data, out, made, rebuild=rebuild, replace=replace, retrieval=retrieval)
    if as_json:
        write_json(manifest.model_dump_json())


def build(
    data: Dataset,
    out: Path,
    embedder: str | Embedder,
    *,
    rebuild: bool = False,
    replace: bool = False,
    retrieval: RetrievalConfig | None = None,
) -> Manifest:
    """Build or update an index, show its progress, and say what came of it."""
    with steps_shown() as step:
        manifest, embedded = build_index(
            data,
            out,
            embedder=SentenceTransformerEmbedder(embedder)
            if isinstance(embedder, str)
            else embedder,
            rebuild=rebuild,
            replace=replace,
            retrieval=retrieval,
            on_step=step,
        )
    for line in manifest.notices[len(data.notices) :]:
        note(line)
    retrieved = manifest.retrieval
    note(
        f"retrieval: {retrieved['fusion']} ({retrieved['fusion_why']}); {retrieved['solve']} solve"
    )
    note(
        f"index at {out}: {manifest.n_items} items, {manifest.n_reviews} reviews, "
        f"{manifest.n_users} users, {manifest.n_interactions} interactions; "
        f"{embedded} texts embedded"
    )
    return manifest
