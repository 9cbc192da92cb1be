"""A whole batch run against a bare loop of `openai` calls and a LangChain chain, same prompts.

The server runs in a process of its own and answers after 100 ms; 64 requests are in flight. Ours
reads the user file, retrieves, renders, asks, grounds and writes records that are on the disk when
they are counted. The loop and the chain get their prompts ready made, which is in their favour.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.output_parsers import JsonOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_openai import ChatOpenAI
from request_overhead import bare_loop, body_of, requests_of, running_server

from rag_rec import ItemIndex, Recommender, Settings, build_index, load_sample
from rag_rec.batch import BatchOptions, run
from rag_rec.testing import HashEmbedder

IN_FLIGHT = 64


class AtHand(BaseRetriever):
    """Has what a user's prompt holds ready; takes no time."""

    contexts: dict[str, str]

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
    ) -> list[Document]:
        del run_manager
        return [Document(self.contexts[query])]


class FromChroma(AtHand):
    """Asks Chroma for the ten items nearest to what the user took last, as a vector store's
    retriever does, and hands out the prompt that is at hand, so that all prompts are the same."""

    index: ItemIndex
    lately: dict[str, str]

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
    ) -> list[Document]:
        vectors = self.index.embedder.embed([self.lately[query]])
        ((items, _),) = self.index.store.query("items", vectors, 10)
        assert len(items) == 10
        return super()._get_relevant_documents(query, run_manager=run_manager)


def joined(documents: list[Document]) -> dict[str, str]:
    return {"context": "\n\n".join(document.page_content for document in documents)}


def chain_of(url: str, bodies: list[dict[str, Any]], retriever: BaseRetriever) -> Any:
    """``retriever | prompt | ChatOpenAI | parser``, as its documentation shows it."""
    system = bodies[0]["messages"][0]["content"].replace("{", "{{").replace("}", "}}")
    prompt = ChatPromptTemplate([("system", system), ("user", "{context}")])
    model = ChatOpenAI(
        model="scripted",
        base_url=url,
        api_key="none",  # pyright: ignore[reportArgumentType]
        temperature=0,
        seed=0,
        max_tokens=bodies[0]["max_tokens"],
        model_kwargs={"response_format": bodies[0]["response_format"]},
    )
    return retriever | joined | prompt | model | JsonOutputParser()


def chain_loop(chain: Any, n: int) -> float:
    started = time.perf_counter()
    replies = chain.batch([str(i) for i in range(n)], config={"max_concurrency": IN_FLIGHT})
    seconds = time.perf_counter() - started
    assert all(reply["items"] for reply in replies)
    return seconds


def our_run(index: Path, users: Path, out: Path, settings: Settings) -> float:
    """Seconds from nothing open to everything on the disk."""
    started = time.perf_counter()
    summary = run(
        index, users, out, settings=settings, options=BatchOptions(embedder=HashEmbedder())
    )
    seconds = time.perf_counter() - started
    assert summary.exit_code == 0
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--users", type=int, default=3_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    n = options.users
    with running_server() as url, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        index = folder / "index"
        build_index(load_sample(), index, embedder=HashEmbedder())
        settings = Settings.model_validate(
            {"llm": f"openai:scripted@{url}", "request": {"concurrency": IN_FLIGHT}}
        )
        opened = ItemIndex.open(index, HashEmbedder())
        known = sorted(opened.user_ids)
        users = (known * (n // len(known) + 1))[:n]
        with Recommender.open(index, settings=settings, embedder=HashEmbedder()) as ours:
            bodies = [body_of(request) for request in requests_of(ours, users)]
        path = folder / "users.csv"
        rows = [f"{user},{number}\n" for number, user in enumerate(users)]
        path.write_text("user_id,custom_id\n" + "".join(rows))
        contexts = {str(i): body["messages"][-1]["content"] for i, body in enumerate(bodies)}
        lately = {
            str(i): " ".join(
                opened.item_by_id(item).title for item in opened.history(user).item_ids[-3:]
            )
            for i, user in enumerate(users)
        }
        chains = {
            "Chroma": FromChroma(contexts=contexts, index=opened, lately=lately),
            "nothing to retrieve": AtHand(contexts=contexts),
        }
        built = {name: chain_of(url, bodies, retriever) for name, retriever in chains.items()}
        bare_loop(url, bodies[:200])
        ratios: dict[str, list[float]] = {name: [] for name in ("bare", *built)}
        for number in range(1, options.rounds + 1):
            bare = bare_loop(url, bodies)
            whole = our_run(index, path, folder / f"recs-{number}.jsonl", settings)
            seconds = {name: chain_loop(chain, n) for name, chain in built.items()}
            for name, other in {"bare": bare, **seconds}.items():
                ratios[name].append(other / whole)
            chained = ", ".join(f"chain ({name}) {n / s:.0f}" for name, s in seconds.items())
            print(
                f"round {number}: bare loop {n / bare:.0f} users/s, batch {n / whole:.0f}, "
                f"{chained}; batch against each "
                + ", ".join(f"{values[-1]:.2f}" for values in ratios.values()),
                flush=True,
            )
    middle = {name: statistics.median(values) for name, values in ratios.items()}
    print(
        f"batch run reaches {middle['bare']:.2f} of a bare openai loop, "
        f"{middle['Chroma']:.2f} times a LangChain chain with Chroma, "
        f"{middle['nothing to retrieve']:.2f} times one with nothing to retrieve (medians of "
        f"{options.rounds}, {n} users, {IN_FLIGHT} in flight, {os.cpu_count()} cores)"
    )


if __name__ == "__main__":
    main()
