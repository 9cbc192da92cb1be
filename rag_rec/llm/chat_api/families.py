"""Families of models that take or refuse certain parameters, as their providers document it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

LIMITS = ("max_tokens", "max_completion_tokens")
"""The two names of the bound on tokens written: the common one, and the hosted API's."""


@dataclass(frozen=True, slots=True)
class Family:
    """The parameters of a family, where they differ from the common ones.

    Attributes:
        name: Its name for people.
        models: Matches the model's name in lower case.
        host: Matches the server's host.
        names: The family's name of a standard parameter; None where it takes none.
        response_format: The strictest form of reply that it can be held to.
        reasons: It thinks before it answers, and its thoughts count as tokens written.
    """

    name: str
    models: str = ""
    host: str = ""
    names: Mapping[str, str | None] = field(default_factory=dict)
    response_format: str = "json_schema"
    reasons: bool = False


FAMILIES = (
    Family(
        "GPT-5 and o-series",
        models=r"(^|[/:._-])(o[1-9]|gpt-5)(?![0-9a-z])(?!.*chat)",
        names={"max_tokens": LIMITS[1], "temperature": None},
        reasons=True,
    ),
    Family("hosted API", host=r"^api\.openai\.com$", names={"max_tokens": LIMITS[1]}),
    Family("Mistral", host=r"(^|\.)mistral\.ai$", names={"seed": "random_seed"}),
    Family(
        "DeepSeek",
        host=r"(^|\.)deepseek\.com$",
        names={"seed": None},
        response_format="json_object",
    ),
    Family(
        "open models that reason",
        models=r"deepseek-r|r1-distill|qwq|magistral|gpt-oss|qwen3(?!.*(instruct|coder))|thinking",
        reasons=True,
    ),
)
"""Every family that needs to be known before the first request; all others are learned."""


def families_of(model: str, host: str) -> list[Family]:
    """Return the families of a model behind a host.

    >>> [family.name for family in families_of("gpt-5-mini", "gateway")]
    ['GPT-5 and o-series']
    >>> families_of("llama3.2", "localhost")
    []
    """
    return [
        family
        for family in FAMILIES
        if (not family.models or re.search(family.models, model.lower()))
        and (not family.host or re.search(family.host, host))
    ]
