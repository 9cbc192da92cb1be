"""Output: lists, their evidence, and the cost of the model calls behind them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from rag_rec.core.inputs import Constraints, Item, ItemId, Model, Relaxable
from rag_rec.core.outgoing.neutral import Neutral, Spoken, spoken

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

``verified``: the model's words, which cite evidence they were held against; praise such as an award
that only the seller or a reviewer states begins with "The seller says" or "A reviewer says".
``unverified``: the model's words, of a prompt that asks for no citations. ``replaced``: the model's
words were refuted, and a plain sentence built from the strongest evidence stands for them.
``removed``: they were refuted, or there were none, and there is no evidence to stand for them; the
reason is empty. ``evidence``: the model gave no reason; a plain sentence from the evidence."""

EvidenceKind = Literal["review", "history", "item", "past", "profile"]


class Evidence(Model):
    """A piece of text that speaks for one candidate, or of the user.

    Attributes:
        item_id: The candidate it is about; for ``past`` the item of the history, for ``profile``
            empty.
        kind: ``review``: a reviewer's words. ``item``: what the catalog says of the candidate.
            ``past``: an item of the user's history. ``profile``: the user's own words.
            ``history``: a link from the history to the candidate.
        text: The words, or the sentence built from the link; without markup and links.
        similarity: Cosine to the user's taste for reviews, link strength for history, else 0.
        number: The number under which a prompt showed it.
    """

    item_id: str
    kind: EvidenceKind
    text: Neutral
    similarity: float = 0.0
    number: int | None = None


Count = Annotated[int, Field(ge=0, le=10**15)]
"""A count that sums and prices can be made of, wherever it was read."""


class Usage(Model):
    """Cost of one or several model calls.

    Attributes:
        calls: Requests sent, retries included.
        prompt_tokens: Tokens read, as the backend counts them.
        completion_tokens: Tokens written, as the backend counts them.
        wall_s: Seconds from asking to answer, summed over calls.
        cached: Answers that came from a reply cache; they are no calls and cost nothing.
        estimated: Calls whose tokens are an estimate, for the backend gave no usable count.
    """

    calls: Count = 0
    prompt_tokens: Count = 0
    completion_tokens: Count = 0
    wall_s: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    cached: Count = 0
    estimated: Count = 0

    def __add__(self, other: Usage) -> Usage:
        """Return the sum, field by field."""
        return Usage.model_construct(**{name: mine + getattr(other, name) for name, mine in self})

    def __sub__(self, other: Usage) -> Usage:
        """Return the difference, field by field."""
        return Usage.model_construct(**{name: mine - getattr(other, name) for name, mine in self})


class Repairs(Model):
    """Faults of the model's reply that were mended; all zero when it was a valid list.

    Attributes:
        reasked: Times the model was asked again with the error (0 or 1).
        unparseable: Replies that were not the agreed JSON.
        truncated: Replies that stopped at ``max_tokens``.
        invalid_entry: Entries of the wrong shape.
        unknown_label: Entries naming a candidate that was not shown.
        duplicate: Entries naming a candidate already listed.
        constraint: Entries that would have broken a constraint.
        poor_reason: Reasons of under four words, repeated, only the title, or with a link or
            markup; replaced by a sentence from the log.
        refuted_reason: Reasons that did not hold against the evidence they cite.
        refuted_profile: Taste profiles (0 or 1) that the model did not give, or that did not hold;
            counted facts stood in the prompt.
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
    refuted_profile: int = 0
    backfilled: int = 0


class Understood(Model):
    """The reading of a request in plain words.

    Attributes:
        request: The words.
        constraints: The rules they state, of every item and of the list.
        query: The words that are searched for.
        how: ``model``: read by the model, checked by code. ``keywords``: no model, or none that
            gave a usable reply; only prices, years and names of the catalog are understood.
        dropped: Parts of the model's reading that the request does not state.
        problem: Why a model's reading could not be used, in one line; None if it could.
    """

    request: str
    constraints: Constraints
    query: str
    how: Literal["model", "keywords"]
    dropped: tuple[str, ...] = ()
    problem: str | None = None


class TasteProfile(Model):
    """A user in a few lines.

    Attributes:
        user_id: The user, when known.
        text: What their history and their own reviews say.
        status: ``verified``: a model's words that hold against what they cite. ``facts``: counted.
        evidence: What the text rests on.
        usage: What making it cost; nothing where it had been made before.
    """

    user_id: str | None
    text: Spoken
    status: Literal["verified", "facts"]
    evidence: tuple[Evidence, ...] = ()
    usage: Usage = Usage()


class Recommendation(Model):
    """One slot of a list.

    Attributes:
        rank: Position from 1.
        item_id: The catalog's id of the item.
        title: The item's title, without markup and links.
        item: The whole catalog row; left out of the JSON document.
        score: The candidate's retrieval score.
        reason: Why this item, for the user to read; empty if neither model nor log gives one. It
            names no address but that of a brand.
        reason_status: Where the reason comes from, and whether it was checked.
        evidence: What the reason rests on: what it cites, or what it was built from.
        origin: Who chose this slot.
        is_new: True if the index's log has no events of the item.
        sources: The rank each retrieval source gave the item.
        relaxed: Constraints that were given up to list this item.
    """

    rank: int = Field(ge=1)
    item_id: ItemId
    title: Neutral
    item: Item = Field(exclude=True)
    score: float
    reason: str
    reason_status: ReasonStatus
    evidence: tuple[Evidence, ...] = ()
    origin: Origin
    is_new: bool = False
    sources: Mapping[str, int]
    relaxed: tuple[Relaxable, ...] = ()

    @field_validator("reason")
    @classmethod
    def _names_no_address(cls, reason: str, info: ValidationInfo) -> str:
        item = info.data.get("item")
        return spoken(reason, [item.brand] if item and item.brand else [])


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
        shortfall: Why the list is shorter than asked for, which constraints were relaxed to fill
            it, or how many new items it lacks, in one line.
        understood: What was understood of a request in plain words, if there was one.
    """

    user_id: str | None
    outcome: Outcome
    items: tuple[Recommendation, ...]
    repairs: Repairs
    usage: Usage
    run_id: str
    error: str | None = None
    shortfall: str | None = None
    understood: Understood | None = None
