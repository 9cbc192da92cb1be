"""Rows of a user file that a job has not finished."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rag_rec.batch.store.ids import IdSet
from rag_rec.batch.store.job import key_of
from rag_rec.batch.users import BadUser, BatchUser


def pending_rows(
    users: Iterable[BatchUser | BadUser], finished: IdSet
) -> Iterator[BatchUser | BadUser]:
    """Rows that are not finished; one that repeats an id is a bad one."""
    seen = IdSet()
    for user in users:
        row = user
        if isinstance(row, BatchUser) and not seen.add(row.custom_id):
            why = f"a row before it has the same id {row.custom_id!r}"
            row = BadUser(row.row, "duplicate_id", why)
        name = row.custom_id if isinstance(row, BatchUser) else None
        if key_of(name, row.row) not in finished:
            yield row
    seen.close()
