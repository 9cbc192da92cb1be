"""The course of a tuning: batches, validations, checkpoints, and the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rag_rec.adaptation.ranker.examples import RankingExample
from rag_rec.adaptation.ranker.record import Point, RankerState
from rag_rec.adaptation.ranker.validation import EQUAL, WEIGHTS, ndcg_table
from rag_rec.core import ConfigError, OnStep

if TYPE_CHECKING:
    from rag_rec.adaptation.ranker.tuner import RankerTuner

_PATIENCE = 6
_SAVE_EVERY_S = 60.0
_CHECKS_AN_EPOCH = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class RankerOptions:
    """Settings of the tuning of a ranker.

    Attributes:
        kind: ``crossencoder`` or ``lora``.
        base: What to begin with: a folder or hub name; the index's embedder (cross-encoder) or the
            embedded model (LoRA) if None.
        prompt: A variant with ``answer = "scores"``, or its ``.toml`` file; a list has as many
            candidates as it shows.
        minutes: Time at most, over all starts.
        epochs: Passes over the lists at most.
        lists: Lists at most, of users drawn at random; all if None.
        others: Candidates beside the target that a step looks at.
        batch: Lists a batch.
        rate: Highest learning rate; the kind's own if None.
        seed: Of all draws.
    """

    kind: str = "crossencoder"
    base: str | None = None
    prompt: str = "rank"
    minutes: float = 20.0
    epochs: int = 3
    lists: int | None = None
    others: int = 7
    batch: int = 16
    rate: float | None = None
    seed: int = 0


Epoch = Callable[[int], Sequence[RankingExample]]
"""Returns the lists of an epoch, from 0: the same lists, their candidates in another order."""


def trained(
    tuner: RankerTuner,
    examples: Epoch,
    validation: Sequence[RankingExample],
    folder: Path,
    options: RankerOptions,
    identity: str,
    on_step: OnStep | None,
) -> RankerState:
    """Train until something ends it; leave the tuner with the best weights.

    Raises:
        ConfigError: If the folder holds another run.
        StorageError: If its checkpoint is damaged.
    """
    from rag_rec.adaptation.checkpoint import save  # torch takes seconds

    state = _begun(tuner, validation, folder, identity)
    lists, epoch = examples(0), 0
    size = min(options.batch, len(lists))
    per_epoch = len(lists) // size
    n_steps, limit_s = options.epochs * per_epoch, options.minutes * 60
    check_every = max(1, per_epoch // _CHECKS_AN_EPOCH)
    clock, saved_at = time.monotonic() - state.seconds, time.monotonic()
    while True:
        seconds = time.monotonic() - clock
        end = _end(state, n_steps, seconds, limit_s)
        if on_step:
            share = 1.0 if end else max(state.step / n_steps, seconds / limit_s)
            on_step("tuning the ranker", min(100, int(100 * share)), 100)
        is_due = state.checked < state.step and (bool(end) or state.step % check_every == 0)
        if is_due:
            state = _checked(state, tuner, validation, size)
        if end or is_due or time.monotonic() - saved_at > _SAVE_EVERY_S:
            update = {"end": end, "seconds": time.monotonic() - clock}
            state = state.model_copy(update=update)
            save(folder, state, tuner.state())
            saved_at = time.monotonic()
        if end:
            tuner.use_best()
            return state
        if state.step // per_epoch != epoch:
            epoch = state.step // per_epoch
            lists = examples(epoch)
        order = np.random.default_rng([options.seed, epoch]).permutation(len(lists))
        start = state.step % per_epoch * size
        batch = [lists[at] for at in order[start : start + size]]
        step = state.step + 1
        loss = tuner.step(batch, step, options.seed)
        state = state.model_copy(update={"step": step, "loss": state.loss + loss})


def _begun(
    tuner: RankerTuner, validation: Sequence[RankingExample], folder: Path, identity: str
) -> RankerState:
    from rag_rec.adaptation.checkpoint import load  # torch takes seconds

    found = load(folder, RankerState)
    if found is not None:
        state, tensors = found
        check_same(state.identity, identity, folder)
        tuner.restore(tensors, state.step)
        return state
    table = ndcg_table(validation, tuner.scores(validation))
    retrieved = float(table[0].mean())
    tuner.keep_best()
    first = Point(lists=0, loss=None, ndcg=_at_a_half(table.mean(axis=1).tolist()))
    return RankerState(identity=identity, retrieved=retrieved, best=retrieved, curve=(first,))


def _checked(
    state: RankerState, tuner: RankerTuner, validation: Sequence[RankingExample], size: int
) -> RankerState:
    """Validate, and keep the weights where they are the best so far."""
    table = ndcg_table(validation, tuner.scores(validation))
    now = _at_a_half(table.mean(axis=1).tolist())
    loss = state.loss / max(1, state.step - state.checked)
    point = Point(lists=state.step * size, loss=loss, ndcg=now)
    update: dict[str, Any] = {"checked": state.step, "loss": 0.0}
    update["curve"] = (*state.curve, point)
    risen = now > max(known.ndcg for known in state.curve)
    update["worse"] = 0 if risen else state.worse + 1
    if now > state.best:
        tuner.keep_best()
        update |= {"best": now, "best_step": state.step}
    return state.model_copy(update=update)


def _at_a_half(means: Sequence[float]) -> float:
    return means[WEIGHTS.index(EQUAL)]


def _end(state: RankerState, n_steps: int, seconds: float, limit_s: float) -> str:
    """Return why training is over; empty while it goes on."""
    if state.worse >= _PATIENCE:
        return f"validation was no better {_PATIENCE} times in a row"
    if state.step >= n_steps:
        return "every epoch is done"
    return "the time is up" if seconds >= limit_s else ""


def check_same(found: str, wanted: str, folder: Path) -> None:
    """Raise `ConfigError` if a folder holds another run."""
    if found != wanted:
        raise ConfigError(
            f"{folder} holds a run on other data or with other options; name another folder"
        )
