"""Single claims of a reason against the facts, and lists that are settled slot by slot."""

from __future__ import annotations

import pytest

from rag_rec import Candidate, Constraints, Evidence, Item, UserHistory
from rag_rec.core import Usage
from rag_rec.grounding import Grounds, ReasonChecker, list_fields, read_answer, reask_message

POT = Item(
    item_id="p", title="Cast-iron Teapot", brand="Ombre", price=34.0, categories=("Teapots",),
    description="Holds 800 ml and keeps tea hot.",
)  # fmt: skip
FREE = Item(item_id="f", title="Linen Tea Towel", brand=None, price=None)
ITEMS = {item.item_id: item for item in (POT, FREE)}
SHOWN = [
    Evidence(item_id="p", kind="item", text="Cast-iron Teapot · Ombre · 34.00 · Teapots", number=1),
    Evidence(item_id="p", kind="review", text="The second cup's as hot as the first!", number=2),
    Evidence(item_id="f", kind="item", text="Linen Tea Towel", number=3),
    Evidence(item_id="", kind="profile", text="a gift for Jörg in Ulm, with 2 cups"),
]


def problems(reason: str, *cites: int, item: Item = POT) -> list[str]:
    brands = {"ombre", "salt & pepper", "seven oaks"}
    return ReasonChecker(SHOWN, ITEMS.__getitem__, brands.__contains__).problems(
        reason, cites, item
    )


@pytest.mark.parametrize(
    ("claim", "problem"),
    [
        ("A teapot for 34,00 €, to keep tea hot.", ""),
        ("A teapot at $34 that keeps tea hot.", ""),
        ("A teapot priced at 34.01, keeps tea hot.", "costs 34.01, which is not its price"),
        ("A teapot under £34, keeps tea hot.", ""),
        ("A teapot under £33.50, keeps tea hot.", "under 33.5, which it is not"),
        ("Keeps 800 ml of tea hot in cast-iron.", ""),
        ("Keeps 900 ml of tea hot in cast-iron.", "says 900,"),
        ("Keeps tea hot for two cups of Jörg.", ""),
        ("Keeps tea hot for Ulrich and his teapot.", "names “Ulrich”"),
        ("This Ombre's teapot keeps tea hot.", ""),
        ("Like Salt & Pepper, a teapot keeps tea hot.", "brand “salt pepper”"),
        ("Seven Oaks teapot keeps tea hot.", "brand “seven oaks”"),
        ("«keeps tea hot», this cast-iron teapot.", ""),
        ("„keeps tea hot“, this cast-iron teapot.", ""),
        ("'holds keeps hot tea' in a cast-iron teapot.", "quotes “holds keeps hot tea”"),
        ("“hot … 800 ml”, this cast-iron teapot.", "quotes “hot … 800 ml”"),
        ("A proven cast-iron teapot keeps tea hot.", "claims “proven…”"),
        ("Mail a@b.c on the cast-iron teapot.", "address or markup"),
        ("Your last cast-iron teapot was hot tea.", "history without citing it"),
    ],
)
def test_claims_that_cite_the_item(claim: str, problem: str) -> None:
    found = "; ".join(problems(claim, 1))
    assert problem in found
    assert bool(problem) == bool(found)


def test_a_price_needs_the_item_and_an_item_its_price() -> None:
    assert problems("The second cup is hot, for £34.", 2) == [
        "says 34, which the evidence does not",
        "says its price without citing the item",
    ]
    found = problems("A linen tea towel for £5.", 3, item=FREE)
    assert "says it costs 5, which is not its price" in found
    assert "says it is under 5, which it is not" in problems(
        "A linen tea towel under £5.", 3, item=FREE
    )


def test_a_quotation_is_of_whole_words_whatever_the_apostrophe() -> None:
    assert problems("A reviewer: “the second cup’s as hot”", 2) == []
    assert problems("A reviewer: “he second cup's as hot”", 2) != []


def test_citations_are_taken_once_and_as_shown() -> None:
    checker = ReasonChecker(SHOWN, ITEMS.__getitem__, lambda _: False)
    assert [e.number for e in checker.cited([2, 9, 1, 2])] == [2, 1]
    assert problems("Keeps tea hot.", 3, 7) == [
        "cites 3, which is about another item",
        "cites 7, which was not shown",
    ]


# --- lists ----------------------------------------------------------------------------------------


def grounds(*, constraints: Constraints | None = None) -> Grounds:
    items = {n: Item(item_id=n, title=f"Thing {n}", price=float(n)) for n in "1234"}
    links = {"2": Evidence(item_id="2", kind="history", text="Often taken with yours.")}
    history = UserHistory.of().model_copy(update={"constraints": constraints or Constraints()})
    candidates = [Candidate(n, 5.0 - int(n), {"content": int(n)}) for n in items]
    return Grounds(history, candidates, items.__getitem__, lambda _: links)


def settled(reply: str | None, k: int, facts: Grounds) -> dict[str, object]:
    reading = None if reply is None else read_answer(reply, n_labels=4, k=k)
    chosen = facts.choose(list(facts.named(reading)), k)
    return list_fields(chosen, reading, facts, k=k, usage=Usage(), run_id="r")


LONG = "good for a quiet evening"


def test_what_the_model_said_and_what_filled_up() -> None:
    reply = (
        f'{{"items": [{{"label": 3, "reason": "{LONG}"}}, {{"label": 2, "reason": "{LONG}"}},'
        ' {"label": 9, "reason": ""}, {"label": 4, "reason": "so good"}]}'
    )
    fields = settled(reply, 4, grounds())
    slots = fields["items"]
    assert [(s.rank, s.item_id, s.origin, s.reason_status, s.reason) for s in slots] == [
        (1, "3", "llm", "unverified", "good for a quiet evening"),
        (2, "2", "llm", "evidence", "Often taken with yours."),  # said of 3 before
        (3, "4", "llm", "removed", ""),  # too few words
        (4, "1", "backfill", "removed", ""),
    ]
    assert fields["outcome"] == "partial"
    repairs = fields["repairs"]
    assert (repairs.backfilled, repairs.poor_reason, repairs.unknown_label) == (1, 2, 1)
    assert fields["error"] == ("label 9 was not shown; it names 3 usable labels where 4 are needed")
    assert fields["shortfall"] is None


@pytest.mark.parametrize(
    ("reply", "outcome", "ids"),
    [
        (None, "retrieval_only", "12"),
        ("no", "failed", "12"),
        ('{"items": [{"label": 4}, {"label": 1}]}', "ok", "41"),
        ('{"items": [{"label": 4}]}', "partial", "41"),
    ],
)
def test_outcomes(reply: str | None, outcome: str, ids: str) -> None:
    fields = settled(reply, 2, grounds())
    assert fields["outcome"] == outcome
    assert "".join(slot.item_id for slot in fields["items"]) == ids


def test_a_choice_that_a_constraint_forbids_is_counted_and_replaced() -> None:
    reply = '{"items": [{"label": 4}, {"label": 1}]}'
    fields = settled(reply, 2, grounds(constraints=Constraints(max_price=2)))
    assert [slot.item_id for slot in fields["items"]] == ["1", "2"]
    assert (fields["repairs"].constraint, fields["outcome"]) == (1, "partial")
    relaxed = Constraints(max_price=1, relax=("price",))
    fields = settled(None, 2, grounds(constraints=relaxed))
    assert fields["shortfall"] == "1 of 2 items only qualify without: price"
    fields = settled(None, 3, grounds(constraints=Constraints(max_price=2)))
    assert fields["shortfall"] == "2 of 3 items: no more qualify"


def test_a_reask_names_the_faults_and_what_is_wanted() -> None:
    reading = read_answer('{"items": [{"label": 9}, {"label": 1}, {"label": 1}]}', n_labels=4, k=9)
    assert reask_message(reading, n_labels=4, k=9) == (
        "That reply cannot be used: label 9 was not shown; label 1 is named twice; it names 1 "
        "usable labels where 4 are needed. Answer again with the JSON only: exactly 4 items, each "
        "with a different label between 1 and 4."
    )
    many = ", ".join('{"label": 77}' for _ in range(20))
    assert len(read_answer(f'{{"items": [{many}]}}', n_labels=4, k=3).problems) == 8
