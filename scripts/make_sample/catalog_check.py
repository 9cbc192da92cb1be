"""What a catalog must satisfy before anything is simulated.

Every rule is one small function over the whole catalog that yields the mistakes it finds, each as
one line naming file and item; check_catalog raises with all of them, so that one run shows all
that is to be mended.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import date

from .catalog import Catalog, CatalogError, Department, Item

DEPARTMENTS = 6
ITEMS = 50
COLD = 3
PROS, CONS = 5, 3
FIRST_RELEASE, COLD_AFTER, LAST_RELEASE = date(2016, 1, 1), date(2024, 6, 1), date(2024, 12, 31)
LAST_WARM_RELEASE = date(2024, 10, 31)  # a warm item needs the time to find buyers
LAST_SOLD_OUT_RELEASE = date(2024, 6, 30)  # sold-out items are not sold after September 2024
PRICES = (2.0, 180.0)
DESCRIPTION_WORDS = (27, 66)
SENTENCE_WORDS = (6, 26)
ITEM_ID = re.compile(r"[a-z]{3}-\d{3}")


def check_catalog(catalog: Catalog) -> None:
    """Raise CatalogError listing every mistake, one line each; return quietly if there is none."""
    rules = (_counts, _names, _references, _cycles, _facts, _texts, _repeats)
    found = [line for rule in rules for line in rule(catalog)]
    if found:
        raise CatalogError("\n".join([f"{len(found)} mistake(s) in the catalog:", *found]))


def _counts(catalog: Catalog) -> Iterator[str]:
    if len(catalog.departments) != DEPARTMENTS:
        yield f"catalog: {len(catalog.departments)} files, expected {DEPARTMENTS}"
    for department in catalog.departments:
        cold = sum(item.cold for item in department.items)
        if len(department.items) != ITEMS:
            yield f"{department.file}: {len(department.items)} items, expected {ITEMS}"
        if cold != COLD:
            yield f"{department.file}: {cold} cold items, expected {COLD}"
        if not 4 <= len(department.tastes) <= 6:
            yield f"{department.file}: {len(department.tastes)} tastes, expected 4 to 6"
        if not 4 <= len(department.sets) <= 6:
            yield f"{department.file}: {len(department.sets)} sets, expected 4 to 6"


def _names(catalog: Catalog) -> Iterator[str]:
    slugs = Counter(department.slug for department in catalog.departments)
    yield from (f"catalog: slug '{slug}' in {n} files" for slug, n in slugs.items() if n > 1)
    titles = Counter(item.title for item in catalog.items.values())
    for item in catalog.items.values():
        if not ITEM_ID.fullmatch(item.id):
            yield f"{item.where}: the id should look like abc-012"
        if titles[item.title] > 1:
            yield f"{item.where}: title '{item.title}' is not unique"


def _references(catalog: Catalog) -> Iterator[str]:
    for department in catalog.departments:
        for name in department.sets:
            members = len(department.members(name))
            if not 3 <= members <= 5:
                yield f"{department.file}: set '{name}' has {members} items, expected 3 to 5"
        for item in department.items:
            yield from _item_references(catalog, department, item)


def _item_references(catalog: Catalog, department: Department, item: Item) -> Iterator[str]:
    if not 1 <= len(item.tastes) <= 2:
        yield f"{item.where}: {len(item.tastes)} tastes, expected one or two"
    for taste in item.tastes:
        if taste not in department.tastes:
            yield f"{item.where}: unknown taste '{taste}'"
    if item.set is not None and item.set not in department.sets:
        yield f"{item.where}: unknown set '{item.set}'"
    if len(item.leads_to) > 2:
        yield f"{item.where}: leads to {len(item.leads_to)} items, expected at most two"
    for other in item.leads_to:
        if other not in catalog.items:
            yield f"{item.where}: leads to unknown item '{other}'"


def _cycles(catalog: Catalog) -> Iterator[str]:
    for item in catalog.items.values():
        reached: set[str] = set()
        ahead = list(item.leads_to)
        while ahead:
            name = ahead.pop()
            if name in catalog.items and name not in reached:
                reached.add(name)
                ahead.extend(catalog.items[name].leads_to)
        if item.id in reached:
            yield f"{item.where}: leads_to runs in a circle back to this item"


def _facts(catalog: Catalog) -> Iterator[str]:
    for item in catalog.items.values():
        last = LAST_RELEASE if item.cold else LAST_WARM_RELEASE
        first = COLD_AFTER if item.cold else FIRST_RELEASE
        if not first <= item.released <= last:
            yield f"{item.where}: released {item.released}, expected {first} to {last}"
        if not item.in_stock and item.released > LAST_SOLD_OUT_RELEASE:
            yield f"{item.where}: sold out, but released only on {item.released}"
        if not PRICES[0] <= item.price <= PRICES[1]:
            yield f"{item.where}: price {item.price}, expected {PRICES[0]} to {PRICES[1]}"
        name = next(d.name for d in catalog.departments if d.slug == item.slug)
        if len(item.categories) < 2 or item.categories[0] != name:
            yield f"{item.where}: categories must be '{name}', aisle and kind"


def _texts(catalog: Catalog) -> Iterator[str]:
    for item in catalog.items.values():
        expected = (0, 0) if item.cold else (PROS, CONS)
        if (len(item.pros), len(item.cons)) != expected:
            yield f"{item.where}: {len(item.pros)} pros, {len(item.cons)} cons, expected {expected}"
        words = len(item.description.split())
        if not DESCRIPTION_WORDS[0] <= words <= DESCRIPTION_WORDS[1]:
            yield f"{item.where}: description of {words} words, expected {DESCRIPTION_WORDS}"
        for text in (*item.pros, *item.cons):
            words = len(text.split())
            if not SENTENCE_WORDS[0] <= words <= SENTENCE_WORDS[1]:
                yield f"{item.where}: {words} words, expected {SENTENCE_WORDS}: {text}"
            if not text.endswith((".", "!", "?", ".”", ".'", '."', ".)")):
                yield f"{item.where}: no full stop: {text}"


def _repeats(catalog: Catalog) -> Iterator[str]:
    items = catalog.items.values()
    seen = Counter(text for item in items for text in (item.description, *item.pros, *item.cons))
    for item in items:
        for text in (item.description, *item.pros, *item.cons):
            if seen[text] > 1:
                yield f"{item.where}: text used {seen[text]} times: {text}"
