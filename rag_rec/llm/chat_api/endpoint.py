"""Address and key of a server that speaks the OpenAI API."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace

import httpx2

from rag_rec.core import ConfigError, __version__

KEY = "OPENAI_API_KEY"
_HOSTED = "https://api.openai.com/v1"
_URL = re.compile(r"@(?=[a-z][a-z0-9+.-]*://)", re.IGNORECASE)
_HOST = re.compile(
    r"(localhost|\[.*\]|[\w.-]+:\d+|\d+(\.\d+){3}|[\w-]+(\.[\w-]+)*\.[a-z]{2,})(/|$)"
)
_CALL = "/chat/completions"
_ACCOUNT = {"OpenAI-Organization": "OPENAI_ORG_ID", "OpenAI-Project": "OPENAI_PROJECT_ID"}
_SECRET = re.compile(r"(\bBearer(?:\s+|\\n)+|\bsk-)[^\s'\",;*]{4,}", re.IGNORECASE)


def split_spec(rest: str) -> tuple[str, str | None]:
    """Return model and base URL of ``MODEL`` or ``MODEL@BASE_URL``.

    A model's name may hold an ``@`` too, such as ``@cf/meta/llama`` and ``org/model@revision``.

    Raises:
        ConfigError: If there is no model, or the address lacks ``http://`` or ``https://``.
    """
    parts = _URL.split(rest, maxsplit=1)
    model, url = parts[0], parts[1] if len(parts) > 1 else None
    last = model.rpartition("@")[2] if "@" in model else ""
    if url is None and _HOST.match(last):
        raise ConfigError(f"llm 'openai:{model}': write the address as http://{last} or https://")
    if not model:
        raise ConfigError("llm 'openai:' names no model; write openai:MODEL@BASE_URL")
    return model, url


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The addresses of a server.

    Attributes:
        base: The base URL, without a slash at its end.
        hosted: The hosted API is meant.
    """

    base: httpx2.URL
    hosted: bool = False

    @classmethod
    def of(cls, base_url: str | None) -> Endpoint:
        """Return the endpoint of a base URL; the hosted API, or ``OPENAI_BASE_URL``, for None.

        Raises:
            ConfigError: If it is no address, or holds a user and a password.
        """
        base_url = base_url or os.environ.get("OPENAI_BASE_URL")
        if not base_url:
            return cls(httpx2.URL(_HOSTED), hosted=True)
        try:
            url = httpx2.URL(base_url.strip())
        except httpx2.InvalidURL as error:
            raise ConfigError(f"the model's address cannot be used ({error})") from error
        if url.userinfo:
            raise ConfigError(
                f"the address of {url.host} holds a user or password, which would be written to "
                f"files; leave it out and put the key into {KEY}"
            )
        if url.scheme not in {"http", "https"} or not url.host or (url.port or 80) > 65_535:
            raise ConfigError(f"the address '{url}' is not like http://HOST:PORT/v1")
        path = url.path.rstrip("/").removesuffix(_CALL)
        return cls(url.copy_with(path=path or "/", fragment=None))

    @property
    def has_path(self) -> bool:
        """True if the address says more than the host."""
        return self.base.path != "/"

    def below(self, path: str) -> httpx2.URL:
        """Return the address of a path below the base URL; a query is kept."""
        return self.base.copy_with(path=self.base.path.rstrip("/") + path)

    def with_v1(self) -> Endpoint:
        """Return the endpoint under ``/v1``, where most servers have it."""
        return replace(self, base=self.below("/v1"))


def headers(endpoint: Endpoint) -> dict[str, str]:
    """Return the headers of a request, with the key of the environment.

    Raises:
        ConfigError: If there is no key and the hosted API is meant, or it cannot be sent.
    """
    found = {
        "Authorization": f"Bearer {api_key(required=endpoint.hosted)}",
        "Content-Type": "application/json",
        # a short packed reply could unpack to any size
        "Accept-Encoding": "identity",
        "User-Agent": f"rag_rec/{__version__}",
    }
    for name, variable in _ACCOUNT.items():
        if value := os.environ.get(variable):
            found[name] = value
    return found


def api_key(*, required: bool) -> str:
    """Return the key of the environment, without white space around it.

    Args:
        required: A key is needed; otherwise a placeholder stands for a missing one.

    Raises:
        ConfigError: If it is missing, or holds what no header can carry. The key is not shown.
    """
    key = os.environ.get(KEY, "").strip()
    if not key and required:
        raise ConfigError(
            f"{KEY} is not set; export it, or name a server: openai:MODEL@http://HOST/v1"
        )
    for position, char in enumerate(key, 1):
        if not "!" <= char <= "~":
            raise ConfigError(
                f"{KEY} cannot be sent: character {position} of {len(key)} is not plain ASCII "
                "(a quote, space or line break that was pasted with it?); export the key again"
            )
    return key or "none"


def redacted(text: str) -> str:
    """Return a text without the key of the environment, and without what looks like one."""
    key = os.environ.get(KEY, "").strip()
    if len(key) > 3:
        text = text.replace(key, "***")
    return _SECRET.sub(r"\1***", text)
