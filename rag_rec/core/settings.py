"""Settings: one TOML file, every table and key known, everything frozen.

::

    llm = "openai:gpt-5-mini"
    prompt = "reviews"
    [request]
    concurrency = 64
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field, ValidationError, field_validator

from rag_rec.core.errors import ConfigError
from rag_rec.core.inputs import Model
from rag_rec.core.outgoing.credentials import refuse_credentials
from rag_rec.core.toml import first_problem, read_toml

NOT_IDENTITY = {"request", "k", "prices", "batch"}
"""Settings that cannot change a list, or (k) show in it."""

MAX_K = 1_000
"""Longest list that can be asked for."""

MAX_SEED = 2**31 - 1
"""Largest seed; every backend takes it."""

FILES = {"prompt", "blend"}
"""Settings that name a file, whose content counts and not where it lies."""


class RequestSettings(Model):
    """Transport to a model behind a network; none of it can change a list's content.

    Attributes:
        concurrency: Requests in flight at most.
        timeout_s: Seconds until a request is given up.
        attempts: Requests sent at most for one completion.
        backoff_s: Wait before the second attempt; doubled for each that follows.
        max_wait_s: A longer wait before the next attempt, asked for by the provider too, ends
            the attempts.
        reasoning_tokens: Tokens that a model which reasons may spend on it, beside its reply.
    """

    concurrency: int = Field(default=16, ge=1)
    timeout_s: float = Field(default=60.0, gt=0)
    attempts: int = Field(default=3, ge=1)
    backoff_s: float = Field(default=0.5, ge=0)
    max_wait_s: float = Field(default=30.0, ge=0)
    reasoning_tokens: int = Field(default=8_192, ge=0)


class Prices(Model):
    """Prices of a model; the code has none, because they change.

    Attributes:
        input: Price of a million tokens read.
        output: Price of a million tokens written.
        currency: Their currency.
    """

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    currency: str = "USD"

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Return the price of so many tokens."""
        return (self.input * prompt_tokens + self.output * completion_tokens) / 1e6


class BatchSettings(Model):
    """Limits of ``rag-rec batch``; none of them can change a list's content.

    Attributes:
        max_cost: The run stops before it costs more; needs ``[prices]``.
        max_requests: The run stops before it sends more, retries included.
        requests_per_minute: Rate, over all threads; 0 for no limit.
        tokens_per_minute: Tokens read and written, over all threads; 0 for no limit.
        user_deadline_s: Seconds all requests of one user may take together; 0 for no limit.
        give_up_after: The run stops when so many users in a row failed; 0 for never.
        cache: File of the reply cache; empty for none.
    """

    max_cost: float | None = Field(default=None, ge=0)
    max_requests: int | None = Field(default=None, ge=0)
    requests_per_minute: float = Field(default=0, ge=0)
    tokens_per_minute: float = Field(default=0, ge=0)
    user_deadline_s: float = Field(default=0, ge=0)
    give_up_after: int = Field(default=100, ge=0)
    cache: str = ""


class Settings(Model):
    """Everything about a run that is not data.

    Attributes:
        llm: The model's spec; see ``rag-rec recommend --help``.
        prompt: A shipped variant's name, or a path to a ``.toml`` file.
        k: List length.
        blend: A blend file: how much the model's order counts, and whom it pays to ask.
        temperature: Sampling temperature.
        seed: Sampling seed.
        reask: Ask once more, with the error, when a reply does not fill the list.
        history_decay: An event counts for 1/e less for every so many events after it; what the
            index was fitted with if None.
        context_tokens: The model's context; 0 for what the backend says.
        tokenizer: A ``tokenizer.json`` for exact counts of models behind a network.
        parameters: Further request parameters of models behind a network.
        request: Transport to a model behind a network.
        prices: Prices of the model, for totals and limits.
        batch: Limits of ``rag-rec batch``.
    """

    model_config = ConfigDict(hide_input_in_errors=True)

    llm: str = "none"
    prompt: str = "reviews"
    k: int = Field(default=10, ge=1, le=MAX_K)
    blend: str = ""
    temperature: float = Field(default=0.0, ge=0)
    seed: int = Field(default=0, ge=0, le=MAX_SEED)
    reask: bool = True
    history_decay: float | None = Field(default=None, gt=0)
    context_tokens: int = Field(default=0, ge=0)
    tokenizer: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict)
    request: RequestSettings = RequestSettings()
    prices: Prices | None = None
    batch: BatchSettings = BatchSettings()

    @field_validator("parameters")
    @classmethod
    def _hold_no_credential(cls, parameters: dict[str, Any]) -> dict[str, Any]:
        refuse_credentials(parameters)
        return parameters

    @classmethod
    def load(cls, path: str | Path | None, **overrides: Any) -> Settings:
        """Return the settings of a TOML file, or the defaults, with overrides that are not None.

        Raises:
            ConfigError: If the file cannot be read or holds something unknown.
        """
        table = read_toml(path, "settings file") if path else {}
        try:
            return cls.model_validate(table | {k: v for k, v in overrides.items() if v is not None})
        except ValidationError as error:
            raise ConfigError(first_problem(error, str(path or ""))) from error

    def digest(self) -> str:
        """Return the SHA-256 of what can change a list, but for the content of `FILES`."""
        content = self.model_dump_json(exclude=NOT_IDENTITY | FILES)
        return hashlib.sha256(content.encode()).hexdigest()
