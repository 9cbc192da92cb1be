"""`RankerAdaptation`: what a tuned ranker was made of, in its folder; and its state on the way."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from rag_rec.core import Model, StorageError

GAINED, NOTHING_GAINED = "adaptation.json", "nothing-gained.json"


class Point(Model):
    """A point of the learning curve.

    Attributes:
        lists: Lists learned from so far, repeats included.
        loss: Mean loss since the point before; None at the beginning.
        ndcg: NDCG@10 on validation at the weight of training, a half.
    """

    lists: int
    loss: float | None
    ndcg: float


class RankerState(Model):
    """The state of a run; batches follow from the seed and the step.

    Attributes:
        identity: Digest of what the run learns from and how; another one cannot go on.
        step: Batches done.
        checked: Batches after which validation was last measured.
        seconds: Time spent training and validating, over all starts.
        retrieved: NDCG@10 on validation of retrieval's own order.
        best: The best NDCG@10 so far; retrieval's counts as the first.
        best_step: Batches after which it was reached; 0 if never.
        worse: Validations in a row that did not raise the curve.
        loss: Sum of losses since the last validation.
        curve: The learning curve.
        end: Why training ended; empty while it goes on.
    """

    identity: str
    step: int = 0
    checked: int = 0
    seconds: float = 0.0
    retrieved: float
    best: float
    best_step: int = 0
    worse: int = 0
    loss: float = 0.0
    curve: tuple[Point, ...] = ()
    end: str = ""


class RankerAdaptation(Model):
    """Origin and worth of a tuned ranker.

    Attributes:
        identity: Digest of what was learned from and how.
        kind: ``crossencoder`` or ``lora``.
        base: Name of what was tuned.
        prompt: Name of the prompt variant.
        prompt_digest: Digest of that variant.
        index: Digest of the manifest of the index that was learned from.
        dataset: Digest of that index's data.
        lists: Lists that could be learned from.
        validation_lists: Lists of other users, to validate on.
        batch: Lists a batch.
        others: Candidates beside the target that a step looked at.
        rate: Highest learning rate.
        seed: Of the draws.
        minutes: Time spent, over all starts.
        end: Why training ended.
        best_step: Batches up to the weights that are kept.
        retrieved: NDCG@10 on validation of retrieval's own order.
        blended: NDCG@10 on validation by weight of the model, from 0 to 1 in tenths.
        weight: The weight to serve with; 0 if none gains more than its standard error.
        curve: The learning curve.
        left_out: Users that nothing was learned from, by the reason.
        versions: Of the libraries.
    """

    identity: str
    kind: str
    base: str
    prompt: str
    prompt_digest: str
    index: str
    dataset: str
    lists: int
    validation_lists: int
    batch: int
    others: int
    rate: float
    seed: int
    minutes: float
    end: str
    best_step: int
    retrieved: float
    blended: tuple[float, ...]
    weight: float
    curve: tuple[Point, ...]
    left_out: dict[str, int]
    versions: dict[str, str]

    @property
    def gained(self) -> bool:
        """True if the model may improve a list: its weight on validation is above 0."""
        return self.weight > 0

    def write(self, folder: Path) -> None:
        """Write it into a folder, under a name that tells whether anything was gained."""
        path = folder / (GAINED if self.gained else NOTHING_GAINED)
        new = path.with_suffix(".new")
        new.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")
        new.replace(path)


def read_ranker_adaptation(folder: str | Path) -> RankerAdaptation | None:
    """Return the record of a run that has ended in a folder, None if there is none.

    Raises:
        StorageError: If it cannot be read.
    """
    for path in (Path(folder) / GAINED, Path(folder) / NOTHING_GAINED):
        if path.is_file():
            try:
                return RankerAdaptation.model_validate_json(path.read_bytes())
            except ValidationError as error:
                raise StorageError("is no record of a tuned ranker", path=path) from error
    return None
