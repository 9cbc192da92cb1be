"""Write constraints as the short text that `rag_rec.constraints.parser` reads."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator

from rag_rec.constraints.parser import COUNTS
from rag_rec.core import Constraints


def describe(constraints: Constraints) -> str:
    """Return the conditions as `where` reads them, without excluded items, history and relaxation.

    >>> from rag_rec.constraints.parser import where
    >>> describe(where("not brand=Acme and price<20 and released>=2020-02-01"))
    'price<20 and not brand=Acme and released>2020-01-31'
    """
    return " and ".join(_parts(constraints))


def _parts(asked: Constraints) -> Iterator[str]:
    if asked.min_price is not None:
        yield _bound(">", asked.min_price, -math.inf)
    if asked.max_price is not None:
        yield _bound("<", asked.max_price, math.inf)
    yield from (f"category={_quoted(name)}" for name in sorted(asked.all_categories))
    # beside one or more category=a, a single wanted name must stay a list of its own
    yield from _among("category", asked.categories, always_list=bool(asked.all_categories))
    yield from (f"not category={_quoted(name)}" for name in sorted(asked.not_categories))
    yield from _among("brand", asked.brands)
    yield from (f"not brand={_quoted(name)}" for name in sorted(asked.not_brands))
    if asked.released_after is not None:
        yield f"released>{asked.released_after}"
    if asked.released_before is not None:
        yield f"released<{asked.released_before}"
    if asked.allow_out_of_stock:
        yield "in_stock=any"
    for name in COUNTS:
        value = getattr(asked, name)
        if value != Constraints.model_fields[name].default:
            yield f"{name}={value}"
    if asked.new_items:
        yield f"new_items={_number(asked.new_items)}"


def _bound(sign: str, value: float, towards: float) -> str:
    """Write a price bound; a bound one float inside a short number was read from a strict one."""
    short = round(math.nextafter(value, towards), 4)
    is_strict = short != value and math.nextafter(short, -towards) == value
    return f"price{sign}{_number(short)}" if is_strict else f"price{sign}={_number(value)}"


def _number(value: float) -> str:
    short = f"{value:.6g}"
    return short if float(short) == value else repr(value)


def _among(field: str, names: Iterable[str], *, always_list: bool = False) -> Iterator[str]:
    quoted = [_quoted(name) for name in sorted(names)]
    if len(quoted) == 1 and not always_list:
        yield f"{field}={quoted[0]}"
    elif quoted:
        yield f"{field} in ({', '.join(quoted)})"


def _quoted(name: str) -> str:
    if re.fullmatch(r"[^\W\d_][\w-]*", name) and name.lower() not in {"and", "not", "in"}:
        return name
    mark = "'" if '"' in name and "'" not in name else '"'
    return mark + name.replace(mark, mark * 2) + mark
