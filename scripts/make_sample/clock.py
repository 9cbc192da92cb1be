"""Days and hours at which people shop and write reviews.

The log runs over 2023 and 2024. A wanted moment is moved to one of the days around it, with
weekends, Mondays and the weeks before Christmas preferred, and to an hour drawn from a day's
usual rhythm: few orders at night, a small peak at noon and a large one in the evening. All times
are UTC seconds.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from random import Random

DAY = 86_400
WEEK = 7 * DAY
WEEKDAYS = (1.15, 0.9, 0.9, 0.9, 0.85, 1.1, 1.3)
MONTHS = (0.95, 0.9, 1.0, 1.0, 1.0, 0.9, 0.85, 0.85, 1.0, 1.05, 1.35, 1.4)
HOURS = (2, 1, 0.4, 0.2, 0.2, 0.6, 2, 4, 6, 7, 7, 7, 9, 8, 6, 6, 6, 7, 9, 12, 14, 13, 9, 5)


def midnight(day: date) -> int:
    """The first second of a day."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def day_of(moment: int) -> date:
    """The calendar day of a moment."""
    return datetime.fromtimestamp(moment, UTC).date()


START = midnight(date(2023, 1, 1))
END = midnight(date(2025, 1, 1)) - 1


def settle(rng: Random, wanted: int, after: int) -> int:
    """A realistic moment near `wanted` and later than `after`.

    Where the draw falls before `after`, it becomes a second order in the same sitting, some minutes
    later. The result may lie past END: the caller decides what that means.
    """
    days = [wanted // DAY * DAY + shift * DAY for shift in range(-1, 4)]
    day = rng.choices(days, [_appeal(day) for day in days])[0]
    hour = rng.choices(range(24), HOURS)[0]
    moment = day + hour * 3600 + rng.randrange(3600)
    return moment if moment > after else after + rng.randint(70, 1500)


def _appeal(day: int) -> float:
    calendar = day_of(day)
    return WEEKDAYS[calendar.weekday()] * MONTHS[calendar.month - 1]
