"""Constraints written as the short text that `rag_rec.constraints.parser` reads."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from rag_rec.constraints.parser import COUNTS
from rag_rec.core import Constraints


def describe(constraints: Constraints) -> str:
    """The conditions as `where` reads them; excluded items and history are not among them.

    >>> from rag_rec.constraints.parser import where
    >>> describe(where("not brand=Acme and price<20 and released>=2020-02-01"))
    'price<20 and not brand=Acme and released>2020-01-31'
    """
    return " and ".join(_parts(constraints))


def _parts(constraints: Constraints) -> Iterator[str]:
    if constraints.min_price is not None:
        yield _bound("price", ">", constraints.min_price, -math.inf)
    if constraints.max_price is not None:
        yield _bound("price", "<", constraints.max_price, math.inf)
    yield from (f"category={_quoted(name)}" for name in sorted(constraints.all_categories))
    if len(constraints.categories) == 1 and constraints.all_categories:
        yield f"category in ({_quoted(*constraints.categories)})"
    else:
        yield from _among("category", constraints.categories)
    yield from (f"not category={_quoted(name)}" for name in sorted(constraints.not_categories))
    yield from _among("brand", constraints.brands)
    yield from (f"not brand={_quoted(name)}" for name in sorted(constraints.not_brands))
    if constraints.released_after is not None:
        yield f"released>{constraints.released_after}"
    if constraints.released_before is not None:
        yield f"released<{constraints.released_before}"
    if constraints.allow_out_of_stock:
        yield "in_stock=any"
    for name in COUNTS:
        value = getattr(constraints, name)
        if value != Constraints.model_fields[name].default:
            yield f"{name}={value}"


def _bound(name: str, sign: str, value: float, towards: float) -> str:
    """A price bound; one that is a float's width inside a short number was written without =."""
    short = round(math.nextafter(value, towards), 4)
    strict = short != value and math.nextafter(short, -towards) == value
    return f"{name}{sign}{_number(short)}" if strict else f"{name}{sign}={_number(value)}"


def _number(value: float) -> str:
    short = f"{value:.6g}"
    return short if float(short) == value else repr(value)


def _among(name: str, values: frozenset[str]) -> Iterator[str]:
    if len(values) == 1:
        yield f"{name}={_quoted(next(iter(values)))}"
    elif values:
        yield f"{name} in ({', '.join(map(_quoted, sorted(values)))})"


def _quoted(value: str) -> str:
    if re.fullmatch(r"[^\W\d_][\w-]*", value) and value.lower() not in {"and", "not", "in"}:
        return value
    return f"'{value}'" if '"' in value else f'"{value}"'
