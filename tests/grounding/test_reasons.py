"""Reasons are held against what they cite: lies are caught, truths of the same form pass."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable

import pytest

from prompts import prompt_of
from rag_rec import Evidence, Item, ItemIndex, Recommender, UserHistory
from rag_rec.grounding import ReasonChecker, answer_schema
from rag_rec.language import brands_in, limits_in, names_in, numbers_in, prices_in
from rag_rec.prompting import RenderedPrompt
from rag_rec.testing import ScriptedModel, check_list

N = 200


class Desk:
    """A prompt with numbered evidence, and sentences about what it shows."""

    def __init__(self, recommender: Recommender, user: str, rng: random.Random) -> None:
        self.prompt: RenderedPrompt = prompt_of(recommender, user, 10)
        self.rng = rng
        self.item_of = recommender.index.item_by_id
        self.checker = ReasonChecker(
            self.prompt.evidence, self.item_of, recommender.index.eligibility.is_brand
        )
        reviewed = {e.item_id for e in self.prompt.evidence if e.kind == "review"}
        self.item: Item = self.item_of(
            rng.choice([item_id for item_id in self.prompt.labels if item_id in reviewed])
        )

    def one(self, kind: str, *, other: bool = False) -> Evidence:
        about = {self.item.item_id} if kind in {"item", "review"} else None
        return self.rng.choice(
            [
                e
                for e in self.prompt.evidence
                if e.kind == kind and (about is None or (e.item_id in about) != other)
            ]
        )

    def holds(self, reason: str, *cites: Evidence | int) -> bool:
        numbers = [c if isinstance(c, int) else c.number or 0 for c in cites]
        return not self.checker.problems(reason, numbers, self.item)


def span(text: str, rng: random.Random) -> str:
    words = text.split()
    n = min(len(words), rng.randrange(4, 9))
    start = rng.randrange(len(words) - n + 1)
    return " ".join(words[start : start + n]).strip(" .,;:!?\"“”'’‘()")


def short(title: str) -> str:
    return re.split(r"[,:(]", title)[0].strip()


PRICE = [
    "It costs {price:.2f} and comes from {brand}.",
    "At £{price:.2f}, this {brand} piece is in the {category} department.",
    "The {title} by {brand} is priced at {price:.2f}.",
    "A {category} choice for {price:.2f} euros by {brand}.",
]
QUOTE = [
    "One reviewer writes “{quote}” about the {title}.",
    'Reviewers mention "{quote}".',
    "As somebody says of the {title}: “{quote}”.",
]
CITED = [
    "The {title} is a {category} item by {brand}.",
    "From {brand}, in {category}.",
    "It follows your {past}, and belongs to {category}.",
]
AWARDS = [
    "This {brand} piece won the Golden Kettle award for {category}.",
    "The {title} by {brand} is an award-winning {category} classic.",
    "Voted best {category} buy of the year, by {brand}.",
    "{brand} took home a design prize for this {title}.",
    "A certified and much awarded {title} by {brand}.",
    "The {title} was a finalist at the {category} fair.",
    "{brand}'s {title} has a medal from the guild of {category}.",
]
PRAISE = [
    "This {brand} piece is a {category} choice.",
    "The {title} by {brand} is a {category} item to keep.",
    "A {category} item of {brand}, much like your {past}.",
]


def facts(desk: Desk, **more: object) -> dict[str, object]:
    past = desk.one("past")
    return {
        "title": short(desk.item.title), "brand": desk.item.brand, "price": desk.item.price,
        "category": desk.item.categories[-1], "past": short(desk.item_of(past.item_id).title),
        "past_evidence": past,
    } | more  # fmt: skip


def say(desk: Desk, templates: list[str], **more: object) -> tuple[str, list[Evidence]]:
    known = facts(desk, **more)
    template = desk.rng.choice(templates)
    cites = [desk.one("item")]
    if "{past}" in template:
        cites.append(known["past_evidence"])  # type: ignore[arg-type]
    return template.format(**known), cites


def true_price(desk: Desk) -> bool:
    text, cites = say(desk, PRICE)
    return desk.holds(text, *cites)


def wrong_price(desk: Desk) -> bool:
    price = desk.item.price or 0
    wrong = desk.rng.choice([price + 1, price * 2 + 3, max(price - 2.5, 0.4), round(price) + 0.99])
    wrong = wrong if abs(wrong - price) > 0.01 else price + 5
    text, cites = say(desk, PRICE, price=wrong)
    return desk.holds(text, *cites)


def no_award(desk: Desk) -> bool:
    text, cites = say(desk, PRAISE)
    return desk.holds(text, *cites)


def invented_award(desk: Desk) -> bool:
    text, cites = say(desk, AWARDS)
    return desk.holds(text, *cites, desk.one("review"))


def true_quote(desk: Desk) -> bool:
    review = desk.one("review")
    text, cites = say(desk, QUOTE, quote=span(review.text, desk.rng))
    return desk.holds(text, review, *cites)


def quote_of_another_item(desk: Desk) -> bool:
    text, cites = say(desk, QUOTE, quote=span(desk.one("review", other=True).text, desk.rng))
    return desk.holds(text, desk.one("review"), *cites)


def true_citation(desk: Desk) -> bool:
    text, cites = say(desk, CITED)
    return desk.holds(text, *cites)


def citation_that_was_not_shown(desk: Desk) -> bool:
    text, cites = say(desk, CITED)
    shown = {e.number for e in desk.prompt.evidence}
    absent = [n for n in range(-3, 80) if n not in shown]
    return desk.holds(text, *cites, desk.rng.choice(absent))


def citation_of_another_item(desk: Desk) -> bool:
    text, cites = say(desk, CITED)
    other = desk.one(desk.rng.choice(["item", "review"]), other=True)
    return desk.holds(text, *cites, other)


@pytest.fixture(scope="module")
def desks(hash_index: ItemIndex) -> list[Desk]:
    recommender = Recommender.open(
        hash_index.folder.parent.parent, ScriptedModel("{}"), prompt="cited",
        embedder=hash_index.embedder,
    )  # fmt: skip
    rng = random.Random(5)
    users = [u for u in sorted(hash_index.user_ids) if len(hash_index.history(u).events) > 3]
    return [Desk(recommender, user, rng) for user in users[:N]]


@pytest.mark.parametrize(
    ("lie", "truth"),
    [
        (wrong_price, true_price),
        (invented_award, no_award),
        (quote_of_another_item, true_quote),
        (citation_that_was_not_shown, true_citation),
        (citation_of_another_item, true_citation),
    ],
)
def test_lies_are_caught_and_truths_of_the_same_form_pass(
    desks: list[Desk], lie: Callable[[Desk], bool], truth: Callable[[Desk], bool]
) -> None:
    assert len(desks) == N
    assert sum(map(lie, desks)) == 0
    assert sum(map(truth, desks)) >= 0.95 * N


KETTLE = Item(
    item_id="k", title="Gooseneck Kettle, 0.9 l", brand="Anna & Co", price=49.9,
    categories=("Tea", "Kettles"), description="Pours a thin stream. Won a prize in 2021.",
)  # fmt: skip
OTHER = Item(item_id="o", title="Paper Filters", brand="Filtra", price=4.5)
SHOWN = [
    Evidence(item_id="o", kind="past", text="Paper Filters · Filtra · 4.50", number=1),
    Evidence(
        item_id="k", kind="item", text="Gooseneck Kettle, 0.9 l · Anna & Co · 49.90", number=2
    ),
    Evidence(
        item_id="k", kind="review", text="Keeps water hot for two hours; lid rattles.", number=3
    ),
    Evidence(item_id="o", kind="item", text="Paper Filters · Filtra · 4.50", number=4),
    Evidence(item_id="", kind="profile", text="likes slow mornings"),
]  # fmt: skip


def problems(reason: str, *cites: int) -> list[str]:
    items = {item.item_id: item for item in (KETTLE, OTHER)}
    checker = ReasonChecker(SHOWN, items.__getitem__, {"anna & co", "filtra"}.__contains__)
    return checker.problems(reason, cites, KETTLE)


@pytest.mark.parametrize(
    ("reason", "cites"),
    [
        ("Reviewers say it keeps water hot for 2 hours.", (3,)),
        ("“keeps water … lid rattles”, says a reviewer of the kettle.", (3,)),
        ("A thin stream goes with your own Paper Filters from Filtra.", (2, 1)),
        ("Under 50, and it pours a thin stream.", (2,)),
        ("It won a prize in 2021 for its thin stream.", (2,)),
        ("For the slow mornings you like: a gooseneck kettle.", (2,)),
    ],
)
def test_what_the_evidence_says_may_be_said(reason: str, cites: tuple[int, ...]) -> None:
    assert problems(reason, *cites) == []


@pytest.mark.parametrize(
    ("reason", "cites", "match"),
    [
        ("It pours a thin stream.", (), "cites nothing"),
        ("It pours a thin stream.", (9,), "cites 9, which was not shown"),
        ("It pours a thin stream.", (2, 4), "cites 4, which is about another item"),
        ("Under 40, and it pours a thin stream.", (2,), "under 40, which it is not"),
        ("It costs 4.50 like the Paper Filters.", (2, 1), "not its price"),
        ("Keeps water hot for three hours.", (3,), "says 3, which the evidence does not"),
        ("A kettle by Filtra with a thin stream.", (2,), "brand “filtra”"),
        ("Filtra makes this kettle with a thin stream.", (2,), "brand “filtra”"),
        ("A thin stream, as used by Hoffmann in Vienna.", (2,), "names “Hoffmann”"),
        ("Reviewers praise its thin stream.", (2,), "speaks of reviewers"),
        ("A customer says the thin stream is steady.", (2,), "speaks of reviewers"),
        ("Paper Filters by Filtra", (1,), "is a name"),
        ("It goes with the Paper Filters you bought.", (2,), "without citing it"),
        ("“pours like a dream”, says a reviewer about water.", (3,), "quotes “pours like"),
        ("Perfect for any stylish modern household.", (2,), "says too little"),
        ("See www.kettle.example for the kettle.", (2,), "address or markup"),
        ("An acclaimed kettle with a thin stream.", (2,), "acclaim"),
    ],
)
def test_what_the_evidence_does_not_say_is_a_problem(
    reason: str, cites: tuple[int, ...], match: str
) -> None:
    assert re.search(match, "; ".join(problems(reason, *cites)))


def test_words_numbers_and_names() -> None:
    assert numbers_in("1,234.50 or 1.234,50 or a dozen") == {1234.5, 12.0}
    assert prices_in("£3, 4 euros, priced at 5.50; 6 pieces, under $7") == {3.0, 4.0, 5.5}
    assert limits_in("under $7 and under 3 kg") == {7.0}
    assert list(names_in("Yes, Anna. “Then she” — Ulm")) == ["Anna"]
    assert list(brands_in("Try Salt & Pepper or tea", {"salt & pepper", "tea"}.__contains__)) == [
        "salt pepper"
    ]


# --- through the pipeline -------------------------------------------------------------------------


def cited(
    recommender: Recommender, user: str | UserHistory, entries: list[tuple[int, str, str]]
) -> str:
    """A reply that cites, for each label, the number of a kind of its evidence."""
    prompt = prompt_of(recommender, user, len(entries))
    numbers = {(e.item_id, e.kind): e.number for e in reversed(prompt.evidence)}
    items = [
        {"label": label, "cites": [numbers[prompt.labels[label - 1], kind]], "reason": reason}
        for label, kind, reason in entries
    ]
    return json.dumps({"items": items})


def test_reasons_are_verified_replaced_and_counted(hash_index: ItemIndex) -> None:
    folder = hash_index.folder.parent.parent
    options = {"prompt": "cited", "embedder": hash_index.embedder}
    recommender = Recommender.open(folder, ScriptedModel("{}"), **options)  # type: ignore[arg-type]
    user = "user-042"
    titles = [hash_index.item_by_id(i).title for i in prompt_of(recommender, user, 3).labels]
    text = cited(
        recommender,
        user,
        [
            (1, "item", f"The {short(titles[0])} is what comes next."),
            (2, "item", f"The {short(titles[1])} costs 9999 and won an award."),
            (3, "item", ""),
        ],
    )
    model = ScriptedModel(text)
    with_model = Recommender.open(folder, model, **options)  # type: ignore[arg-type]
    result = with_model.recommend(user, 3)
    assert [slot.reason_status for slot in result.items] == ["verified", "replaced", "evidence"]
    assert result.repairs.refuted_reason == 1
    assert result.items[0].evidence[0].kind == "item"
    assert all(slot.evidence for slot in result.items)
    assert "9999" not in result.model_dump_json()
    check_list(result, hash_index, hash_index.history(user), 3)
    entry = model.requests[0].schema["properties"]["items"]["items"]["properties"]  # type: ignore[index]
    assert list(entry) == ["label", "cites", "reason"]
    shown = {e.number for e in prompt_of(with_model, user, 3).evidence if e.number}
    assert max(shown) <= max(entry["cites"]["items"]["enum"])


def test_evidence_numbers_are_those_of_the_prompt(desks: list[Desk]) -> None:
    for desk in desks[:20]:
        text = desk.prompt.messages[-1][1]
        numbers = [e.number for e in desk.prompt.evidence if e.number is not None]
        assert len(numbers) == len(set(numbers))
        for evidence in desk.prompt.evidence:
            line = next(row for row in text.splitlines() if f"[{evidence.number}]" in row)
            said = (
                evidence.text if evidence.kind == "review" else desk.item_of(evidence.item_id).title
            )
            assert said[:20].replace("<", "‹") in line


def test_the_schema_asks_for_citations_only_where_a_variant_does() -> None:
    schema = answer_schema(n_labels=3, k=2, reason_chars=0, n_evidence=9)
    assert list(schema["properties"]["items"]["items"]["properties"]) == ["label"]
