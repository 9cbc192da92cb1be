"""The shop's catalog: reading catalog/*.toml into dataclasses.

One TOML file is one department: its tastes (what splits its customers), its compatible sets
(items meant to be used together) and its items. An item has one or two tastes, may lead to other
items that are typically bought some weeks later, may belong to one set, and carries the sentences
that reviews of it are composed from. Items marked cold are new: nobody has bought or reviewed
them yet.

Reading checks types only; what the catalog must satisfy as a whole is checked in
catalog_check.py.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, TypeVar, cast

Table = Mapping[str, Any]
Kind = TypeVar("Kind")


class CatalogError(ValueError):
    """A mistake in a catalog file; the message names the file and, where there is one, the item."""


@dataclass(frozen=True, slots=True)
class Item:
    """One article of the shop; `file` is the name of the catalog file it comes from."""

    id: str
    title: str
    brand: str
    price: float
    categories: tuple[str, ...]
    description: str
    tastes: tuple[str, ...]
    leads_to: tuple[str, ...]
    set: str | None
    released: date
    in_stock: bool
    cold: bool
    pros: tuple[str, ...]
    cons: tuple[str, ...]
    slug: str
    file: str

    @property
    def where(self) -> str:
        """The place to name in a message about this item."""
        return f"{self.file}: {self.id}"


@dataclass(frozen=True, slots=True)
class Department:
    """One catalog file: tastes and sets map their names to a line about them."""

    name: str
    slug: str
    tastes: Mapping[str, str]
    sets: Mapping[str, str]
    items: tuple[Item, ...]
    file: str

    def members(self, set_name: str) -> list[str]:
        """The ids of the items of one compatible set, in catalog order."""
        return [item.id for item in self.items if item.set == set_name]


@dataclass(frozen=True, slots=True)
class Catalog:
    """All departments, in the order of their file names."""

    departments: tuple[Department, ...]
    items: Mapping[str, Item]

    def warm(self) -> list[Item]:
        """The items that customers may have bought."""
        return [item for item in self.items.values() if not item.cold]

    def edges(self) -> list[tuple[str, str]]:
        """The bought-after pairs that can occur in the log: both ends are warm."""
        warm = {item.id for item in self.warm()}
        return [(a.id, b) for a in self.warm() for b in a.leads_to if b in warm]

    def department(self, slug: str) -> Department:
        """The department with this slug."""
        return next(found for found in self.departments if found.slug == slug)


def load_catalog(folder: Path) -> Catalog:
    """Read every catalog file of a folder; two items with one id are an error already here."""
    departments = tuple(_read_department(path) for path in sorted(folder.glob("*.toml")))
    items: dict[str, Item] = {}
    for item in (item for department in departments for item in department.items):
        if item.id in items:
            raise CatalogError(f"{item.where}: this id is already used in {items[item.id].file}")
        items[item.id] = item
    return Catalog(departments, items)


def _read_department(path: Path) -> Department:
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise CatalogError(f"{path.name}: not valid TOML: {error}") from error
    slug = _take(raw, "slug", str, path.name)
    rows = cast("list[Table]", _take(raw, "item", list, path.name))
    return Department(
        name=_take(raw, "department", str, path.name),
        slug=slug,
        tastes=cast("dict[str, str]", _take(raw, "tastes", dict, path.name)),
        sets=cast("dict[str, str]", _take(raw, "sets", dict, path.name)),
        items=tuple(_read_item(row, slug, path.name) for row in rows),
        file=path.name,
    )


def _read_item(row: Table, slug: str, file: str) -> Item:
    where = f"{file}: {row.get('id', 'an item without id')}"
    price = row.get("price")
    if not isinstance(price, int | float) or isinstance(price, bool):
        raise CatalogError(f"{where}: 'price' is missing or not a number")
    return Item(
        id=_take(row, "id", str, where),
        title=_take(row, "title", str, where),
        brand=_take(row, "brand", str, where),
        price=float(price),
        categories=_strings(row, "categories", where),
        description=_take(row, "description", str, where).strip(),
        tastes=_strings(row, "tastes", where),
        leads_to=_strings(row, "leads_to", where) if "leads_to" in row else (),
        set=_take(row, "set", str, where) if "set" in row else None,
        released=_take(row, "released", date, where),
        in_stock=_take(row, "in_stock", bool, where),
        cold=_take(row, "cold", bool, where) if "cold" in row else False,
        pros=_strings(row, "pros", where),
        cons=_strings(row, "cons", where),
        slug=slug,
        file=file,
    )


def _take(row: Table, key: str, kind: type[Kind], where: str) -> Kind:
    value = row.get(key)
    if not isinstance(value, kind):
        raise CatalogError(f"{where}: '{key}' is missing or not of type {kind.__name__}")
    return value


def _strings(row: Table, key: str, where: str) -> tuple[str, ...]:
    values = cast("list[object]", _take(row, key, list, where))
    if not all(isinstance(value, str) for value in values):
        raise CatalogError(f"{where}: '{key}' must hold strings only")
    return tuple(str(value).strip() for value in values)
