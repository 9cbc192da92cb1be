"""Address of a server that speaks the OpenAI API, and the variable of its key."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace

import httpx2

from rag_rec.core import ConfigError, is_credential

CHAT = "/chat/completions"
HOSTED_KEY = "OPENAI_API_KEY"
BASE_URL = "OPENAI_BASE_URL"
_HOSTED = "https://api.openai.com/v1"
_HOSTED_HOST = ".api.openai.com"
_URL = re.compile(r"@(?=[a-z][a-z0-9+.-]*://)", re.IGNORECASE)
_HOST = re.compile(
    r"(localhost|\[.*\]|[\w.-]+:\d+|\d+(\.\d+){3}|[\w-]+(\.[\w-]+)*\.[a-z]{2,})(/|$)"
)


def split_spec(rest: str, prefix: str = "openai") -> tuple[str, str | None]:
    """Return model and base URL of ``MODEL`` or ``MODEL@BASE_URL``.

    A model's name may hold an ``@`` too, such as ``@cf/meta/llama`` and ``org/model@revision``.

    Raises:
        ConfigError: If there is no model, or the address lacks ``http://`` or ``https://``.
    """
    parts = _URL.split(rest, maxsplit=1)
    model, url = parts[0], parts[1] if len(parts) > 1 else None
    last = model.rpartition("@")[2] if "@" in model else ""
    if url is None and _HOST.match(last):
        raise ConfigError(f"llm '{prefix}:{model}': write the address as http://{last} or https://")
    if not model:
        raise ConfigError(f"llm '{prefix}:' names no model; write {prefix}:MODEL@BASE_URL")
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
    def of(cls, base_url: str | None, call: str = CHAT) -> Endpoint:
        """Return the endpoint of a base URL; the hosted API, or ``OPENAI_BASE_URL``, for None.

        Args:
            base_url: The base URL; the path of the call at its end does not count.
            call: That path.

        Raises:
            ConfigError: If it is no address, or holds a user and a password or another credential.
        """
        base_url = base_url or os.environ.get(BASE_URL)
        if not base_url:
            return cls(httpx2.URL(_HOSTED), hosted=True)
        try:
            url = httpx2.URL(base_url.strip())
        except httpx2.InvalidURL as error:
            raise ConfigError(f"the model's address cannot be used ({error})") from error
        if url.userinfo:
            raise ConfigError(
                f"the address of {url.host} holds a user or password, which would be written to "
                f"files; leave it out and put the key into {key_variable(url)}"
            )
        found = (name for name, value in url.params.multi_items() if is_credential(name, value))
        if (name := next(found, None)) is not None:
            raise ConfigError(
                f"'{name}' in the address of {url.host} would be written to files; leave it out "
                f"and put the key into {key_variable(url)}"
            )
        if url.scheme not in {"http", "https"} or not url.host or (url.port or 80) > 65_535:
            raise ConfigError(f"the address '{url}' is not like http://HOST:PORT/v1")
        path = url.path.rstrip("/").removesuffix(call)
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


def key_variable(url: httpx2.URL) -> str:
    """Return the variable of the environment that holds the key of a host.

    >>> key_variable(httpx2.URL("https://api.deep-seek.com/v1"))
    'RAG_REC_KEY_API_DEEP__SEEK_COM'
    """
    if _is_openai(url) or _is_named(url):
        return HOSTED_KEY
    host = url.raw_host.decode().replace("-", "__")
    return "RAG_REC_KEY_" + re.sub(r"\W", "_", host, flags=re.ASCII).upper()


def _is_openai(url: httpx2.URL) -> bool:
    return url.scheme == "https" and f".{url.host}".endswith(_HOSTED_HOST)


def _is_named(url: httpx2.URL) -> bool:
    try:
        named = httpx2.URL(os.environ.get(BASE_URL, "").strip())
    except httpx2.InvalidURL:
        return False
    return named.is_absolute_url and named.origin == url.origin
