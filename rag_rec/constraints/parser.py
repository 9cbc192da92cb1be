"""Read constraints from short text such as ``price<=20 and category=tea and not brand=Acme``.

The grammar is read by lark; nothing is evaluated. `describe` writes the text that `where` reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import TypeVar, cast, get_args

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedInput
from pydantic import ValidationError

from rag_rec.constraints.item_rules import both, price_bounds, release_bounds
from rag_rec.core import CURRENCY_SIGNS, ConfigError, Constraints, Relaxable, one_line

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
QUOTED: /"(?:[^"]|"")*"|'(?:[^']|'')*'/
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
_OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}
COUNTS = ("max_per_brand", "max_per_category", "min_categories", "category_level")
_FIELDS = ("price", "category", "brand", "released", "in_stock", *COUNTS, "new_items")
_T = TypeVar("_T")
RELAXABLE: tuple[Relaxable, ...] = get_args(Relaxable)


def where(text: str, *, relax: Iterable[str] = ()) -> Constraints:
    """Read constraints from text.

    Conditions are joined by ``and``; ``not`` negates one. The conditions are::

        price<=20        price>=5            also < > =
        category=tea     category in (tea, coffee)        not category=gift
        brand="Halm & Krume"                 brand != Acme
        released>2020-01-01                  also >= < <=
        in_stock=any     to list items that are out of stock, too
        max_per_brand=1  max_per_category=2  min_categories=3  category_level=0
        new_items=0.1    share of the list that goes to items without events

    A value with special characters is quoted; a quotation mark inside is written twice.

    Args:
        text: The conditions.
        relax: Names of constraints that may be given up, in order; see `Constraints.relax`.

    Raises:
        ConfigError: If the text cannot be read; gives the column and the accepted words.

    >>> where("price < 20 and category in (tea, coffee)").categories == {"tea", "coffee"}
    True
    """
    if not isinstance(cast("object", text), str):
        raise ConfigError(f"expected constraints as text, found {text!r:.60}")
    try:
        tree = _PARSER.parse(text)
    except UnexpectedInput as error:
        raise ConfigError(_syntax_error(text, error)) from error
    relaxed = tuple(relax)
    if unknown := [name for name in relaxed if name not in RELAXABLE]:
        raise ConfigError(f"relax: no constraint '{unknown[0]}'; use {', '.join(RELAXABLE)}")
    parts = list(_parts(tree, text))
    try:
        asked = both(*parts, Constraints(relax=cast("tuple[Relaxable, ...]", relaxed)))
    except (ConfigError, ValidationError) as error:
        raise ConfigError(f'where "{one_line(text)}": {error}') from error
    if len(asked.all_categories) == 1 and not asked.categories:
        update = {"categories": asked.all_categories, "all_categories": frozenset[str]()}
        asked = asked.model_copy(update=update)
    return asked


@dataclass(frozen=True, slots=True)
class _Condition:
    """One condition of a text; values come with their columns."""

    text: str
    name: str
    column: int
    negated: bool
    sign: str
    values: tuple[tuple[str, int], ...]

    def error(self, problem: str, column: int | None = None) -> ConfigError:
        at = column or self.column
        return ConfigError(f'where "{one_line(self.text)}", column {at}: {problem}')


def _parts(tree: Tree[Token], text: str) -> Iterator[Constraints]:
    listed: set[str] = set()
    for condition in _conditions(tree, text):
        part = _read(condition)
        if part.categories or part.brands:
            if condition.name in listed:
                problem = f"a second list of values; write one: {condition.name} in (a, b)"
                raise condition.error(problem)
            listed.add(condition.name)
        yield part


def _conditions(tree: Tree[Token], text: str) -> Iterator[_Condition]:
    for clause in tree.find_data("clause"):
        test = cast("Tree[Token]", clause.children[-1])
        name = cast("Token", test.children[0])
        yield _Condition(
            text=text,
            name=name.lower(),
            column=_column(name),
            negated=len(clause.children) == 2,
            sign={"among": "in", "flag": "is"}.get(test.data) or str(test.children[1]),
            values=tuple(_value(child) for child in test.children if isinstance(child, Tree)),
        )


def _value(tree: Tree[Token]) -> tuple[str, int]:
    tokens = cast("list[Token]", tree.children)
    first = tokens[0]
    if first.type != "QUOTED":
        return " ".join(tokens), _column(first)
    mark = first[0]
    return first[1:-1].replace(mark * 2, mark), _column(first)


def _column(token: Token) -> int:
    return (token.start_pos or 0) + 1


def _syntax_error(text: str, error: UnexpectedInput) -> str:
    if not text.strip():
        return f'where: the text is empty; write for example "{_EXAMPLE}"'
    accepted = getattr(error, "accepts", None) or getattr(error, "expected", None)
    names = accepted or getattr(error, "allowed", None) or set[str]()
    expected = ", ".join(sorted({_EXPECTED.get(name, name) for name in names}))
    token = getattr(error, "token", None)
    if token is not None and token.type == "$END":
        at, found = len(text.rstrip()), "the text ends"
    else:
        at = error.pos_in_stream or 0
        found = f"'{text[at:].split()[0]}' cannot stand"
    is_or = "or" in text.lower().split()
    hint = "; several values of a field are written category in (tea, coffee)" if is_or else ""
    return f'where "{one_line(text)}", column {at + 1}: {found} here; expected {expected}{hint}'


def _read(condition: _Condition) -> Constraints:
    match condition.name:
        case "category" | "brand":
            return _names(condition)
        case "price":
            example = "a price; write a number such as 20 or 12.50"
            return _compared(condition, _amount, price_bounds, example)
        case "released":
            example = "a date; write it as 2020-01-31"
            return _compared(condition, date.fromisoformat, release_bounds, example)
        case "in_stock":
            return _stock(condition)
        case "new_items":
            return _compared(condition, float, _share, "a share; write a number such as 0.1")
        case name if name in COUNTS:
            return _compared(condition, int, partial(_count, name), "a whole number")
        case name:
            raise condition.error(f"no field '{name}'; use {', '.join(_FIELDS)}")


def _compared(
    condition: _Condition,
    read: Callable[[str], _T],
    bounds: Callable[[str, _T], Constraints],
    example: str,
) -> Constraints:
    if len(condition.values) != 1 or condition.sign == "in":
        raise condition.error(f"{condition.name} takes a sign and one value")
    (value, column), sign = condition.values[0], condition.sign
    try:
        return bounds(_OPPOSITE.get(sign, "") if condition.negated else sign, read(value))
    except ValueError as error:
        raise condition.error(f"'{value}' is not {example}", column) from error
    except ConfigError as error:
        raise condition.error(str(error), column) from error


def _amount(text: str) -> float:
    return float(text.strip(f"{CURRENCY_SIGNS} "))


def _count(name: str, sign: str, number: int) -> Constraints:
    if sign != "=":
        raise ConfigError(f"write {name}={number}")
    if number < 1 and name != "category_level":
        raise ConfigError(f"{name} is 1 or more")
    return Constraints.model_validate({name: number})


def _share(sign: str, share: float) -> Constraints:
    if sign != "=":
        raise ConfigError(f"write new_items={share:g}")
    if not 0 <= share <= 1:
        raise ConfigError(f"new_items is from 0 to 1, not {share:g}")
    return Constraints(new_items=share)


def _names(condition: _Condition) -> Constraints:
    name, sign = condition.name, condition.sign
    if sign not in {"=", "!=", "in"}:
        raise condition.error(f"a {name} is compared with =, != or in (...)")
    names = frozenset(value for value, _ in condition.values)
    if "" in names:
        raise condition.error(f"a {name} has no empty name")
    field = {"category": "categories", "brand": "brands"}[name]
    if condition.negated != (sign == "!="):
        field = f"not_{field}"
    elif name == "category" and sign != "in":
        field = "all_categories"
    return Constraints.model_validate({field: names})


def _stock(condition: _Condition) -> Constraints:
    value = condition.values[0][0].lower() if condition.values else "true"
    if condition.negated or condition.sign not in {"=", "is"} or value not in {"true", "any"}:
        raise condition.error("write in_stock=true (the default) or in_stock=any")
    return Constraints(allow_out_of_stock=value == "any")
