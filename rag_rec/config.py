"""Settings: one TOML file, every table and key known, everything frozen.

::

    llm = "openai:gpt-5-mini"
    prompt = "reviews"
    [request]
    concurrency = 64
"""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rag_rec.errors import ConfigError


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RequestSettings(_Table):
    """How a model behind a network is talked to; none of it can change a list's content.

    Attributes:
        concurrency: Requests in flight at most.
        timeout_s: Seconds until a request is given up.
        attempts: Requests sent at most for one completion.
    """

    concurrency: int = Field(default=16, ge=1)
    timeout_s: float = Field(default=60.0, gt=0)
    attempts: int = Field(default=3, ge=1)


class Settings(_Table):
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
        request: How a model behind a network is talked to.
    """

    llm: str = "none"
    prompt: str = "reviews"
    k: int = Field(default=10, ge=1)
    blend: str = ""
    temperature: float = Field(default=0.0, ge=0)
    seed: int = 0
    reask: bool = True
    history_decay: float | None = Field(default=None, gt=0)
    context_tokens: int = Field(default=0, ge=0)
    tokenizer: str = ""
    parameters: dict[str, Any] = {}
    request: RequestSettings = RequestSettings()

    @classmethod
    def load(cls, path: str | Path | None, **overrides: Any) -> Settings:
        """Settings of a TOML file, with overrides that are not None; defaults without a file.

        Raises:
            ConfigError: If the file cannot be read or holds something unknown.
        """
        try:
            text = Path(path).read_text(encoding="utf-8") if path else ""
            table = tomllib.loads(text)
            return cls.model_validate(table | {k: v for k, v in overrides.items() if v is not None})
        except FileNotFoundError as error:
            raise ConfigError(f"there is no settings file {path}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} is not TOML: {error}") from error
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            where = f"{path}: " if path else ""
            raise ConfigError(f"{where}{field}: {first['msg'].lower()}") from error

    def digest(self) -> str:
        """SHA-256 of what can change a list; transport, and k (it is in the list), are left out."""
        content = self.model_dump_json(exclude={"request", "k"})
        return hashlib.sha256(content.encode()).hexdigest()
