"""Settings: what a file may say, what is refused, and what belongs to a run's identity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_rec import ConfigError, Settings
from rag_rec.core import FILES, NOT_IDENTITY, Model, first_problem, read_toml

FILE = """
llm = "openai:gpt-5-mini"
prompt = "cited"
k = 7
parameters = { top_p = 0.9 }

[request]
concurrency = 64
timeout_s = 30

[prices]
input = 0.25
output = 2.0

[batch]
max_cost = 5
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "rag.toml").write_text(FILE)
    return tmp_path / "rag.toml"


def test_a_file_sets_what_it_names_and_nothing_else(path: Path) -> None:
    settings = Settings.load(path)
    assert (settings.llm, settings.prompt, settings.k) == ("openai:gpt-5-mini", "cited", 7)
    assert settings.parameters == {"top_p": 0.9}
    assert (settings.request.concurrency, settings.request.timeout_s) == (64, 30.0)
    assert settings.request.attempts == Settings().request.attempts
    assert settings.prices is not None
    assert settings.prices.cost(2_000_000, 500_000) == pytest.approx(1.5)
    assert settings.batch.max_cost == 5


def test_overrides_win_unless_they_are_none(path: Path) -> None:
    settings = Settings.load(path, k=3, prompt=None, seed=0)
    assert (settings.k, settings.prompt, settings.seed) == (3, "cited", 0)
    assert Settings.load(None) == Settings()
    assert Settings.load(None, k=2) == Settings(k=2)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("speed = 1", "rag.toml: speed: extra inputs are not permitted"),
        ("k = 0", "rag.toml: k: input should be greater than or equal to 1"),
        ('k = "many"', "rag.toml: k: input should be a valid integer"),
        ("temperature = -1", "rag.toml: temperature: "),
        ("history_decay = 0", "rag.toml: history_decay: "),
        ("[request]\nattempts = 0", r"rag.toml: request\.attempts: "),
        ("[request]\nretries = 1", r"rag.toml: request\.retries: extra inputs"),
        ("[prices]\ninput = 1", r"rag.toml: prices\.output: field required"),
        ("[prices]\ninput = -1\noutput = 1", r"rag.toml: prices\.input: "),
        ("[batch]\nmax_cost = -1", r"rag.toml: batch\.max_cost: "),
        ("batch = 3", "rag.toml: batch: "),
        ("k =", "rag.toml is not TOML: "),
        ("k = 1\nk = 2", "rag.toml is not TOML: "),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line_with_file_and_field(
    path: Path, text: str, match: str
) -> None:
    path.write_text(text)
    with pytest.raises(ConfigError, match=match) as caught:
        Settings.load(path)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no settings file .*none\.toml"):
        Settings.load(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match=r"the settings file .* cannot be read \(Is a dir"):
        Settings.load(tmp_path)
    (tmp_path / "utf16.toml").write_bytes("k = 3".encode("utf-16"))
    with pytest.raises(ConfigError, match=r"utf16\.toml is not TOML"):
        read_toml(tmp_path / "utf16.toml", "experiment")


def test_a_wrong_override_names_the_field_without_a_file() -> None:
    with pytest.raises(ConfigError, match=r"^k: input should be greater than or equal to 1$"):
        Settings.load(None, k=0)


CHANGES: dict[str, Any] = {
    "llm": "none:x",
    "prompt": "other",
    "k": 3,
    "blend": "b.toml",
    "temperature": 0.5,
    "seed": 1,
    "reask": False,
    "history_decay": 2.0,
    "context_tokens": 9,
    "tokenizer": "t.json",
    "parameters": {"top_p": 0.5},
    "request": {"concurrency": 2, "timeout_s": 1, "attempts": 9},
    "prices": {"input": 1, "output": 2},
    "batch": {"max_requests": 3, "cache": "c.sqlite"},
}


def test_every_setting_is_in_the_digest_or_said_not_to_be() -> None:
    assert CHANGES.keys() == Settings.model_fields.keys()
    base = Settings().digest()
    for name, value in CHANGES.items():
        same = Settings.model_validate({name: value}).digest() == base
        assert same == (name in NOT_IDENTITY | FILES), name


def test_the_digest_does_not_depend_on_the_way_the_settings_came(path: Path) -> None:
    path.write_text("seed = 4\ntemperature = 0.5")
    assert Settings.load(path).digest() == Settings(temperature=0.5, seed=4).digest()


def test_settings_cannot_be_changed() -> None:
    settings = Settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.k = 3  # type: ignore[misc]
    with pytest.raises(ValueError, match="frozen"):
        settings.request.concurrency = 3  # type: ignore[misc]


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_cost_is_the_sum_of_both_prices(read: int, written: int) -> None:
    prices = Settings.model_validate({"prices": {"input": 0.5, "output": 4}}).prices
    assert prices is not None
    assert prices.cost(read, written) == pytest.approx((0.5 * read + 4 * written) / 1e6)


def test_the_first_problem_is_told_with_its_place() -> None:
    class Inner(Model):
        size: int

    class Outer(Model):
        parts: tuple[Inner, ...]

    with pytest.raises(ValueError, match="size") as caught:
        Outer.model_validate({"parts": [{"size": 1}, {"size": "x"}]})
    shown = first_problem(caught.value, "file.toml")  # type: ignore[arg-type]
    assert shown.startswith("file.toml: parts.1.size: input should be a valid integer")
    assert first_problem(caught.value).startswith("parts.1.size: ")  # type: ignore[arg-type]
