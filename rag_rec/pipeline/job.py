"""One user on the way through the pipeline."""

from __future__ import annotations

from dataclasses import dataclass, field

from rag_rec.core import Candidate, ModelError, Usage, UserHistory
from rag_rec.grounding import Reading, read_answer, reask_message
from rag_rec.llm import Completion, Message, Request
from rag_rec.prompting import RenderedPrompt


@dataclass(slots=True)
class Job:
    """What is known of one user, step by step.

    Attributes:
        history: What is known of the user.
        candidates: What retrieval proposes, best first.
        prompt: What the model is shown; None where there is nothing to ask.
        request: The same as a request.
        reading: What could be read from the replies.
        profile_refuted: Whether the prompt holds facts where the model's taste profile should be.
        usage: What the user has cost so far.
        failure: Why the last call gave no complete reply, or None.
        error: Its words, where the user is left without any reply.
    """

    history: UserHistory
    candidates: list[Candidate]
    prompt: RenderedPrompt | None = None
    request: Request | None = None
    reading: Reading | None = None
    profile_refuted: bool = False
    usage: Usage = field(default_factory=Usage)
    failure: ModelError | None = None
    error: str | None = None

    @property
    def n_labels(self) -> int:
        """How many candidates the prompt shows."""
        return len(self.prompt.labels) if self.prompt else 0

    def read(self, completion: Completion, k: int) -> Reading:
        """Reads a completion and counts what it cost; a failed call reads as an empty reply."""
        self.usage += completion.usage
        self.failure = completion.error
        if completion.error is not None and not completion.text:
            self.error = str(completion.error)
            return Reading()
        truncated = completion.error is not None
        return read_answer(completion.text, n_labels=self.n_labels, k=k, truncated=truncated)

    def lacks(self, k: int) -> bool:
        """Whether a reply came, but chose fewer than the k items it could have chosen."""
        if self.reading is None or self.error is not None:
            return False
        return len(self.reading.entries) < min(k, self.n_labels)

    def second_request(self, k: int) -> Request:
        """The first request, the reply it got, and what is wrong with that reply."""
        request, reading = self.request, self.reading
        if request is None or reading is None:
            raise AssertionError("only jobs with a reading are asked again")
        reply = Message("assistant", reading.shown)
        complaint = Message("user", reask_message(reading, n_labels=self.n_labels, k=k))
        return Request(
            messages=(*request.messages, reply, complaint),
            schema=request.schema,
            max_tokens=request.max_tokens,
            temperature=request.temperature,
            seed=request.seed + 1,
            deadline=request.deadline,
        )
