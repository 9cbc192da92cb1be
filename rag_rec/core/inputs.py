"""Input of a list: the catalog's rows, users, and the constraints of their lists."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from rag_rec.core.errors import DataError

ItemId = Annotated[str, Field(min_length=1)]
UserId = Annotated[str, Field(min_length=1)]


class Model(BaseModel):
    """Base of the shared types: immutable, and unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Item(Model):
    """One row of the catalog.

    Attributes:
        is_new: True if the log of the index it comes from has no events of it. An `ItemIndex`
            marks the items that it returns; no file states it.
    """

    item_id: ItemId
    title: str = ""
    description: str = ""
    brand: str | None = None
    price: float | None = None
    categories: tuple[str, ...] = ()
    released: date | None = None
    in_stock: bool = True
    is_new: bool = False


class Interaction(Model):
    """One event of a user's log: a purchase, a play, a rating."""

    item_id: ItemId
    timestamp: int | None = None
    rating: float | None = None


Relaxable = Literal[
    "price",
    "category",
    "brand",
    "released",
    "in_stock",
    "max_per_brand",
    "max_per_category",
    "min_categories",
]
"""A constraint that a caller may allow to be given up; see `Constraints.relax`."""


class Constraints(Model):
    """Rules of a list, which hold whatever the model says.

    An item must state what a constraint asks about: one without a price satisfies no price range,
    one without a category no wanted category, one without a date no release bound. Names of
    brands and categories are compared without regard to case.

    Attributes:
        exclude: Item ids never to be listed.
        allow_seen: True if items of the history may be listed again.
        allow_out_of_stock: True if items with ``in_stock=False`` may be listed.
        min_price: Lowest price, inclusive.
        max_price: Highest price, inclusive.
        categories: At least one of these.
        all_categories: Every one of these.
        not_categories: None of these.
        brands: One of these.
        not_brands: None of these.
        released_after: Released on a later day than this.
        released_before: Released on an earlier day than this.
        max_per_brand: Items of one brand at most; items without one are not counted.
        max_per_category: Items of one category at most; items without one are not counted.
        min_categories: A list of n items shows at least ``min(min_categories, n)`` categories.
        category_level: Which entry of an item's categories the three counts above look at: 0 the
            first, -1 the last, which in a path is the most specific.
        new_items: Share of the list's places, 0 to 1, that go to new items, those without events
            in the index's log: of k places the nearest whole number (a half counts up), and one
            at least if it is not 0. It is kept as far as new items exist that may be listed, and
            never makes a list shorter: hence it need not be relaxed. `shortfall` says how many
            are missing.
        relax: Constraints that may be given up, in this order, when fewer items qualify than are
            asked for. Each item that breaks one says so.
    """

    exclude: frozenset[str] = frozenset()
    allow_seen: bool = False
    allow_out_of_stock: bool = False
    min_price: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    max_price: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    categories: frozenset[str] = frozenset()
    all_categories: frozenset[str] = frozenset()
    not_categories: frozenset[str] = frozenset()
    brands: frozenset[str] = frozenset()
    not_brands: frozenset[str] = frozenset()
    released_after: date | None = None
    released_before: date | None = None
    max_per_brand: int | None = Field(default=None, ge=1)
    max_per_category: int | None = Field(default=None, ge=1)
    min_categories: int | None = Field(default=None, ge=1)
    category_level: int = -1
    new_items: float = Field(default=0, ge=0, le=1, allow_inf_nan=False)
    relax: tuple[Relaxable, ...] = ()

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        low, high = self.min_price, self.max_price
        if low is not None and high is not None and low > high:
            raise ValueError(f"no price is at least {low:g} and at most {high:g}")
        after, before = self.released_after, self.released_before
        if after is not None and before is not None and (before - after).days < 2:
            raise ValueError(f"no day is after {after} and before {before}")
        if len(set(self.relax)) < len(self.relax):
            raise ValueError("relax names a constraint twice")
        return self


class UserHistory(Model):
    """One user as known when a list is asked for.

    Attributes:
        user_id: The user, or None for an anonymous session.
        events: Past interactions, oldest first.
        profile: Plain words about the user ("likes slow science fiction"); may stand in for events.
        constraints: Rules of this user's list.
    """

    user_id: UserId | None = None
    events: tuple[Interaction, ...] = ()
    profile: str | None = None
    constraints: Constraints = Constraints()

    @classmethod
    def of(cls, *item_ids: str, user_id: str | None = None) -> UserHistory:
        """Return a history of these item ids, oldest first.

        Raises:
            DataError: If an id is empty or no text.

        >>> UserHistory.of("kit-001", "tea-004").item_ids
        ('kit-001', 'tea-004')
        """
        try:
            events = tuple(Interaction(item_id=item_id) for item_id in item_ids)
            return cls(user_id=user_id, events=events)
        except ValidationError as error:
            raise DataError(f"expected item ids (text), found {item_ids!r:.60}") from error

    @property
    def item_ids(self) -> tuple[str, ...]:
        """Ids of the events, oldest first, repeats kept."""
        return tuple(event.item_id for event in self.events)


class Candidate(NamedTuple):
    """An item that retrieval proposes for one user; not a `Model`, since many are made a second.

    Attributes:
        item_id: The item.
        score: Fused score; only its order within one list means anything.
        sources: For each source that proposed the item, the rank (from 1) it gave it.
    """

    item_id: str
    score: float
    sources: Mapping[str, int]
