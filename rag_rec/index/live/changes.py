"""Changes of a shop that count before the next build."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from rag_rec.core import Interaction, Item, Model

_Id = Annotated[str, Field(min_length=1)]


class EventRecorded(Model):
    """A user took an item.

    Attributes:
        user_id: The user, known or not.
        event: The item and the time.
        key: The sender's name of this event; a second change of the same key is none.
    """

    kind: Literal["event"] = "event"
    user_id: _Id
    event: Interaction
    key: str | None = Field(default=None, exclude=True)


class ItemPut(Model):
    """An item is new, or has another price, stock or text than before.

    Attributes:
        item: The whole item as it is now.
        vector: Its text's vector, float32 bytes; empty where the text is that of before.
        embedder: Digest of the embedder that made it.
    """

    kind: Literal["item"] = "item"
    item: Item
    embedder: str = ""
    vector: bytes = Field(default=b"", exclude=True)


class ItemRemoved(Model):
    """An item left the catalog: its events still teach, and it is never listed."""

    kind: Literal["removal"] = "removal"
    item_id: _Id


Change = EventRecorded | ItemPut | ItemRemoved
CHANGE: TypeAdapter[Change] = TypeAdapter(Annotated[Change, Field(discriminator="kind")])
