"""``rag-rec adapt ranker``: tune a model that scores candidates."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from rag_rec.adaptation import RankerAdaptation, RankerOptions, adapt_ranker, read_ranker_adaptation
from rag_rec.cli.adapt.ended import show_ended
from rag_rec.cli.adapt.export import IndexFolder, Seed
from rag_rec.cli.console import note, steps_shown
from rag_rec.cli.options import AsJson
from rag_rec.index import ItemIndex


def ranker_command(
    index: IndexFolder,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="The tuned model; run again to go on.")
    ],
    kind: Annotated[
        Literal["crossencoder", "lora"],
        typer.Option("--kind", help="A cross-encoder, or a LoRA adapter on a language model."),
    ] = "crossencoder",
    base: Annotated[
        str | None,
        typer.Option(
            "--base",
            metavar="MODEL",
            help="Begin with this one, a folder or hub name; not with the index's embedder "
            "(cross-encoder) or the embedded model (LoRA).",
        ),
    ] = None,
    prompt: Annotated[
        str,
        typer.Option("--prompt", metavar="NAME", help='A variant with answer = "scores".'),
    ] = "rank",
    minutes: Annotated[
        float, typer.Option("--minutes", min=0.01, help="Time at most, over all starts.")
    ] = 20.0,
    epochs: Annotated[
        int, typer.Option("--epochs", min=1, metavar="N", help="Passes over the lists at most.")
    ] = 3,
    lists: Annotated[
        int | None,
        typer.Option("--lists", min=1, metavar="N", help="Lists at most, of users at random."),
    ] = None,
    others: Annotated[
        int,
        typer.Option("--others", min=1, help="Candidates beside the target that a step looks at."),
    ] = 7,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Lists a batch.")] = 16,
    rate: Annotated[
        float | None, typer.Option("--lr", min=1e-9, help="Highest learning rate.")
    ] = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Tune a model that scores candidates on what the users of an index took next.

    Each user's third event from the end is to be found among the candidates of a retriever that
    has not seen it; the last two events are never seen. Retrieval's order is a prior: the model
    learns what that does not say. A tenth of the users decide when to stop and how much the
    model may weigh, which is written to DIR/blend.toml.

    Ctrl-C, a crash, a kill: the same command goes on from its last checkpoint. Then:
    rag-rec recommend ... --config DIR/serve.toml. Exit 0: the model may improve lists. 3: nothing
    was gained, and no model is written.

    Example: rag-rec adapt ranker indexes/shop --out models/ranker --minutes 30
    """
    options = RankerOptions(
        kind=kind,
        base=base,
        prompt=prompt,
        minutes=minutes,
        epochs=epochs,
        lists=lists,
        others=others,
        batch=batch,
        rate=rate,
        seed=seed,
    )
    has_ended = read_ranker_adaptation(out) is not None
    opened = ItemIndex.open(index)
    with steps_shown() as step:
        record = adapt_ranker(opened, out, options, on_step=step)
    opened.close()
    show_ended(record, lambda: _show(record, out), out=out, has_ended=has_ended, as_json=as_json)


def _show(record: RankerAdaptation, out: Path) -> None:
    note(
        f"{record.lists:,} lists to learn from, {record.validation_lists:,} of other users to "
        f"validate on; {record.minutes:.1f} minutes; {record.end}"
    )
    for point in record.curve:
        loss = "–" if point.loss is None else f"{point.loss:.4f}"
        note(f"after {point.lists:,} lists: loss {loss}, validation NDCG@10 {point.ndcg:.4f}")
    best = max(record.blended)
    note(f"validation NDCG@10: retrieval {record.retrieved:.4f}, best blend {best:.4f}")
    if not record.gained:
        note("nothing gained: no weight gains more than its standard error; no model is written")
        return
    note(
        f"weight {record.weight:g}; next: rag-rec recommend ... --config {out}/serve.toml, or "
        "batch run"
    )
