"""`LiveIndex`: an index version together with what changed since it was built."""

from __future__ import annotations

import threading
import time
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import ValidationError
from typing_extensions import override

from rag_rec.core import ConfigError, DataError, Interaction, Item, UserHistory, first_problem
from rag_rec.index.eligibility import Eligibility
from rag_rec.index.embedders.text import Embedder, Vectors
from rag_rec.index.item_index import ItemIndex
from rag_rec.index.live.changes import Change, EventRecorded, ItemPut, ItemRemoved
from rag_rec.index.live.live_vectors import LiveVectors
from rag_rec.index.live.log import LiveLog
from rag_rec.index.live.merging import with_events, with_spare_rows
from rag_rec.index.texts import text_of

_LEAST_ROOM, _ROOM_SHARE = 1_000, 0.2


class LiveIndex(ItemIndex):
    """An open version that takes up events and items as they come, its own and other processes'.

    New items get rows behind those of the version. Rows for a fifth more items, and at least
    1,000, are there from the beginning, so that no array changes its length while others read it;
    a row without an item is never listed. `items` and `interactions` are those of the build.

    Attributes:
        n_built: Number of items of the version: the rows before those of new items.
        recorded: The user of each live event, and which of their live events it is, from 1.
        n_changed: Grows whenever an item is added or gets another text.
    """

    def __init__(self, version: Path, embedder: Embedder | None = None) -> None:
        super().__init__(version, embedder)
        self._n_built = self.items.height
        room = max(_LEAST_ROOM, round(self._n_built * _ROOM_SHARE))
        self.items = with_spare_rows(self.items, room)
        self.retired = np.concatenate([self.retired, np.ones(room, np.bool_)])
        self.n_changed = 0
        self._live = LiveLog(version.parent.parent)
        self._taking_up = threading.Lock()
        self._events: dict[str, tuple[Interaction, ...]] = {}
        self.recorded: list[tuple[str, int]] = []
        self._items_now: dict[int, Item] = {}
        self._seq: int | None = None

    @classmethod
    @override
    def open(cls, folder: str | Path, embedder: Embedder | None = None) -> Self:
        opened = super().open(folder, embedder)
        opened.refresh()
        return opened

    # --- reading ------------------------------------------------------------------------------

    @property
    @override
    def n_built(self) -> int:
        return self._n_built

    @property
    def new_rows(self) -> range:
        """Rows of the items that were added since the build."""
        return range(self._n_built, len(self.row_of))

    @property
    @override
    def live_seq(self) -> int:
        return self.manifest.live_seq if self._seq is None else self._seq

    @override
    def refresh(self) -> None:
        """Take up what was written since the last time, by any process."""
        with self._taking_up:
            taken: dict[int, Item | None] = {}
            try:
                for seq, change in self._live.since(self.live_seq):
                    self._take_up(change, taken)
                    self._seq = seq
            finally:  # a change that fails is tried again, those before it are in
                if taken:
                    self.eligibility = self.eligibility.changed(taken)

    @cached_property
    def row_of(self) -> dict[str, int]:
        """Row number of each item id; it grows."""
        return {item_id: row for row, item_id in enumerate(self.item_ids[: self._n_built])}

    @cached_property
    def eligibility(self) -> Eligibility:
        """The rules that decide which items may be listed now."""
        return Eligibility(self.items, self.row_of, self.retired)

    @cached_property
    def vector_rows(self) -> LiveVectors:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The vectors by row number."""
        return LiveVectors(self.item_vectors, self.n_items)

    @override
    def cosines(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        return self.vector_rows.cosines(vector)

    @cached_property
    def has_vector(self) -> NDArray[np.bool_]:
        """True for each item that has a text and so a vector, ``[n_items]``; it changes."""
        built = np.any(self.item_vectors, axis=1)
        return np.concatenate([built, np.zeros(self.n_items - len(built), np.bool_)])

    @override
    def item(self, item_ix: int) -> Item:
        now = self._items_now.get(item_ix)
        if now is None:
            return super().item(item_ix)
        return now.model_copy(update={"is_new": not self.popularity[item_ix]})

    @override
    def has_user(self, user_id: str) -> bool:
        return user_id in self._events or super().has_user(user_id)

    @property
    @override
    def user_ids(self) -> list[str]:
        known = super().user_ids
        return known + [user for user in self._events if user not in self._spans]

    @override
    def history(self, user_id: str) -> UserHistory:
        live = self._events.get(user_id, ())
        if not live:
            return super().history(user_id)
        built = super().history(user_id).events if super().has_user(user_id) else ()
        return UserHistory(user_id=user_id, events=with_events(built, live))

    def events_until(self, user_id: str, n_live: int) -> tuple[Interaction, ...]:
        """Return a user's events up to the ``n_live``-th that was recorded, which is the last."""
        *earlier, last = self._events[user_id][:n_live]
        built = super().history(user_id).events if super().has_user(user_id) else ()
        whole = with_events(built, earlier)
        before = [event for event in whole if (event.timestamp or 0) <= (last.timestamp or 0)]
        return (*(before if last.timestamp else whole), last)

    # --- writing ------------------------------------------------------------------------------

    def record(
        self,
        user_id: str,
        item_id: str,
        *,
        timestamp: int | None = None,
        rating: float | None = None,
        key: str | None = None,
    ) -> bool:
        """Record an event; it is on the disk when this returns, and counts in the next list.

        Args:
            user_id: The user, known or not.
            item_id: An item of the index, retired ones included.
            timestamp: Unix seconds; now if None.
            rating: As in the log.
            key: The sender's own name of the event, so that it can be sent again: a key that is
                there already records nothing. Keys are kept for one update.

        Returns:
            False if the key was there already.

        Raises:
            DataError: If the item is unknown or a value has the wrong type.
            StorageError: If the change cannot be written.
        """
        self.refresh()
        self.item_by_id(item_id)
        at = int(time.time()) if timestamp is None else timestamp
        try:
            event = Interaction(item_id=item_id, timestamp=at, rating=rating)
            change = EventRecorded(user_id=user_id, event=event, key=key)
        except ValidationError as error:
            raise DataError(first_problem(error)) from error
        return self._write(change)

    def upsert(self, item: Item) -> None:
        """Add an item, or put another in its place: title, text, price, stock, everything.

        A text that is new is embedded. Retrieval places a new item by its text; where the text of
        an item of the build changes, its neighbours stay those of the build until the next one.

        Raises:
            ConfigError: If there is no room for further new items before the next update.
            StorageError: If the change cannot be written.
        """
        self.refresh()
        row, text = self.find(item.item_id), text_of(item)
        if row is None and len(self.row_of) >= self.n_items:
            raise ConfigError(
                f"{self.n_items - self._n_built:,} new items are the most that an index of "
                f"{self._n_built:,} takes up: run rag-rec index --update, and open it again"
            )
        change = ItemPut(item=item.model_copy(update={"is_new": False}))
        if row is None or text != text_of(self.item(row)):
            vector = self._embedded(text).tobytes()
            change = ItemPut(item=change.item, vector=vector, embedder=self._digest)
        self._write(change)

    def remove(self, item_id: str) -> None:
        """Take an item out of the catalog: its events still teach, and it is never listed.

        Raises:
            DataError: If it is unknown.
            StorageError: If the change cannot be written.
        """
        self.refresh()
        self.item_by_id(item_id)
        self._write(ItemRemoved(item_id=item_id))

    @override
    def close(self) -> None:
        self._live.close()
        super().close()

    def _write(self, change: Change) -> bool:
        added = self._live.append([change])
        self.refresh()
        return bool(added)

    # --- taking up ----------------------------------------------------------------------------

    def _take_up(self, change: Change, taken: dict[int, Item | None]) -> None:
        if isinstance(change, EventRecorded):
            self._add_event(change.user_id, change.event)
        elif isinstance(change, ItemRemoved):
            if (row := self.find(change.item_id)) is not None:
                taken[row] = None
        else:
            self._put(change, taken)

    def _add_event(self, user_id: str, event: Interaction) -> None:
        if self._was_built(user_id, event):
            return  # a build from the shop's own log holds it by now
        self._events[user_id] = (*self._events.get(user_id, ()), event)
        self.recorded.append((user_id, len(self._events[user_id])))
        if (row := self.find(event.item_id)) is not None:
            self.popularity[row] += 1
            self._cache.pop(row, None)  # it may say that the item is new

    def _was_built(self, user_id: str, event: Interaction) -> bool:
        start, n = self._spans.get(user_id, (0, 0))
        if event.timestamp not in self._times[start : start + n]:
            return False
        return event in super().history(user_id).events

    @cached_property
    def _times(self) -> NDArray[np.float64]:
        """Time of each event of the build, NaN where there is none."""
        return self.interactions["timestamp"].cast(pl.Float64).fill_null(np.nan).to_numpy()

    def _put(self, change: ItemPut, taken: dict[int, Item | None]) -> None:
        item = change.item
        row = self.find(item.item_id)
        vector = self._vector(change, row)
        if row is None:
            row = len(self.row_of)
            self.item_ids[row] = item.item_id
        if vector is not None:
            self.vector_rows.put(row, vector)
            self.has_vector[row] = vector.any()
            self.n_changed += 1
        self._items_now[row] = item
        self.row_of[item.item_id] = row
        taken[row] = item

    def _vector(self, change: ItemPut, row: int | None) -> Vectors | None:
        """Return the vector of an item's text, None where the text is that of before.

        That which was written is taken unless another embedder made it, or none was needed then.
        """
        text = text_of(change.item)
        if row is not None and text == text_of(self.item(row)):
            return None
        if change.embedder == self._digest:
            return np.frombuffer(change.vector, np.float32)
        return self._embedded(text)

    def _embedded(self, text: str) -> Vectors:
        if not text:
            return np.zeros(self.item_vectors.shape[1], np.float32)
        return np.asarray(self.embedder.embed([text])[0], np.float32)

    @property
    def _digest(self) -> str:
        return self.manifest.embedder.digest
