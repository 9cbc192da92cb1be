"""``rag-rec demo``: the bundled sample from its files to three lists."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rag_rec.cli.console import build_progress, note, terminal
from rag_rec.cli.index import build
from rag_rec.cli.tables import table_of
from rag_rec.data import load_sample
from rag_rec.index import SentenceTransformerEmbedder
from rag_rec.list_types import TopK
from rag_rec.pipeline import RecommendationRequest
from rag_rec.recommender import Recommender

app = typer.Typer(add_completion=False)
_out = terminal()

_WORDS = "I have just started baking with sourdough and I like a quiet cup of tea"

DemoDir = Annotated[Path, typer.Option(help="Where the demo's index is kept.")]
DemoLlm = Annotated[str, typer.Option(help="Model spec, as in recommend.")]
DemoPrompt = Annotated[str, typer.Option(help="Prompt variant; with --llm gguf:FILE one in words.")]
DemoK = Annotated[int, typer.Option(min=1)]


@app.command()
def demo(
    out: DemoDir = Path("indexes/demo"),
    llm: DemoLlm = "local",
    prompt: DemoPrompt = "scores",
    k: DemoK = 5,
) -> None:
    """Build the sample's index and recommend for three of its customers, one of them cold."""
    build(load_sample(), out, SentenceTransformerEmbedder())
    note("asking the model (embedded ones take some seconds a user)")
    with Recommender.open(out, llm, prompt=prompt) as recommender:
        asked = [RecommendationRequest(user, TopK(k=k)) for user in ("user-042", "user-007")]
        asked.append(RecommendationRequest(kind=TopK(k=k), profile=_WORDS))
        with build_progress() as progress:
            task = progress.add_task("recommending", total=len(asked))
            states = recommender.run(asked, lambda n: progress.advance(task, n))
        for state in states:
            past = [recommender.index.item_by_id(i).title for i in state.history.item_ids[-3:]]
            name = state.history.user_id or f"a new customer who says: {_WORDS}"
            _out.print()
            _out.print(table_of(name, past, state.made()))
    note(f"next: rag-rec show --index {out} --prompt-for user-042 --llm {llm} --prompt {prompt}")
