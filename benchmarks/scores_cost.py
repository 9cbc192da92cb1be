"""Tokens and cost of scores against a list, at a server on loopback that counts with a tokenizer.

    python -m benchmarks.scores_cost [--prices 0.25 2.00] [--users 100]

The prices are those of a hosted model, for a million tokens read and written; the settings of a
batch hold them (``batch.prices``). The server counts prompt and reply with the embedded model's
tokenizer, as a provider counts with its own.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from rag_rec import Recommender, Settings, build_index, load_sample
from rag_rec.llm import open_model
from rag_rec.prompting import prompt_folder
from rag_rec.testing import ChatServer, HashEmbedder, Response
from rag_rec.testing.server import answer_first_labels

WORDS = Path(__file__).parent.parent / "eval" / "prompts" / "scores_in_words.toml"


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prices", type=float, nargs=2, default=[0.25, 2.00])
    parser.add_argument("--users", type=int, default=100)
    options = parser.parse_args()
    counter = open_model("local")
    assert counter
    tokens = counter.tokens

    def counted(request: dict[str, Any]) -> Response:
        answer = json.loads(answer_first_labels(request).body)
        asked = [message["content"] for message in request["messages"]]
        said = answer["choices"][0]["message"]["content"] or ""
        answer["usage"] = {
            "prompt_tokens": sum(tokens.count(asked)) + tokens.per_message * len(asked),
            "completion_tokens": max(1, sum(tokens.count([said]))),
        }
        return Response(json.dumps(answer).encode())

    with tempfile.TemporaryDirectory() as scratch, ChatServer(counted) as server:
        build_index(load_sample(), Path(scratch) / "index", embedder=HashEmbedder())
        four = Path(scratch) / "four.toml"
        four.write_text((prompt_folder() / "scores.toml").read_text() + "permutations = 4\n")
        prompts = {"scores": "scores", "scores, four orders": str(four),
                   "list of labels": str(WORDS), "list with reasons": "reviews"}  # fmt: skip
        sys.stdout.write("prompt | read a user | written a user | cost of 1,000 users\n")
        for name, prompt in prompts.items():
            settings = Settings(llm=f"openai:scripted@{server.url}", prompt=prompt, k=10)
            with Recommender.open(
                Path(scratch) / "index", settings=settings, embedder=HashEmbedder()
            ) as recommender:
                users = list(recommender.index.user_ids)[: options.users]
                made = recommender.recommend_many(users)
            n = len(made)
            assert all(one.outcome == "ok" for one in made)
            read = sum(one.usage.prompt_tokens for one in made) / n
            written = sum(one.usage.completion_tokens for one in made) / n
            cost = (read * options.prices[0] + written * options.prices[1]) / 1_000
            sys.stdout.write(f"{name} | {read:.0f} | {written:.1f} | {cost:.3f}\n")


if __name__ == "__main__":
    main()
