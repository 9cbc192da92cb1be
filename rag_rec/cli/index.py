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
    current_version,
    indexed_ids,
)
from rag_rec.retrieval import RetrievalConfig, build_index, update_index

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
Update = Annotated[
    bool,
    typer.Option(
        "--update",
        help="Put the live changes into the next version: events and items that came by "
        "Recommender.record, upsert and remove since the last build. Stands alone.",
    ),
]
KeepFusion = Annotated[
    bool,
    typer.Option(
        "--keep-fusion",
        help="With --update: keep the weights and the ranker of the version before, which takes a "
        "fraction of the time. Sources are fitted with every event all the same.",
    ),
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
    update: Update = False,
    keep_fusion: KeepFusion = False,
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

    Changes that came since the last build by way of the library go on counting beside any new
    version; --update puts them in.

    Example: rag-rec index --items items.csv --interactions log.csv --out indexes/shop
    """
    retrieval = RetrievalConfig.within(memory_gib)
    given = bool(folder or items or reviews or interactions or columns or read)
    if update:
        if sample or given or replace or rebuild:
            raise typer.BadParameter(
                "--update stands alone: it puts live changes in; to build from files, leave it out"
            )
        _, current = current_version(out)
        if embedder not in {DEFAULT_EMBEDDER, current.embedder.name}:
            raise typer.BadParameter(
                f"--update keeps the embedder of the index, {current.embedder.name}; to change it, "
                "build from files"
            )
        made = _embedder(current.embedder.name, engine, actors)
        manifest = fold(out, made, retrieval=retrieval, keep_fusion=keep_fusion)
        if as_json:
            write_json(manifest.model_dump_json())
        return
    if keep_fusion:
        raise typer.BadParameter("--keep-fusion goes with --update")
    made = _embedder(embedder, engine, actors)
    if sample:
        if given:
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
    manifest = build(data, out, made, rebuild=rebuild, replace=replace, retrieval=retrieval)
    if as_json:
        write_json(manifest.model_dump_json())


def _embedder(name: str, engine: IndexEngines, actors: int) -> Embedder:
    made = SentenceTransformerEmbedder(name)
    if engine is IndexEngines.ray:
        return RayEmbedder(made, actors=actors)
    if actors:
        raise typer.BadParameter("--actors are of Ray: give --engine ray, too")
    return made


def build(
    data: Dataset,
    out: Path,
    embedder: Embedder,
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
            embedder=embedder,
            rebuild=rebuild,
            replace=replace,
            retrieval=retrieval,
            on_step=step,
        )
    _note_built(manifest, out, embedded, n_known=len(data.notices))
    return manifest


def fold(
    out: Path, embedder: Embedder, *, retrieval: RetrievalConfig, keep_fusion: bool = False
) -> Manifest:
    """Put live changes into the next version, show the progress, and say what came of it."""
    _, before = current_version(out)
    with steps_shown() as step:
        manifest, embedded = update_index(
            out, embedder=embedder, retrieval=retrieval, keep_fusion=keep_fusion, on_step=step
        )
    if manifest == before:
        note(f"index at {out}: no live changes, so it stays as it is")
    else:
        _note_built(manifest, out, embedded)
    return manifest


def _note_built(manifest: Manifest, out: Path, embedded: int, *, n_known: int = 0) -> None:
    for line in manifest.notices[n_known:]:
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
