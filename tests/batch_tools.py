"""What the tests of batches share."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rag_rec import Settings
from rag_rec.batch import BatchOptions, Summary, run
from rag_rec.core.settings import BatchSettings, RequestSettings
from rag_rec.testing import ChatServer, HashEmbedder, Response, completion

FAST = {"timeout_s": 60.0, "attempts": 3, "backoff_s": 0.01, "max_wait_s": 5.0, "concurrency": 8}
"""No answer that comes is late, however busy the machine; tests of those that never come say so."""


def write_users(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def marked(n: int, start: int = 0) -> list[dict[str, Any]]:
    """Users that a server can tell apart: each prompt holds the words ``mark <n>.``"""
    return [
        {"user_id": f"u{i}", "history": ["tea-009"], "profile": f"mark {i}."}
        for i in range(start, start + n)
    ]


def settings_for(server: ChatServer | None, *, k: int = 3, **options: Any) -> Settings:
    """Settings of a run against a server; options are those of [batch] and [request]."""
    request = {key: value for key, value in options.items() if key in RequestSettings.model_fields}
    batch = {key: value for key, value in options.items() if key in BatchSettings.model_fields}
    rest = {key: value for key, value in options.items() if key not in request | batch}
    llm = f"openai:scripted@{server.url}" if server else "none"
    return Settings(
        llm=llm,
        k=k,
        context_tokens=16_384,
        request=RequestSettings(**FAST | request),
        batch=BatchSettings(**batch),
        **rest,
    )


def run_batch(index: Path, users: Path, out: Path, settings: Settings, **options: Any) -> Summary:
    return run(
        index,
        users,
        out,
        settings=settings,
        options=BatchOptions(**options, embedder=HashEmbedder()),
    )


def lines_of(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def failures_of(out: Path) -> list[dict[str, Any]]:
    return lines_of(out.with_name(f"{out.stem}.failures.jsonl"))


def ids_of(out: Path) -> list[str]:
    """Custom ids of both files, in order of writing."""
    records = [*lines_of(out), *failures_of(out)]
    return [record["custom_id"] for record in records if record["custom_id"] is not None]


def purpose_of(request: dict[str, Any]) -> str:
    """What a request asks for, by its schema: ``list``, ``profile`` or ``request``."""
    properties = request["response_format"]["json_schema"]["schema"]["properties"]
    return "list" if "items" in properties else "profile" if "cites" in properties else "request"


def fill(schema: dict[str, Any], n: int = 0) -> Any:
    """A document of a schema; the ``n``-th value where there is a choice."""
    match schema:
        case {"enum": values}:
            return values[n % len(values)]
        case {"type": "object", "properties": properties}:
            return {name: fill(inner, n) for name, inner in properties.items()}
        case {"type": "array", "items": items}:
            return [fill(items, n + i) for i in range(schema.get("maxItems", 0))]
        case {"type": "string"}:
            return f"Number {n + 1} goes well with what you already have."
        case _:
            return 0


def answer_by_schema(request: dict[str, Any]) -> Response:
    """A valid reply to a request for a list of any type, a taste profile or a reading."""
    schema = request["response_format"]["json_schema"]["schema"]
    return Response(completion(json.dumps(fill(schema))))
