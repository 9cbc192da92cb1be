"""Every way to read an index, one after the other; run it as `python index_use.py INDEX OUT`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from typer.testing import CliRunner

from rag_rec import (
    Bundle,
    ItemIndex,
    PlaySequence,
    Recommender,
    Settings,
    Slate,
    where,
)
from rag_rec.batch import BatchOptions, run
from rag_rec.cli.show import app as show
from rag_rec.testing import HashEmbedder, ScriptedModel


def use(folder: Path, out: Path) -> None:
    """Recommend in every form, look inside, run a batch."""
    embedder = HashEmbedder()
    for prompt in ("reviews", "cited", "taste"):
        index = ItemIndex.open(folder, embedder)
        model = ScriptedModel('{"items": [{"label": 1, "reason": "It suits your long evenings."}]}')
        with Recommender(index, model, Settings(prompt=prompt)) as recommender:
            user = index.user_ids[0]
            for kind in (None, Bundle(budget=80), PlaySequence(), Slate(rows=2, per_row=2)):
                assert recommender.recommend(user, kind=kind).items
            assert recommender.recommend([], 3, profile="a quiet cup of tea").items
            assert recommender.recommend([], 3, text="tea below 40").items
            cheap = where("price<=30")
            assert recommender.recommend([], 3, profile="tea", constraints=cheap).items
            assert recommender.profile(user).text
        for shown in (["--item", index.item_ids[0]], ["--user", user], ["--users"], []):
            done = CliRunner().invoke(show, ["--index", str(folder), *shown])
            assert done.exit_code == 0, done.output
    users = out / "users.jsonl"
    rows = [{"user_id": index.user_ids[0]}, {"custom_id": "new", "profile": "likes tea"}]
    users.write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = BatchOptions(embedder=embedder)
    summary = run(folder, users, out / "lists.jsonl", llm=model, options=options)
    assert summary.totals.done == len(rows)


def check_is_read_only(folder: Path) -> None:
    """Fail if a file can be made in the index."""
    try:
        (folder / "probe").touch()
    except OSError:
        return
    raise AssertionError("the folder can be written")


if __name__ == "__main__":
    check_is_read_only(Path(sys.argv[1]))
    use(Path(sys.argv[1]), Path(sys.argv[2]))
    print("used")
