"""Client of the hosted Batch API: files of requests, answered within a day at half the price."""

from __future__ import annotations

from collections.abc import Container, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from rag_rec.core import ConfigError, TransportError, make_private, one_line, redacted
from rag_rec.llm.chat_api.endpoint import Endpoint
from rag_rec.llm.chat_api.failures import model_error
from rag_rec.llm.chat_api.http import Connections
from rag_rec.llm.chat_api.keys import ACCOUNT, account, api_key

_NAME = "openai batch API"
_MARK = "rag_rec"
_CHECK = "check the address; it has to offer files and batches"
# AssertionError: of the codec "hex", when a reply names it as its charset
_NO_BATCH = (AttributeError, LookupError, RecursionError, TypeError, ValueError, AssertionError)
_GONE = frozenset({404, 410})
_ENDED = frozenset({"completed", "failed", "expired", "cancelled"})


class BatchState(NamedTuple):
    """One batch at the provider.

    Attributes:
        batch_id: Its id there.
        status: Its state there: ``validating``, ``in_progress``, ``completed``, ...
        done: Requests answered.
        total: Requests in it.
        output_file: Id of the file of answers, when there is one.
        error_file: Id of the file of failed requests, when there is one.
        problem: The reason why the provider refused it, or None.
    """

    batch_id: str
    status: str
    done: int
    total: int
    output_file: str | None
    error_file: str | None
    problem: str | None

    @property
    def ended(self) -> bool:
        """True if no more answers will come."""
        return self.status in _ENDED

    @property
    def is_useful(self) -> bool:
        """True if there are answers, or some may still come."""
        return not self.ended or bool(self.output_file or self.error_file)


class BatchApi:
    """A thin client; each call is one or two requests, none is repeated by itself.

    Args:
        base_url: The endpoint; the hosted API when None.

    Raises:
        ConfigError: If the hosted API is meant and no key is set, or key, address, proxy or
            certificates cannot be used.
    """

    def __init__(self, base_url: str | None = None) -> None:
        import openai  # takes half a second

        endpoint = Endpoint.of(base_url)
        # left alone, the client sends the account of the environment to any host
        headers: dict[str, Any] = {**dict.fromkeys(ACCOUNT, openai.Omit()), **account(endpoint)}
        self._client = openai.OpenAI(
            api_key=api_key(endpoint),
            base_url=str(endpoint.base),
            default_headers=headers,
            max_retries=0,
            http_client=Connections().client(),
        )

    def submit(self, file: Path, mark: str) -> BatchState:
        """Upload a request file and start a batch that `find` can find again by a mark.

        Raises:
            ModelError: If the provider does not take it.
        """
        with _errors():
            with file.open("rb") as handle:
                uploaded = self._client.files.create(file=(file.name, handle), purpose="batch")
            batch = self._client.batches.create(
                input_file_id=uploaded.id,
                endpoint="/v1/chat/completions",
                completion_window="24h",
                metadata={_MARK: mark},
            )
            return _state(batch)

    def find(self, mark: str, *, without: Container[str] = ()) -> BatchState | None:
        """Return the batch that carries a mark and may give answers; one under way comes first.

        Args:
            mark: The mark.
            without: Ids of batches that do not count.
        """
        found: BatchState | None = None
        seen: set[str] = set()
        with _errors():
            for batch in self._client.batches.list(limit=100):  # the latest first
                if batch.id in seen:  # a server that gives the same page again and again
                    break
                seen.add(batch.id)
                if (batch.metadata or {}).get(_MARK) == mark and batch.id not in without:
                    state = _state(batch)
                    if not state.ended:
                        return state
                    found = found or (state if state.is_useful else None)
        return found

    def state(self, batch_id: str) -> BatchState:
        """Return the current state of a batch.

        Raises:
            ConfigError: If the provider does not know it.
        """
        import openai

        with _errors():
            try:
                return _state(self._client.batches.retrieve(batch_id))
            except openai.NotFoundError as error:
                raise ConfigError(
                    f"the provider does not know {batch_id}: give the key and --base-url that it "
                    "was submitted with, or remove it from batches.json to send it again"
                ) from error

    def download(self, file_id: str, target: Path) -> bool:
        """Write a file of the provider's to disk, whole or not at all; False if it is gone."""
        import openai

        fresh = target.with_name(target.name + ".part")
        make_private(fresh)
        with _errors():
            try:
                with self._client.files.with_streaming_response.content(file_id) as reply:
                    reply.stream_to_file(fresh)
            except openai.APIStatusError as error:
                fresh.unlink()
                if error.status_code in _GONE:
                    return False
                raise
        fresh.replace(target)
        return True

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _state(batch: Any) -> BatchState:
    if not isinstance(batch.id, str) or not isinstance(batch.status, str):
        raise TransportError("the reply is not a batch", provider=_NAME, hint=_CHECK)
    counts = batch.request_counts
    errors = batch.errors.data if batch.errors and batch.errors.data else []
    problems = [f"line {e.line}: {e.message}" if e.line else str(e.message) for e in errors[:3]]
    return BatchState(
        batch_id=batch.id,
        status=batch.status,
        done=(counts.completed + counts.failed) if counts else 0,
        total=counts.total if counts else 0,
        output_file=batch.output_file_id or None,
        error_file=batch.error_file_id or None,
        problem=redacted(one_line("; ".join(filter(None, problems)))) or None,
    )


@contextmanager
def _errors() -> Generator[None]:
    """Raise the client's errors as `ModelError`."""
    import openai

    try:
        yield
    except openai.OpenAIError as error:
        raise model_error(error, _NAME) from error
    except _NO_BATCH as error:  # of a client that takes a reply for what it asked for
        problem = f"the reply is not that of a batch API ({type(error).__name__})"
        raise TransportError(problem, provider=_NAME, hint=_CHECK) from error
