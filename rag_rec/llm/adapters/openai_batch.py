"""The hosted Batch API: request files up, answers down, at half the price and within a day."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import openai

from rag_rec.core import ConfigError, ModelError
from rag_rec.llm.adapters.openai import model_error

_NAME = "openai batch API"
_MARK = "rag_rec"


class BatchState(NamedTuple):
    """One batch at the provider.

    Attributes:
        batch_id: Its id there.
        status: As the provider calls it: ``validating``, ``in_progress``, ``completed``, ...
        done: Requests answered.
        total: Requests in it.
        output_file: Id of the file of answers, when there is one.
        error_file: Id of the file of failed requests, when there is one.
        problem: Why the provider refused it, or None.
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
        """Whether nothing more will come."""
        return self.status in {"completed", "failed", "expired", "cancelled"}


class BatchApi:
    """A thin client; each call is one or two requests, none is repeated by itself.

    Args:
        base_url: The endpoint; the hosted API when None.

    Raises:
        ConfigError: If no key is set.
    """

    def __init__(self, base_url: str | None = None) -> None:
        try:
            self._client = openai.OpenAI(base_url=base_url, max_retries=0)
        except openai.OpenAIError as error:
            raise ConfigError("OPENAI_API_KEY is not set; export it") from error

    def submit(self, file: Path, mark: str) -> BatchState:
        """Uploads a request file and starts a batch, which carries a mark to be found again by.

        Raises:
            ModelError: If the provider does not take it.
        """
        try:
            with file.open("rb") as handle:
                uploaded = self._client.files.create(file=(file.name, handle), purpose="batch")
            batch = self._client.batches.create(
                input_file_id=uploaded.id,
                endpoint="/v1/chat/completions",
                completion_window="24h",
                metadata={_MARK: mark},
            )
        except openai.OpenAIError as error:
            raise _named(error) from error
        return _state(batch)

    def find(self, mark: str) -> BatchState | None:
        """The batch that carries a mark, among all there are."""
        try:
            for batch in self._client.batches.list(limit=100):
                if (batch.metadata or {}).get(_MARK) == mark:
                    return _state(batch)
        except openai.OpenAIError as error:
            raise _named(error) from error
        return None

    def state(self, batch_id: str) -> BatchState:
        """Where a batch stands."""
        try:
            return _state(self._client.batches.retrieve(batch_id))
        except openai.OpenAIError as error:
            raise _named(error) from error

    def download(self, file_id: str, target: Path) -> None:
        """Writes a file of the provider's, whole or not at all."""
        fresh = target.with_name(target.name + ".part")
        try:
            with self._client.files.with_streaming_response.content(file_id) as reply:
                reply.stream_to_file(fresh)
        except openai.OpenAIError as error:
            raise _named(error) from error
        fresh.replace(target)

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()


def _state(batch: Any) -> BatchState:
    counts = batch.request_counts
    errors = batch.errors.data if batch.errors and batch.errors.data else []
    return BatchState(
        batch_id=batch.id,
        status=batch.status,
        done=(counts.completed + counts.failed) if counts else 0,
        total=counts.total if counts else 0,
        output_file=batch.output_file_id,
        error_file=batch.error_file_id,
        problem="; ".join(f"line {e.line}: {e.message}" for e in errors[:3]) or None,
    )


def _named(error: openai.OpenAIError) -> ModelError:
    return model_error(error, _NAME)
