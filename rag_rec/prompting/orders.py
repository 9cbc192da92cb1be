"""Orders of candidates whose scores are averaged."""

from __future__ import annotations

from collections.abc import Sequence

import xxhash


def shuffled_orders(item_ids: Sequence[str], n: int, *, seed: int) -> list[list[str]]:
    """Return ``n`` orders of items, the same whatever order they are given in.

    Args:
        item_ids: The items.
        n: Number of orders.
        seed: Another seed gives other orders.

    >>> shuffled_orders("abc", 2, seed=0) == shuffled_orders("cab", 2, seed=0)
    True
    """

    def place(order: int, item_id: str) -> tuple[int, str]:
        return xxhash.xxh3_64_intdigest(
            item_id.encode("utf-8", "replace"), seed=seed * 1_000 + order
        ), item_id

    return [sorted(item_ids, key=lambda item_id: place(order, item_id)) for order in range(n)]
