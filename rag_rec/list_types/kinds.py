"""What kind of list is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from pydantic import Field, model_validator

from rag_rec.core import Constraints, ItemId, Model


class TopK(Model):
    """The best ``k`` items, best first."""

    k: int = Field(default=10, ge=1)

    @property
    def length(self) -> int:
        """Number of items."""
        return self.k


class Bundle(Model):
    """Items that go together.

    Attributes:
        size: Number of items; that of ``slots`` where there are any.
        budget: What they may cost together; items without a price then have no place.
        slots: One item for each of these, such as ``where("category=Teapots")``.
        anchors: Items that must be among them.
    """

    size: int = Field(default=3, ge=1)
    budget: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    slots: tuple[Constraints, ...] = ()
    anchors: tuple[ItemId, ...] = ()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(set(self.anchors)) < len(self.anchors):
            raise ValueError("an anchor is named twice")
        if len(self.anchors) > self.length:
            raise ValueError(f"{len(self.anchors)} anchors do not fit {self.length} places")
        return self

    @property
    def length(self) -> int:
        """Number of items."""
        return len(self.slots) or self.size


class PlaySequence(Model):
    """Items in an order that matters: what to read, hear or learn next, and then.

    Attributes:
        length: Number of items.
        durations: How long each item takes, in a unit of the caller's.
        max_duration: What they may take together; items without a duration then have no place.
    """

    length: int = Field(default=5, ge=1)
    durations: Mapping[str, float] = {}
    max_duration: float | None = Field(default=None, gt=0, allow_inf_nan=False)


class Slate(Model):
    """A page of rows, each with a theme; no item stands in two rows.

    Attributes:
        rows: Number of rows.
        per_row: Items a row.
        diversity: Weight of the page's diversity against relevance, from 0 to 1.
    """

    rows: int = Field(default=3, ge=1)
    per_row: int = Field(default=4, ge=1)
    diversity: float = Field(default=0.3, ge=0, le=1)

    @property
    def length(self) -> int:
        """Number of items."""
        return self.rows * self.per_row


Composite = Bundle | PlaySequence | Slate
"""Kinds that are judged as a whole."""

Kind = TopK | Composite
