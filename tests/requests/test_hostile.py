"""Requests in words of any kind and length."""

from __future__ import annotations

import json
import time

import pytest
from hostile import JSON, TEXTS, is_done_or_refused

from rag_rec import where
from rag_rec.requests import Names, by_keywords, read_request

NAMES = Names(["Tea", "Pots & Pans"], ["Acme", '12" Records'])
LONG = ("tea ", "not tea ", "1", "1,", "1.000 ", "between 1 and ", "under 20 and above 30 ",
        "since 2001 ", "likes things ", "at most ")  # fmt: skip


@pytest.mark.parametrize("kind", TEXTS)
def test_every_wish_is_read(kind: str) -> None:
    assert is_done_or_refused(lambda: by_keywords(TEXTS[kind], NAMES))


@pytest.mark.parametrize("kind", JSON)
def test_every_form_of_a_model_is_read_or_refused(kind: str) -> None:
    for field in ("max_price", "min_price", "categories", "brands", "query"):
        form = json.dumps({"query": "pan", field: "VALUE"}).replace('"VALUE"', JSON[kind])
        try:
            found = read_request(f"a pan under 20 {'9' * 400}", form, NAMES)
        except ValueError:
            continue
        assert found.constraints.max_price is None or found.constraints.max_price < 1e300


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("template", ["{}", "price<={}", 'released<="{}"', "max_per_brand={}"])
def test_every_constraint_is_read_or_refused_in_one_line(template: str, kind: str) -> None:
    assert is_done_or_refused(lambda: where(template.replace("{}", TEXTS[kind])))


@pytest.mark.parametrize("part", LONG)
def test_reading_time_grows_with_the_text_and_not_faster(part: str) -> None:
    def seconds(n: int) -> float:
        text = part * (n // len(part))
        best = []
        for _ in range(3):
            started = time.process_time()
            is_done_or_refused(lambda: by_keywords(text, NAMES))  # bounds may contradict
            best.append(time.process_time() - started)
        return min(best)

    assert seconds(80_000) < 6 * max(seconds(20_000), 0.005)  # quadratic would be 16


def test_a_number_is_not_found_inside_a_longer_one() -> None:
    found = by_keywords("a pan under 1,234.50 or so", NAMES)
    assert found.constraints.max_price == pytest.approx(1234.50, abs=0.01)
    assert by_keywords("tea below 20, not by Acme", NAMES).constraints.not_brands == {"Acme"}
