"""`adapt_embedder`: the text embedder of an index, tuned on the index's own log."""

from __future__ import annotations

import hashlib
import json
import shutil
from importlib.metadata import version
from pathlib import Path

import numpy as np

from rag_rec.adaptation.course import check_same, tuning_in
from rag_rec.adaptation.embedder.events import RESERVED, Events
from rag_rec.adaptation.embedder.pairs import training_pairs
from rag_rec.adaptation.embedder.record import Adaptation, read_adaptation
from rag_rec.adaptation.embedder.training import MODEL, TuningOptions, trained
from rag_rec.adaptation.embedder.validation import Validation
from rag_rec.core import OnStep, __version__
from rag_rec.index import EmbedderInfo, ItemIndex, SentenceTransformerEmbedder

_LIBRARIES = ("torch", "sentence-transformers", "transformers")


def adapt_embedder(
    index: ItemIndex,
    out: str | Path,
    options: TuningOptions | None = None,
    *,
    on_step: OnStep | None = None,
) -> Adaptation:
    """Tune an embedder on what users of an index took one after the other.

    The last two events of every user are never seen, nor is anything at or after
    ``options.until``. A tenth of the users (500 at most) are put aside; the mean reciprocal rank
    of their second-to-last events decides when to stop and which weights are kept. Where no
    weights are better than the base's, no model is written and the record says so.

    A run that was stopped goes on from its last checkpoint when it is called again with the same
    index and options (``minutes`` and ``epochs`` may be others). A run that has ended is returned
    as it was. As long as the minutes do not end it, the result depends on the index, the options
    and the machine's arithmetic alone.

    Args:
        index: An open index.
        out: The folder of the result; with the record, it is a sentence-transformers model.
        options: How to learn.
        on_step: Receives state.

    Raises:
        ConfigError: If the folder holds another run, or the base cannot be loaded.
        DataError: If the log has too little to learn from.
        StorageError: If a checkpoint is damaged.
    """
    options, folder = options or TuningOptions(), Path(out)
    with tuning_in(folder):
        return _run(index, folder, options, on_step)


def _run(
    index: ItemIndex, folder: Path, options: TuningOptions, on_step: OnStep | None
) -> Adaptation:
    base = SentenceTransformerEmbedder(options.base or index.manifest.embedder.name)
    if options.base is None:
        index.manifest.check_embedder(base)
    info, identity = EmbedderInfo.of(base), _identity(index, base, options)
    ended = read_adaptation(folder)
    if ended is not None:
        check_same(ended.identity, identity, folder)
        return ended
    events = Events.of(index, options.until)
    validation = Validation.of(events, options.seed)
    pairs = training_pairs(events, validation.users, limit=options.pairs, seed=options.seed)
    state = trained(base, pairs, validation, folder, options, identity, on_step)
    batch = min(options.batch, len(pairs))
    record = Adaptation(
        identity=identity,
        base=info,
        digest="",
        index=index.manifest.digest(),
        dataset=index.manifest.dataset_digest,
        pairs=len(pairs),
        seen=state.best_step * batch,
        steps=state.step,
        best_step=state.best_step,
        batch=batch,
        rate=options.rate,
        seed=options.seed,
        until=options.until,
        minutes=round(state.seconds / 60, 2),
        end=state.end,
        before=state.before,
        after=state.best,
        left_out=_left_out(events, validation),
        versions={"rag-rec": __version__} | {name: version(name) for name in _LIBRARIES},
    )
    return _published(folder, record)


def _published(folder: Path, record: Adaptation) -> Adaptation:
    """Move the model into its place, the record last, and drop the checkpoint."""
    from rag_rec.adaptation.checkpoint import FILE  # torch takes seconds

    new = folder / MODEL
    if record.gained:
        digest = SentenceTransformerEmbedder(str(new)).digest
        record = record.model_copy(update={"digest": digest})
        for path in sorted(new.iterdir()):
            target = folder / path.name
            if target.is_dir():
                shutil.rmtree(target)
            path.replace(target)
    shutil.rmtree(new, ignore_errors=True)
    record.write(folder)
    (folder / FILE).unlink(missing_ok=True)
    return record


def _identity(index: ItemIndex, base: SentenceTransformerEmbedder, options: TuningOptions) -> str:
    chosen = (options.pairs, options.batch, options.rate, options.until, options.seed)
    content = json.dumps([index.manifest.dataset_digest, base.digest, *chosen])
    return hashlib.sha256(content.encode()).hexdigest()


def _left_out(events: Events, validation: Validation) -> dict[str, int]:
    reserved = events.ages < RESERVED
    return {
        f"events that are among the last {RESERVED} of their user": int(reserved.sum()),
        "events at or after --until, or of unknown time": events.n_cut,
        "events of items without text": int((events.event_texts < 0).sum()),
        "users kept for validation": int(validation.users.sum()),
        "events of users kept for validation": int(
            np.count_nonzero(validation.users[events.owners] & ~reserved)
        ),
    }
