"""Training files on the command line: ``rag-rec adapt export``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rag_rec.adaptation import TRAINING_FORMATS, export_training
from rag_rec.cli.console import note, steps_shown, write_json
from rag_rec.cli.options import AsJson, Config, K
from rag_rec.core import MAX_SEED, Settings
from rag_rec.index import ItemIndex
from rag_rec.prompting import variant_names

Forms = StrEnum("Forms", list(TRAINING_FORMATS))

IndexFolder = Annotated[Path, typer.Argument(metavar="INDEX", help="A built index.")]
Seed = Annotated[int, typer.Option("--seed", min=0, max=MAX_SEED, help="Of all draws.")]


def export_command(
    index: IndexFolder,
    form: Annotated[
        Forms,
        typer.Option(
            "--for",
            help="openai: messages for supervised fine-tuning. trl-sft: prompt and completion. "
            "trl-dpo: prompt, chosen and rejected. grpo: prompt and the gain of each label, for "
            "rag_rec.adaptation.reward.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder of the files.")],
    prompt: Annotated[
        str,
        typer.Option(
            "--prompt",
            metavar="NAME",
            help="Prompt variant without reasons: " + ", ".join(variant_names()) + ", or a file.",
        ),
    ] = "plain",
    users: Annotated[
        int | None,
        typer.Option("--users", min=1, metavar="N", help="Examples at most, of users at random."),
    ] = None,
    k: K = None,
    config: Config = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    r"""Write training files: the pipeline's own prompts, answered with what came next.

    The answer is the third event from the end of a user's log; the candidates and all else in the
    prompt come from an index that is fitted for this on what lies before, so that they have not
    seen it. Candidates stand in a random order. Users whose next item is not among them are left
    out. A tenth of the users go to validation.jsonl. Nothing is sent.

    manifest.json counts tokens; with \[prices] in --config it says what reading all of them once
    costs at the price of input.

    Example: rag-rec adapt export indexes/shop --for trl-sft --out training --users 5000
    """
    settings = Settings.load(config, prompt=prompt, k=k, seed=seed)
    opened = ItemIndex.open(index)
    with steps_shown() as step:
        manifest = export_training(
            opened, out, form=form.value, settings=settings, users=users, on_step=step
        )
    opened.close()
    if as_json:
        write_json(manifest.model_dump_json())
    counted = "counted" if manifest.exact else "estimated, on the high side"
    for name, split in manifest.splits.items():
        cost = "" if split.cost is None else f", {split.cost:,.4f} {manifest.currency} an epoch"
        note(
            f"{split.examples:,} examples in {out}/{name}.jsonl: {split.prompt_tokens:,} tokens of "
            f"prompts and {split.completion_tokens:,} of answers ({counted}){cost}"
        )
    for why, count in manifest.left_out.items():
        note(f"left out: {count:,} {why}")
