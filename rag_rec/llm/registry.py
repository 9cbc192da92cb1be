"""Model backends by the prefix of a spec: ``openai:gpt-5-mini`` is opened by ``openai``.

Each adapter registers its `Backend` in its own file. Other packages do the same in theirs; one
that names this file as an entry point of the group ``rag_rec.llm``, under the backend's prefix,
is found by the command line too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any

from rag_rec.core import ConfigError, Settings, refuse_credentials
from rag_rec.llm.base import ChatModel
from rag_rec.llm.middleware.admission import Admission, AdmittedModel
from rag_rec.llm.middleware.retry import RetryPolicy

_ENTRY_POINTS = "rag_rec.llm"


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """Options of a model beside its spec; backends use those that concern them.

    Attributes:
        concurrency: Requests in flight at most, of models behind a network.
        timeout_s: Seconds until a request is given up, likewise.
        retry: Attempts and waits, likewise.
        context_tokens: Context length; 0 for the backend's own.
        parameters: Further request parameters; ``"omit"`` leaves a standard one out.
        tokenizer: A ``tokenizer.json`` for exact counts; empty for an estimate.
        admission: Asked before every request, retries included.
        reasoning_tokens: Tokens that a model which reasons may spend on it, beside its reply.

    Raises:
        ConfigError: If a parameter is a credential.
    """

    concurrency: int = 16
    timeout_s: float = 60.0
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    context_tokens: int = 0
    parameters: Mapping[str, Any] = field(default_factory=dict)
    tokenizer: str = ""
    admission: Admission | None = None
    reasoning_tokens: int = 8_192

    def __post_init__(self) -> None:
        """Check the parameters."""
        try:
            refuse_credentials(self.parameters)
        except ValueError as error:
            raise ConfigError(str(error)) from error


@dataclass(frozen=True, slots=True)
class Backend:
    """A kind of language model that a spec can name.

    Attributes:
        prefix: The spec up to its first colon.
        forms: Forms of the spec, each with a line of help. A form without a colon allows the bare
            prefix.
        opener: Opens a model, from the spec after the first colon and the options.
        admits: The models ask the admission themselves, before every attempt. Otherwise
            `open_model` sets it before them.
    """

    prefix: str
    forms: Mapping[str, str]
    opener: Callable[[str, ModelOptions], ChatModel]
    admits: bool = False


BACKENDS: dict[str, Backend] = {}
"""Registered backends by prefix."""


def register_backend(backend: Backend) -> None:
    """Add a backend to `BACKENDS`.

    Raises:
        ConfigError: If its prefix is not a plain name or is taken.
    """
    prefix = backend.prefix
    if not prefix.isidentifier() or prefix == "none":
        raise ConfigError(f"backend '{prefix}': the prefix must be a plain name other than 'none'")
    if prefix in BACKENDS:
        raise ConfigError(f"backend '{prefix}' is registered already; choose another prefix")
    BACKENDS[prefix] = backend


def spec_help() -> str:
    """Return the forms of a spec, one line each."""
    return "\n".join(f"{form:<30}{line}" for form, line in _forms().items())


def _forms() -> dict[str, str]:
    backends = (BACKENDS[prefix] for prefix in sorted(BACKENDS))
    forms = {form: line for it in backends for form, line in it.forms.items()}
    return {**forms, "none": "retrieval only"}


def open_model(spec: str, options: ModelOptions | None = None) -> ChatModel | None:
    """Open the model that a spec names; None for ``none``.

    Args:
        spec: See `spec_help`.
        options: Options beside the spec.

    Raises:
        ConfigError: If no backend takes the spec, or what it needs is missing.
    """
    if spec == "none":
        return None
    options = options or ModelOptions()
    prefix, _, rest = spec.partition(":")
    if "+" in prefix:  # a bare prefix and what is put on top of its model
        prefix, plus, more = spec.partition("+")
        rest = plus + more
    for entry in entry_points(group=_ENTRY_POINTS, name=prefix) if prefix not in BACKENDS else ():
        entry.load()
    backend = BACKENDS.get(prefix)
    bare = not rest or (rest.startswith("+") and ":" not in spec.partition("+")[0])
    if backend is None or (bare and prefix not in backend.forms):
        raise ConfigError(f"unknown model '{spec}'; choose one of {', '.join(_forms())}")
    model = backend.opener(rest, options)
    if options.admission is None or backend.admits:
        return model
    return AdmittedModel(model, options.admission)


def open_from(settings: Settings, admission: Admission | None = None) -> ChatModel | None:
    """Open the model that settings name, behind an admission if there is one."""
    request = settings.request
    options = ModelOptions(
        concurrency=request.concurrency,
        timeout_s=request.timeout_s,
        retry=RetryPolicy(request.attempts, request.backoff_s, request.max_wait_s),
        context_tokens=settings.context_tokens,
        parameters=settings.parameters,
        tokenizer=settings.tokenizer,
        admission=admission,
        reasoning_tokens=request.reasoning_tokens,
    )
    return open_model(settings.llm, options)
