"""The one sentence in which a reviewer says how they came to an item.

The sentences are in personal.toml, sixty for each of five situations. A situation is offered only
where the log bears it out: "after" needs an earlier purchase that leads to this item, "long"
three months of use, "first" that the customer had bought nothing of the item's tastes before.
"gift" and "replacing" are anybody's word, but nobody gives a bag of flour or replaces a novel.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from .catalog import Item

Pool = Mapping[str, Sequence[str]]
POOL = Path(__file__).with_name("personal.toml")
SHARES = {"after": 0.5, "long": 0.6, "first": 0.5, "gift": 0.15, "replacing": 0.35}
SILENCE = 0.15  # the share of saying nothing after all
LONG_DAYS = 85
LOWEST_GIFT, LOWEST_REPLACED = 12.0, 15.0
BOOK = re.compile(r"(.+), (?:\w+ )?by [A-Z]")
NAMED = re.compile(r"(.+): \D")  # a fanciful name with a plain subtitle
NOT_REPLACED = re.compile(r"\d (?:g|kg|ml)\b|\b(?:Kit|Set|Pair|Box|Mix|Refills?|Game|Puzzle)\b")
CLASHES = {  # what the rest of the review must not say beside a sentence of the situation
    "gift": r"\b(g[ai]ves?|given|gift|present|birthday|years|seasons|winters|replac\w+)\b",
    "long": r"\b(weeks?|months?|years?|seasons?|(first|second|third|fourth|eighth) \w+)\b",
    "first": r"\b(years|seasons|old ones?|previous|upgraded|replac\w+|usual|again|always|other)\b",
    "replacing": r"\b(old (one|pair)|replac\w+|previous|upgraded|gave|gift|second|first)\b",
}
MONTHS = {  # sentences that name a feast belong to orders placed shortly before it
    r"Christmas|Santa|Nicholas": (11, 12),
    r"New Year|January": (12, 1),
    "Valentine": (1, 2),
    "Easter": (3, 4),
    "Mother's Day": (4, 5),
}
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is known about a purchase on the day its review is written."""

    item: Item
    user_number: int
    after: Item | None
    month: int
    days_since: int
    first_of_taste: bool
    days_used: int

    @property
    def long_use(self) -> bool:
        """Whether the reviewer can speak from months of use."""
        return self.days_used >= LONG_DAYS


def load_pool() -> Pool:
    """Situation -> sentences."""
    return {name: list(lines) for name, lines in tomllib.loads(POOL.read_text("utf-8")).items()}


def choose(
    pool: Pool, about: Circumstances, body: str, used: Counter[str], rng: Random
) -> tuple[str, str] | None:
    """A situation that fits and one of its less used sentences; None when no situation fits."""
    fitting = [name for name in _situations(about) if not _clashes(name, body)]
    kind = rng.choices([*fitting, ""], [*(SHARES[name] for name in fitting), SILENCE])[0]
    if not kind:
        return None
    lines = [line for line in pool[kind] if _speaks(line, about) and _in_season(line, about)]
    return kind, rng.choices(lines, [(1 + used[line]) ** -3.0 for line in lines])[0]


def fill(line: str, about: Circumstances) -> str:
    """Put the item bought before and the times into a sentence."""
    name = _named(about.after) if about.after else ""
    gap, time = _span(about.days_since), _span(about.days_used)
    values = {"item": name, "gap": gap, "time": time}
    return line.format(**values, **{key.title(): _capital(text) for key, text in values.items()})


def short_title(item: Item) -> str:
    """The title without size, colour, author and subtitle."""
    book = BOOK.match(item.title)
    title = book.group(1) if book else re.split(r", | with | for ", item.title)[0]
    return re.split(r": | \(", title)[0]


def _situations(about: Circumstances) -> list[str]:
    item, book = about.item, BOOK.match(about.item.title) is not None
    plural = re.search(r"[^s]s$", short_title(item)) is not None
    lasting = not book and not plural and not NOT_REPLACED.search(item.title)
    holds = {
        "after": about.after is not None,
        "long": about.long_use,
        "first": about.first_of_taste and not about.long_use,
        "gift": item.price >= LOWEST_GIFT and not about.long_use,
        "replacing": lasting and item.price >= LOWEST_REPLACED and not about.long_use,
    }
    return [name for name in SHARES if holds[name]]


def _clashes(name: str, body: str) -> bool:
    return re.search(CLASHES.get(name, r"(?!)"), body, re.IGNORECASE) is not None


def _speaks(line: str, about: Circumstances) -> bool:
    """Customers of even number may have a husband, the others a wife."""
    other = "my wife" if about.user_number % 2 == 0 else "husband"
    return other not in line.lower()


def _in_season(line: str, about: Circumstances) -> bool:
    return all(about.month in when for feast, when in MONTHS.items() if re.search(feast, line))


def _named(item: Item) -> str:
    title = short_title(item)
    if BOOK.match(item.title) or NAMED.match(item.title):
        return f'"{title}"'
    return title if title.startswith("The ") else f"the {title}"


def _span(days: int) -> str:
    if days < 10:
        return "a week"
    if days < 50:
        return f"{NUMBERS[min(10, round(days / 7))]} weeks"
    return f"{NUMBERS[min(10, max(2, round(days / 30)))]} months"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
