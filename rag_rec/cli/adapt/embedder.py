"""The command line of learning from an index's log: ``rag-rec adapt``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rag_rec.adaptation import Adaptation, TuningOptions, adapt_embedder, read_adaptation
from rag_rec.cli.adapt.ended import show_ended
from rag_rec.cli.adapt.export import IndexFolder, Seed, export_command
from rag_rec.cli.adapt.ranker import ranker_command
from rag_rec.cli.console import note, steps_shown
from rag_rec.cli.options import AsJson
from rag_rec.core import ConfigError
from rag_rec.data import moment_of
from rag_rec.index import ItemIndex

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Learn from an index's own log: tune its embedder or a ranker, or export training files.",
)


@app.command("embedder")
def embedder_command(
    index: IndexFolder,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="The tuned model; run again to go on.")
    ],
    minutes: Annotated[
        float, typer.Option("--minutes", min=0.01, help="Time at most, over all starts.")
    ] = 10.0,
    epochs: Annotated[
        int, typer.Option("--epochs", min=1, metavar="N", help="Passes over the pairs at most.")
    ] = 3,
    pairs: Annotated[
        int | None,
        typer.Option("--pairs", min=2, metavar="N", help="Pairs at most, drawn at random."),
    ] = None,
    batch: Annotated[
        int,
        typer.Option("--batch", min=2, help="Pairs a batch; the others are a pair's negatives."),
    ] = 128,
    rate: Annotated[float, typer.Option("--lr", min=1e-9, help="Highest learning rate.")] = 1e-4,
    until: Annotated[
        str | None,
        typer.Option(
            "--until",
            metavar="TIME",
            help="See nothing at or after this time: 2011-06-01, '2011-06-01 12:00:00' (UTC) or "
            "Unix seconds.",
        ),
    ] = None,
    seed: Seed = 0,
    base: Annotated[
        str | None,
        typer.Option("--base", metavar="EMBEDDER", help="Begin with this one, not the index's."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Tune the text embedder of an index on what its users took one after the other.

    It learns that texts of neighbouring events belong together, so that new items, of which only
    the text is known, are found for those who want them. The last two events of every user are
    never seen: validation and test stay honest, and so does the fusion of an index that is built
    with the result. The second-to-last events of users put aside decide when to stop.

    Ctrl-C, a crash, a kill: the same command goes on from its last checkpoint. Then:
    rag-rec index ... --embedder DIR. Exit 0: the result is better. 3: nothing was gained, and no
    model is written.

    Example: rag-rec adapt embedder indexes/shop --out models/shop --minutes 10
    """
    options = TuningOptions(
        minutes=minutes,
        epochs=epochs,
        pairs=pairs,
        batch=batch,
        rate=rate,
        until=None if until is None else _moment(until),
        seed=seed,
        base=base,
    )
    has_ended = read_adaptation(out) is not None
    opened = ItemIndex.open(index)
    with steps_shown() as step:
        record = adapt_embedder(opened, out, options, on_step=step)
    opened.close()
    show_ended(record, lambda: _show(record, out), out=out, has_ended=has_ended, as_json=as_json)


app.command("ranker")(ranker_command)
app.command("export")(export_command)


def _show(record: Adaptation, out: Path) -> None:
    before, after = record.before, record.after
    note(
        f"{record.steps:,} batches of {record.batch:,} out of {record.pairs:,} pairs in "
        f"{record.minutes:.1f} minutes; {record.end}"
    )
    if not record.gained:
        note(
            f"nothing gained: validation never rose above {record.base.name} (mean reciprocal rank "
            f"{before.mrr:.4f}); no model is written"
        )
        return
    note(
        f"validation, {record.base.name} to tuned: mean reciprocal rank {before.mrr:.4f} to "
        f"{after.mrr:.4f}, recall@50 {before.recall_at_50:.4f} to {after.recall_at_50:.4f}"
    )
    note(f"model in {out}; next: rag-rec index ... --embedder {out}")


def _moment(text: str) -> float:
    moment = moment_of(text)
    if moment is None:
        raise ConfigError(
            f"--until {text}: write a time such as 2011-06-01 or '2011-06-01 12:00:00', or Unix "
            "seconds"
        )
    return moment
