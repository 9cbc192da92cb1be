"""Constraints as short text: ``price<=20 and category=tea and not brand=Acme``.

A small language with a grammar of its own, read by lark; nothing is evaluated. `describe` writes
what `where` reads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, cast, get_args

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedInput
from pydantic import ValidationError

from rag_rec.core import ConfigError, Constraints, Relaxable, one_line

_GRAMMAR = r"""
start: clause (AND clause)*
clause: NOT? test
test: WORD OP value               -> compare
    | WORD IN "(" value ("," value)* ")" -> among
    | WORD                        -> flag
value: QUOTED | WORD+
AND.3: /and(?![^\s"(),<>=!])/i
NOT.3: /not(?![^\s"(),<>=!])/i
IN.3: /in(?=\s*\()/i
OP: "<=" | ">=" | "!=" | "=" | "<" | ">"
QUOTED: /"[^"]*"|'[^']*'/
WORD: /[^\s"'(),<>=!][^\s"(),<>=!]*/
%ignore /\s+/
"""
_PARSER = Lark(_GRAMMAR, parser="lalr", lexer="basic", maybe_placeholders=False)
_EXAMPLE = "price<=20 and category=tea and not brand=Acme"
_EXPECTED: Mapping[str, str] = {
    "WORD": "a name",
    "QUOTED": "a value",
    "OP": "one of < <= = >= > !=",
    "AND": "'and'",
    "NOT": "'not'",
    "IN": "'in (...)'",
    "LPAR": "'('",
    "RPAR": "')'",
    "COMMA": "','",
    "$END": "the end",
}
COUNTS = ("max_per_brand", "max_per_category", "min_categories", "category_level")
_NAMES = ("price", "category", "brand", "released", "in_stock", *COUNTS)
RELAXABLE: tuple[Relaxable, ...] = get_args(Relaxable)


def where(text: str, *, relax: Iterable[str] = (), base: Constraints | None = None) -> Constraints:
    """Reads constraints.

    Conditions are joined by ``and``; ``not`` turns one round. What may be asked::

        price<=20        price>=5            also < > =
        category=tea     category in (tea, coffee)        not category=gift
        brand="Halm & Krume"                 brand != Acme
        released>2020-01-01                  also >= < <=
        in_stock=any     to list what is out of stock, too
        max_per_brand=1  max_per_category=2  min_categories=3  category_level=0

    Args:
        text: The conditions.
        relax: Names of constraints that may be given up, in order; see `Constraints.relax`.
        base: Constraints to start from, such as excluded items.

    Raises:
        ConfigError: If the text cannot be read; names the column and what may stand there.

    >>> where("price < 20 and category in (tea, coffee)").categories == {"tea", "coffee"}
    True
    """
    try:
        tree = _PARSER.parse(text)
    except UnexpectedInput as error:
        raise ConfigError(_syntax_error(text, error)) from error
    fields: dict[str, Any] = {}
    for condition in _conditions(tree):
        _READERS[condition.name](condition, fields, text)
    if len(fields.get("all_categories", ())) == 1 and "categories" not in fields:
        fields["categories"] = fields.pop("all_categories")
    fields |= _relaxed(relax)
    given = (base or Constraints()).model_dump(exclude_defaults=True)
    try:
        return Constraints(**given | fields)
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ConfigError(f'where "{text}": {message}') from error


@dataclass(frozen=True, slots=True)
class _Condition:
    """One condition: ``not`` or not, the field, the sign, the values with their columns."""

    negated: bool
    name: str
    column: int
    sign: str
    values: tuple[tuple[str, int], ...]

    def error(self, text: str, problem: str, column: int | None = None) -> ConfigError:
        where_ = column or self.column
        return ConfigError(f'where "{one_line(text)}", column {where_}: {problem}')


def _conditions(tree: Tree[Token]) -> Iterator[_Condition]:
    for clause in tree.iter_subtrees_topdown():
        if clause.data != "clause":
            continue
        test = cast("Tree[Token]", clause.children[-1])
        name = cast("Token", test.children[0])
        values = [_value(child) for child in test.children[1:] if isinstance(child, Tree)]
        sign = {"among": "in", "flag": "is"}.get(test.data) or str(test.children[1])
        folded = name.lower()
        if folded not in _NAMES:
            raise ConfigError(
                f"where, column {name.column}: no field '{name}'; use {', '.join(_NAMES)}"
            )
        negated = len(clause.children) == 2
        yield _Condition(negated, folded, name.column or 1, sign, tuple(values))


def _value(tree: Tree[Token]) -> tuple[str, int]:
    tokens = cast("list[Token]", tree.children)
    first = tokens[0]
    text = first[1:-1] if first.type == "QUOTED" else " ".join(tokens)
    return text, first.column or 1


def _syntax_error(text: str, error: UnexpectedInput) -> str:
    if not text.strip():
        return f'where: the text is empty; write for example "{_EXAMPLE}"'
    accepted = getattr(error, "accepts", None) or getattr(error, "expected", None)
    names = accepted or getattr(error, "allowed", None) or set[str]()
    expected = ", ".join(sorted({_EXPECTED.get(name, name) for name in names}))
    token = getattr(error, "token", None)
    at_end = token is not None and token.type == "$END"
    column = len(text.rstrip()) + 1 if at_end else error.column
    found = "the text ends" if at_end else f"'{text[error.column - 1 :].split()[0]}' cannot stand"
    words = {word.lower() for word in text.split()}
    hint = "; several values of a field are written category in (tea, coffee)"
    return f'where "{one_line(text)}", column {column}: {found} here; expected {expected}' + (
        hint if "or" in words else ""
    )


def _price(condition: _Condition, fields: dict[str, Any], text: str) -> None:
    (value, column), sign = _single(condition, text), condition.sign
    try:
        number = float(value.lstrip("$€£¥ "))
    except ValueError as error:
        problem = f"'{value}' is not a price; write a number such as 20 or 12.50"
        raise condition.error(text, problem, column) from error
    if not math.isfinite(number) or number < 0:
        raise condition.error(text, f"a price is 0 or more, not {value}", column)
    if condition.negated:
        turned = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}.get(sign)
        if turned is None:
            raise condition.error(text, "'not' goes with < <= > >= of a price")
        sign = turned
    if sign not in {"<", "<=", "=", ">=", ">"}:
        raise condition.error(text, f"a price is compared with < <= = >= >, not {sign}")
    if sign[0] in "<=":
        high = math.nextafter(number, -math.inf) if sign == "<" else number
        if high < 0:
            raise condition.error(text, "no price is below 0", column)
        fields["max_price"] = min(high, fields.get("max_price", math.inf))
    if sign[0] in ">=":
        low = math.nextafter(number, math.inf) if sign == ">" else number
        fields["min_price"] = max(low, fields.get("min_price", 0.0))


def _names(condition: _Condition, fields: dict[str, Any], text: str) -> None:
    names = frozenset(value for value, _ in condition.values)
    plural = {"category": "categories", "brand": "brands"}[condition.name]
    if condition.sign not in {"=", "!=", "in"}:
        problem = f"a {condition.name} is compared with =, != or in (...)"
        raise condition.error(text, problem)
    if any(not name for name in names):
        raise condition.error(text, f"a {condition.name} has no empty name")
    if condition.negated != (condition.sign == "!="):
        key = f"not_{plural}"
    elif condition.name == "category" and condition.sign != "in":
        key = "all_categories"
    else:
        key = plural
        if key in fields:
            problem = f"a second list of {plural}; write one: {condition.name} in (a, b)"
            raise condition.error(text, problem)
    fields[key] = fields.get(key, frozenset()) | names


def _released(condition: _Condition, fields: dict[str, Any], text: str) -> None:
    value, column = _single(condition, text)
    try:
        day = date.fromisoformat(value)
    except ValueError as error:
        problem = f"'{value}' is not a date; write it as 2020-01-31"
        raise condition.error(text, problem, column) from error
    sign = condition.sign
    if condition.negated:
        sign = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}.get(sign, "not")
    one = timedelta(days=1)
    if sign not in {"<", "<=", ">", ">="}:
        raise condition.error(text, "a date is compared with < <= >= >")
    if sign[0] == ">":
        after = day - one if sign == ">=" else day
        fields["released_after"] = max(after, fields.get("released_after", date.min))
    else:
        before = day + one if sign == "<=" else day
        fields["released_before"] = min(before, fields.get("released_before", date.max))


def _stock(condition: _Condition, fields: dict[str, Any], text: str) -> None:
    value = condition.values[0][0].lower() if condition.values else "true"
    if condition.negated or condition.sign not in {"=", "is"} or value not in {"true", "any"}:
        raise condition.error(text, "write in_stock=true (the default) or in_stock=any")
    fields["allow_out_of_stock"] = value == "any"


def _count(condition: _Condition, fields: dict[str, Any], text: str) -> None:
    value, column = _single(condition, text)
    lowest = None if condition.name == "category_level" else 1
    try:
        number = int(value)
    except ValueError as error:
        raise condition.error(text, f"'{value}' is not a whole number", column) from error
    if condition.negated or condition.sign != "=":
        raise condition.error(text, f"write {condition.name}={value}")
    if lowest is not None and number < lowest:
        raise condition.error(text, f"{condition.name} is {lowest} or more", column)
    fields[condition.name] = number


def _single(condition: _Condition, text: str) -> tuple[str, int]:
    if len(condition.values) != 1 or condition.sign == "in":
        raise condition.error(text, f"{condition.name} takes a sign and one value")
    return condition.values[0]


def _relaxed(names: Iterable[str]) -> dict[str, Any]:
    relax = tuple(names)
    unknown = [name for name in relax if name not in RELAXABLE]
    if unknown:
        raise ConfigError(f"relax: no constraint '{unknown[0]}'; use {', '.join(RELAXABLE)}")
    return {"relax": relax} if relax else {}


_READERS: Mapping[str, Callable[[_Condition, dict[str, Any], str], None]] = {
    "price": _price,
    "category": _names,
    "brand": _names,
    "released": _released,
    "in_stock": _stock,
    **dict.fromkeys(COUNTS, _count),
}
