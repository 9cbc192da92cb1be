"""The course of a tuning: steps, validations, checkpoints, and the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from filelock import FileLock, Timeout

from rag_rec.core import ConfigError, Model, OnStep

if TYPE_CHECKING:
    from torch import Tensor

_SAVE_EVERY_S = 60.0


class RunState(Model):
    """The state of a run; batches follow from the seed and the step.

    Attributes:
        identity: Digest of what the run learns from and how; another one cannot go on.
        step: Batches done.
        checked: Batches after which validation was last measured.
        seconds: Time spent training and validating, over all starts.
        best_step: Batches after which the best validation was reached; 0 for none better.
        worse: Validations in a row that brought nothing.
        end: Why training ended; empty while it goes on.
    """

    identity: str
    step: int = 0
    checked: int = 0
    seconds: float = 0.0
    best_step: int = 0
    worse: int = 0
    end: str = ""


State = TypeVar("State", bound=RunState)


@dataclass(frozen=True, kw_only=True)
class Course(Generic[State]):
    """The steps of a run, and its bounds.

    Attributes:
        name: Of the step, for progress.
        learn: Learns from one batch; returns the state after it.
        check: Validates; returns the state with what was found.
        tensors: Returns what a checkpoint holds beside the state.
        n_steps: Batches at most.
        limit_s: Seconds at most, over all starts.
        check_every: Batches between two validations.
        patience: Validations in a row that may bring nothing.
    """

    name: str
    learn: Callable[[State], State]
    check: Callable[[State], State]
    tensors: Callable[[], Mapping[str, Tensor]]
    n_steps: int
    limit_s: float
    check_every: int
    patience: int

    def run(self, state: State, folder: Path, on_step: OnStep | None) -> State:
        """Go on from a state until something ends it; keep checkpoints in a folder."""
        from rag_rec.adaptation.checkpoint import save  # torch takes seconds

        clock, saved_at = time.monotonic() - state.seconds, time.monotonic()
        while True:
            seconds = time.monotonic() - clock
            end = self._end(state, seconds)
            if on_step:
                share = 1.0 if end else max(state.step / self.n_steps, seconds / self.limit_s)
                on_step(self.name, min(100, int(100 * share)), 100)
            is_due = bool(end) or state.step % self.check_every == 0
            is_due = is_due and state.checked < state.step
            if is_due:
                state = self.check(state)
            if end or is_due or time.monotonic() - saved_at > _SAVE_EVERY_S:
                update = {"end": end, "seconds": time.monotonic() - clock}
                state = state.model_copy(update=update)
                save(folder, state, self.tensors())
                saved_at = time.monotonic()
            if end:
                return state
            state = self.learn(state)

    def _end(self, state: State, seconds: float) -> str:
        """Return why training is over; empty while it goes on."""
        if state.worse >= self.patience:
            return f"validation was no better {self.patience} times in a row"
        if state.step >= self.n_steps:
            return "every epoch is done"
        return "the time is up" if seconds >= self.limit_s else ""


@contextmanager
def tuning_in(folder: Path) -> Generator[None]:
    """Keep other processes out of the folder of a run, which is made where there is none.

    Raises:
        ConfigError: If another process is tuning in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise ConfigError(
            f"another process is tuning in {folder}; wait, or name another"
        ) from error


def check_same(found: str, wanted: str, folder: Path) -> None:
    """Raise `ConfigError` if a folder holds another run."""
    if found != wanted:
        raise ConfigError(
            f"{folder} holds a run on other data or with other options; name another folder"
        )
