"""The nouns every room shares: frozen Pydantic models, no behaviour beyond their own shape.

Conventions: ``*_id`` is the catalog's own id (text), ``*_ix`` a row number, ``k`` the list
length, times are integer unix seconds in UTC, prices are plain numbers in the shop's currency.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

ItemId = Annotated[str, Field(min_length=1)]
UserId = Annotated[str, Field(min_length=1)]

Outcome = Literal["ok", "partial", "retrieval_only", "failed"]
"""How a list came about.

``ok``: the model filled every slot. ``partial``: it filled some, retrieval the others.
``retrieval_only``: no model was asked, by choice or because there was nothing to choose from.
``failed``: a model was asked and gave nothing usable; the list is the retrieval order.
"""

Origin = Literal["llm", "repaired", "backfill"]
"""Who chose a slot: the model's first valid answer, an answer that needed a repair (a re-ask,
or entries saved from a broken reply), or the retrieval order."""

ReasonStatus = Literal["verified", "unverified", "replaced", "removed", "evidence"]
"""Where a reason comes from, and whether it was checked.

``verified``: the model's words, which cite evidence they were held against. ``unverified``: the
model's words, of a prompt that asks for no citations. ``replaced``: the model's words were refuted,
and a plain sentence built from the strongest evidence stands for them. ``removed``: they were
refuted, or there were none, and there is no evidence to stand for them; the reason is empty.
``evidence``: the model gave no reason; a plain sentence from the evidence."""

EvidenceKind = Literal["review", "history", "item", "past", "profile"]


class Model(BaseModel):
    """Base of the shared types: immutable, and unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Item(Model):
    """One row of the catalog."""

    item_id: ItemId
    title: str = ""
    description: str = ""
    brand: str | None = None
    price: float | None = None
    categories: tuple[str, ...] = ()
    released: date | None = None
    in_stock: bool = True


class Review(Model):
    """One review of one item."""

    review_id: str
    item_id: ItemId
    user_id: UserId | None = None
    text: str
    rating: float | None = None
    timestamp: int | None = None


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
    """What a list must obey whatever the model says.

    An item must state what a constraint asks about: one without a price satisfies no price range,
    one without a category no wanted category, one without a date no release bound. Names of
    brands and categories are compared without regard to case.

    Attributes:
        exclude: Item ids never to be listed.
        allow_seen: Whether items of the history may be listed again.
        allow_out_of_stock: Whether items with ``in_stock=False`` may be listed.
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
    """What is known of one user when a list is asked for.

    Attributes:
        user_id: The user, or None for an anonymous session.
        events: Past interactions, oldest first.
        profile: Plain words about the user ("likes slow science fiction"); may stand in for events.
        constraints: What this user's list must obey.
    """

    user_id: UserId | None = None
    events: tuple[Interaction, ...] = ()
    profile: str | None = None
    constraints: Constraints = Constraints()

    @classmethod
    def of(cls, *item_ids: str, user_id: str | None = None) -> UserHistory:
        """A history of these item ids, oldest first.

        >>> UserHistory.of("kit-001", "tea-004").item_ids
        ('kit-001', 'tea-004')
        """
        events = tuple(Interaction(item_id=item_id) for item_id in item_ids)
        return cls(user_id=user_id, events=events)

    @property
    def item_ids(self) -> tuple[str, ...]:
        """Ids of the events, oldest first, repeats kept."""
        return tuple(event.item_id for event in self.events)


@dataclass(frozen=True, slots=True)
class Candidate:
    """An item that retrieval proposes for one user; a plain class, for many are made a second.

    Attributes:
        item_id: The item.
        score: Fused score; only its order within one list means anything.
        sources: For each source that proposed the item, the rank (from 1) it gave it.
    """

    item_id: str
    score: float
    sources: Mapping[str, int]


class Evidence(Model):
    """A piece of text that speaks for one candidate, or of the user.

    Attributes:
        item_id: The candidate it is about; for ``past`` the item of the history, for ``profile``
            empty.
        kind: ``review``: a reviewer's words. ``item``: what the catalog says of the candidate.
            ``past``: an item of the user's history. ``profile``: the user's own words.
            ``history``: a link from the history to the candidate.
        text: The words, or the sentence built from the link.
        similarity: Cosine to the user's taste for reviews, link strength for history, else 0.
        number: The number under which a prompt showed it.
    """

    item_id: str
    kind: EvidenceKind
    text: str
    similarity: float = 0.0
    number: int | None = None


class Usage(Model):
    """What one or several model calls cost.

    Attributes:
        calls: Requests sent, retries included.
        prompt_tokens: Tokens read, as the backend counts them.
        completion_tokens: Tokens written, as the backend counts them.
        wall_s: Seconds from asking to answer, summed over calls.
        cached: Answers that came from a reply cache; they are no calls and cost nothing.
    """

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    wall_s: float = 0.0
    cached: int = 0

    def __add__(self, other: Usage) -> Usage:
        """Sum of two usages, field by field."""
        return Usage(
            calls=self.calls + other.calls,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            wall_s=self.wall_s + other.wall_s,
            cached=self.cached + other.cached,
        )


class Repairs(Model):
    """How far the model's reply was from a valid list; all zero when it was one.

    Attributes:
        reasked: Times the model was asked again with the error (0 or 1).
        unparseable: Replies that were not the agreed JSON.
        truncated: Replies that stopped at ``max_tokens``.
        invalid_entry: Entries of the wrong shape.
        unknown_label: Entries naming a candidate that was not shown.
        duplicate: Entries naming a candidate already listed.
        constraint: Entries that would have broken a constraint.
        poor_reason: Reasons of under four words, repeated or only the title; replaced by a
            sentence from the log.
        refuted_reason: Reasons that did not hold against the evidence they cite.
        backfilled: Slots filled from the retrieval order.
    """

    reasked: int = 0
    unparseable: int = 0
    truncated: int = 0
    invalid_entry: int = 0
    unknown_label: int = 0
    duplicate: int = 0
    constraint: int = 0
    poor_reason: int = 0
    refuted_reason: int = 0
    backfilled: int = 0


class Recommendation(Model):
    """One slot of a list.

    Attributes:
        rank: Position from 1.
        item_id: The catalog's id of the item.
        title: The item's title.
        item: The whole catalog row; left out of the JSON document.
        score: The candidate's retrieval score.
        reason: Why this item, for the user to read; empty if neither model nor log gives one.
        reason_status: Where the reason comes from, and whether it was checked.
        evidence: What the reason rests on: what it cites, or what it was built from.
        origin: Who chose this slot.
        sources: The rank each retrieval source gave the item.
        relaxed: Constraints that were given up to list this item.
    """

    rank: int = Field(ge=1)
    item_id: ItemId
    title: str
    item: Item = Field(exclude=True)
    score: float
    reason: str
    reason_status: ReasonStatus
    evidence: tuple[Evidence, ...] = ()
    origin: Origin
    sources: Mapping[str, int]
    relaxed: tuple[Relaxable, ...] = ()


class RecommendationList(Model):
    """The answer for one user: unique, in-catalog, eligible items, best first.

    Attributes:
        user_id: The user, when known.
        outcome: How the list came about.
        items: ``min(k, eligible items)`` slots; fewer where counts such as ``max_per_brand`` do
            not allow more.
        repairs: What had to be mended.
        usage: Cost of the model calls for this list.
        run_id: Hash of everything that can change the output.
        error: Why the model gave nothing or less, in one line; None when nothing went wrong.
        shortfall: Why the list is shorter than asked for, or which constraints were relaxed to
            fill it, in one line.
    """

    user_id: str | None
    outcome: Outcome
    items: tuple[Recommendation, ...]
    repairs: Repairs
    usage: Usage
    run_id: str
    error: str | None = None
    shortfall: str | None = None


class BundleList(RecommendationList):
    """Items that go together.

    Attributes:
        total_price: What they cost together; None if one has no price.
        compatibility: Mean affinity of the pairs.
        slots: For each item, what the slot it fills asks for; empty without slots.
    """

    total_price: float | None
    compatibility: float
    slots: tuple[str, ...] = ()


class SequenceList(RecommendationList):
    """Items in an order that matters, first to last.

    Attributes:
        order_score: How well the items follow one another.
        total_duration: What they take together; None if one has no duration.
    """

    order_score: float
    total_duration: float | None


class SlateRow(Model):
    """One row of a page: its theme, and its items in order."""

    theme: str
    item_ids: tuple[ItemId, ...]


class SlatePage(RecommendationList):
    """Rows with themes; ``items`` are those of all rows in reading order.

    Attributes:
        rows: The rows, top to bottom.
        diversity: One minus the mean cosine between the descriptions of the items.
    """

    rows: tuple[SlateRow, ...]
    diversity: float
