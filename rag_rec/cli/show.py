"""What ``rag-rec show`` shows: the inside of an index, and what a model is sent."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rag_rec.cli.console import note
from rag_rec.core import ConfigError
from rag_rec.index import ItemIndex
from rag_rec.list_types import TopK
from rag_rec.pipeline import RecommendationRequest
from rag_rec.recommender import Recommender

_out = Console()


def show_prompt(recommender: Recommender, user: str, k: int, *, as_json: bool) -> None:
    """Prints a user's prompt: as the model is sent it, or as JSON."""
    (state,) = recommender.preview([RecommendationRequest(user, TopK(k=k))])
    prompt = state.prompt
    if prompt is None:
        raise state.failure or ConfigError(
            "no prompt is sent: there is no model, or nothing to choose from"
        )
    for line in state.omitted:
        note(f"left out: {line}")
    if as_json:
        messages = [{"role": role, "content": text} for role, text in prompt.messages]
        document = {
            "messages": messages,
            "labels": prompt.labels,
            "tokens": prompt.tokens,
            "exact": prompt.exact,
        }
        sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
        return
    for role, text in prompt.messages:
        _out.rule(role, align="left")
        _out.print(text, markup=False, highlight=False)
    _out.rule(align="left")
    counted = "counted with the model's tokenizer" if prompt.exact else "estimated from the length"
    note(
        f"{prompt.tokens} tokens ({counted}), {len(prompt.labels)} candidates, "
        f"{prompt.n_history} past items, {prompt.n_evidence} quoted reviews"
    )


def item_document(opened: ItemIndex, item_id: str) -> dict[str, Any]:
    """An item with its reviews and its nearest neighbours."""
    item = opened.item_by_id(item_id)
    row = opened.find(item_id) or 0
    nearest = opened.store.query("items", opened.item_vectors[row : row + 1], 6)[0]
    return item.model_dump(mode="json") | {
        "reviews": opened.review_texts([int(r) for r in opened.reviews_of(row)]),
        "nearest": [
            {"item_id": other.item_id, "title": other.title, "cosine": round(float(cosine), 3)}
            for ix, cosine in zip(*nearest, strict=True)
            if (other := opened.item(int(ix))).item_id != item_id
        ],
    }


def user_document(opened: ItemIndex, user_id: str) -> dict[str, Any]:
    """A user's history, with titles."""
    history = opened.history(user_id)
    document = history.model_dump(mode="json", include={"user_id", "events"})
    for event in document["events"]:
        event["title"] = opened.item_by_id(event["item_id"]).title
    return document


def show_document(document: dict[str, Any], *, as_json: bool) -> None:
    """Prints a document: as a table of its fields, or as JSON."""
    if as_json:
        sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
        return
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in document.items():
        if isinstance(value, list):
            lines = [
                v
                if isinstance(v, str)
                else "  ".join(f"{v[key]}" for key in v if v[key] is not None)
                for v in value
            ]
            shown = "\n".join(f"- {line}" for line in lines)
        else:
            shown = (
                json.dumps(value, ensure_ascii=False, indent=2)
                if isinstance(value, dict)
                else str(value)
            )
        table.add_row(name, escape(shown))
    _out.print(table)
