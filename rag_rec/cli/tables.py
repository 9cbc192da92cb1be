"""Lists as tables on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from rag_rec.core import RecommendationList, neutral
from rag_rec.list_types import BundleList, SequenceList, SlatePage

_OUTCOMES = {
    "ok": "chosen by the model",
    "partial": "partly chosen by the model, filled from retrieval",
    "retrieval_only": "retrieval order, no model asked",
    "failed": "the model gave nothing usable: retrieval order",
}

_STATUS = {
    "verified": "[green](checked)[/]",
    "unverified": "",
    "replaced": "[dim](from the data; the model's reason did not hold)[/]",
    "removed": "[dim](the model's reason did not hold)[/]",
    "evidence": "[dim](from the data)[/]",
}


def details_of(result: RecommendationList) -> list[str]:
    """Return the figures of a typed list, one line each."""
    match result:
        case BundleList():
            total = "unknown" if result.total_price is None else f"{result.total_price:.2f}"
            return [f"together {total} · compatibility {result.compatibility:.2f}"]
        case SequenceList():
            time = "" if result.total_duration is None else f" · takes {result.total_duration:g}"
            return [f"order score {result.order_score:.2f}{time}"]
        case SlatePage():
            return [f"{len(result.rows)} rows · diversity {result.diversity:.2f}"]
        case _:
            return []


def table_of(name: str, past: Sequence[str], result: RecommendationList) -> Table:
    """Return one user's list as a table."""
    caption = f"{_OUTCOMES[result.outcome]} · run {result.run_id}"
    if result.usage.calls:
        usage = result.usage
        caption += (
            f" · {usage.calls} calls, {usage.prompt_tokens} + {usage.completion_tokens} tokens, "
            f"{usage.wall_s:.1f} s"
        )
    for line in (*details_of(result), result.error, result.shortfall):
        caption += f"\n{line}" if line else ""
    title = f"{name}\nlately: {'; '.join(map(neutral, past))}" if past else name
    table = Table(
        title=escape(title), caption=escape(caption), title_justify="left", caption_justify="left"
    )
    table.add_column("#", justify="right")
    table.add_column("item", ratio=3)
    table.add_column("why", ratio=4)
    table.add_column("chosen by")
    themes = (
        {row.item_ids[0]: row.theme for row in result.rows} if isinstance(result, SlatePage) else {}
    )
    for slot in result.items:
        if slot.item_id in themes:
            table.add_section()
            table.add_row("", f"[bold]{escape(themes[slot.item_id])}[/]", "", "")
        why = " ".join(filter(None, (escape(slot.reason), _STATUS[slot.reason_status])))
        if slot.relaxed:
            why += f"\n[yellow]does not keep to: {', '.join(slot.relaxed)}[/]"
        price = "" if slot.item.price is None else f" · {slot.item.price:.2f}"
        name = escape(slot.title or slot.item_id)
        name += " [cyan]new[/]" if slot.is_new else ""
        title = f"{name}\n[dim]{escape(slot.item_id)}{price}[/]"
        table.add_row(str(slot.rank), title, why, slot.origin)
    return table
