"""Planted lies and true reasons of the same form, 200 of each; what the checks say of them.

python -m benchmarks.typed_lies
"""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

from rag_rec import Recommender, build_index, load_sample
from rag_rec.testing import HashEmbedder, ScriptedModel
from tests import test_reasons as reasons

KINDS = [
    ("wrong price", reasons.wrong_price, reasons.true_price),
    ("invented award", reasons.invented_award, reasons.no_award),
    ("quote from another item's review", reasons.quote_of_another_item, reasons.true_quote),
    ("citation that was not shown", reasons.citation_that_was_not_shown, reasons.true_citation),
    ("citation of another item", reasons.citation_of_another_item, reasons.true_citation),
]


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "index"
        build_index(load_sample(), folder, embedder=HashEmbedder())
        model = ScriptedModel("{}")
        recommender = Recommender.open(folder, model, prompt="cited", embedder=HashEmbedder())
        rng, index = random.Random(5), recommender.index
        users = [u for u in sorted(index.user_ids) if len(index.history(u).events) > 3]
        desks = [reasons.Desk(recommender, user, rng) for user in users[: reasons.N]]
        print(f"{len(desks)} of each")
        for kind, lie, truth in KINDS:
            caught = len(desks) - sum(map(lie, desks))
            passed = sum(map(truth, desks)) / len(desks)
            print(f"{kind:<34} lies caught {caught:>4}   truths passed {passed:.1%}")
        recommender.close()


if __name__ == "__main__":
    main()
