"""Keys of servers: each belongs to one host, which alone it is sent to.

``OPENAI_API_KEY`` belongs to OpenAI, and to the server that ``OPENAI_BASE_URL`` names. Every other
host has a variable of its own, such as ``RAG_REC_KEY_API_DEEPSEEK_COM``.
"""

from __future__ import annotations

import ipaddress
import os
import re

import httpx2

from rag_rec.core import ConfigError, __version__
from rag_rec.llm.chat_api.endpoint import HOSTED_KEY, Endpoint, key_variable

PLAIN = "RAG_REC_PLAIN_HTTP"
"""Variable that names the hosts, beside this machine, that may be asked without encryption."""

ACCOUNT = {"OpenAI-Organization": "OPENAI_ORG_ID", "OpenAI-Project": "OPENAI_PROJECT_ID"}
"""Headers that name the account at OpenAI, and the variables that they come from."""


def headers(endpoint: Endpoint) -> dict[str, str]:
    """Return the headers of a request, with the key and the account of its host.

    Raises:
        ConfigError: If there is no key and the hosted API is meant, it cannot be sent, or what is
            sent could be read on its way.
    """
    found = {
        "Authorization": f"Bearer {api_key(endpoint)}",
        "Content-Type": "application/json",
        # a short packed reply could unpack to any size
        "Accept-Encoding": "identity",
        "User-Agent": f"rag_rec/{__version__}",
    }
    return found | account(endpoint)


def account(endpoint: Endpoint) -> dict[str, str]:
    """Return the headers that name the account; none for a host that OpenAI's key is not for."""
    if key_variable(endpoint.base) != HOSTED_KEY:
        return {}
    return {name: value for name, var in ACCOUNT.items() if (value := os.environ.get(var))}


def api_key(endpoint: Endpoint) -> str:
    """Return the key of a server, without white space around it; ``none`` where none is needed.

    Raises:
        ConfigError: If it is missing, holds what no header can carry, or would be sent in the
            clear to another machine. The key is not shown.
    """
    _refuse_plain(endpoint.base)
    variable = key_variable(endpoint.base)
    key = os.environ.get(variable, "").strip()
    if not key and endpoint.hosted:
        raise ConfigError(
            f"{variable} is not set; export it, or name a server: openai:MODEL@http://HOST/v1"
        )
    for position, char in enumerate(key, 1):
        if not "!" <= char <= "~":
            raise ConfigError(
                f"{variable} cannot be sent: character {position} of {len(key)} is not plain ASCII "
                "(a quote, space or line break that was pasted with it?); export the key again"
            )
    return key or "none"


def key_hint(endpoint: Endpoint) -> str:
    """Return the way out where a server refuses the key."""
    variable = key_variable(endpoint.base)
    if variable == HOSTED_KEY or not os.environ.get(HOSTED_KEY):
        return f"check the API key in {variable}"
    return f"check the API key in {variable} ({HOSTED_KEY} is for OpenAI's host only)"


def _refuse_plain(url: httpx2.URL) -> None:
    allowed = re.split(r"[\s,]+", os.environ.get(PLAIN, ""))
    if url.scheme == "http" and not _is_here(url.host) and url.host not in allowed:
        raise ConfigError(
            f"http://{url.host} would carry prompts and keys in the clear; write https://, or "
            f"allow it for this host with {PLAIN}={url.host}"
        )


def _is_here(host: str) -> bool:
    """Return True for an address of this machine."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified
