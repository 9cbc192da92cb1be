"""`adapt_ranker`: a model that scores candidates, tuned on the log of an index."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from rag_rec.adaptation.course import check_same, tuning_in
from rag_rec.adaptation.lists import TrainingLists, training_lists
from rag_rec.adaptation.ranker.examples import RankingExample, ranking_examples, split_by_user
from rag_rec.adaptation.ranker.record import RankerAdaptation, read_ranker_adaptation
from rag_rec.adaptation.ranker.training import RankerOptions, trained
from rag_rec.adaptation.ranker.validation import best_weight, ndcg_table
from rag_rec.core import ConfigError, DataError, OnStep, Settings, __version__
from rag_rec.index import ItemIndex
from rag_rec.pipeline import Blend
from rag_rec.prompting import Variant, load_variant

BLEND, SERVE = "blend.toml", "serve.toml"
_LIBRARIES = ("torch", "sentence-transformers", "transformers")
_LEAST = 40
_RATES = {"crossencoder": 1e-4, "lora": 5e-4}


def adapt_ranker(
    index: ItemIndex,
    out: str | Path,
    options: RankerOptions | None = None,
    *,
    on_step: OnStep | None = None,
) -> RankerAdaptation:
    """Tune a ranker on lists of candidates and the item that came next.

    The lists are those of `training_lists`: the last two events of every user are never seen, and
    the candidates come from a retriever that has not seen the event that is to be found. The loss
    is listwise, with retrieval's order as a prior (compare LlamaRec, arXiv 2311.02089, which has no
    prior). A tenth of the users (500 at most) decide when to stop, which weights are kept, and the
    weight to blend with, which is written to ``blend.toml``.

    A run that was stopped goes on from its last checkpoint when it is called again with the same
    index and options (``minutes`` and ``epochs`` may be others). A run that has ended is returned
    as it was.

    Args:
        index: An open index.
        out: The folder of the result: a cross-encoder or a LoRA adapter, its record, its blend,
            and ``serve.toml``, the settings that serve with both.
        options: How to learn.
        on_step: Receives progress.

    Raises:
        ConfigError: If the folder holds another run, the base cannot be loaded, or the prompt asks
            for words.
        DataError: If the log has too little to learn from.
        StorageError: If a checkpoint is damaged.
    """
    options, folder = options or RankerOptions(), Path(out)
    if options.kind not in _RATES:
        raise ConfigError(f"kind '{options.kind}': choose one of {', '.join(_RATES)}")
    variant = load_variant(options.prompt)
    identity = _identity(index, variant, options)
    with tuning_in(folder):
        ended = read_ranker_adaptation(folder)
        if ended is not None:
            check_same(ended.identity, identity, folder)
            return ended
        n = variant.settings.max_candidates
        with training_lists(
            index, n, users=options.lists, seed=options.seed, on_step=on_step
        ) as lists:
            return _run(index, lists, folder, variant, options, identity, on_step)


def _run(
    index: ItemIndex,
    lists: TrainingLists,
    folder: Path,
    variant: Variant,
    options: RankerOptions,
    identity: str,
    on_step: OnStep | None,
) -> RankerAdaptation:
    from rag_rec.adaptation.checkpoint import FILE  # torch takes seconds
    from rag_rec.adaptation.ranker.scorers import open_scorer  # likewise
    from rag_rec.adaptation.ranker.tuner import RankerTuner  # likewise

    scorer = open_scorer(options.kind, options.base or _own_base(index, options), options.seed)
    left_out = Counter(lists.left_out)
    settings = Settings(prompt=options.prompt)

    @lru_cache(maxsize=1)
    def sides(epoch: int) -> tuple[list[RankingExample], list[RankingExample]]:
        counted = left_out if epoch == 0 else Counter[str]()
        seed = options.seed + (epoch if scorer.takes_order else 0)
        return split_by_user(ranking_examples(lists, settings, seed, counted), options.seed)

    learn, validate = sides(0)
    if len(learn) < _LEAST or not validate:
        raise DataError(
            f"{len(learn)} users have a list to learn from, and {_LEAST} are needed: their target "
            f"is their third event from the end, among {variant.settings.max_candidates} candidates"
        )
    rate = options.rate or _RATES[options.kind]
    tuner = RankerTuner(scorer, rate=rate, others=options.others)
    state = trained(
        tuner, lambda epoch: sides(epoch)[0], validate, folder, options, identity, on_step
    )
    table = ndcg_table(validate, tuner.scores(validate))
    weight = best_weight(table) if state.best_step else 0.0
    record = RankerAdaptation(
        identity=identity,
        kind=options.kind,
        base=scorer.base,
        prompt=variant.name,
        prompt_digest=variant.digest,
        index=index.manifest.digest(),
        dataset=index.manifest.dataset_digest,
        lists=len(learn),
        validation_lists=len(validate),
        batch=min(options.batch, len(learn)),
        others=options.others,
        rate=rate,
        seed=options.seed,
        minutes=round(state.seconds / 60, 2),
        end=state.end,
        best_step=state.best_step,
        retrieved=state.retrieved,
        blended=tuple(table.mean(axis=1).tolist()),
        weight=weight,
        curve=state.curve,
        left_out=dict(left_out),
        versions={"rag-rec": __version__} | {name: version(name) for name in _LIBRARIES},
    )
    if record.gained:
        scorer.write(folder)
        said = f"NDCG@10 of {len(validate)} users' third event from the end"
        Blend(weight=weight, answer="scores", fitted_on=said).save(folder / BLEND)
        spec = f"crossencoder:{folder}" if options.kind == "crossencoder" else scorer.base
        spec += f"+lora={folder}" if options.kind == "lora" else ""
        served = {"llm": spec, "prompt": options.prompt, "blend": str(folder / BLEND)}
        lines = (f"{name} = {json.dumps(value)}\n" for name, value in served.items())
        (folder / SERVE).write_text("".join(lines), encoding="utf-8")
    record.write(folder)
    (folder / FILE).unlink(missing_ok=True)
    return record


def _own_base(index: ItemIndex, options: RankerOptions) -> str:
    return index.manifest.embedder.name if options.kind == "crossencoder" else "local"


def _identity(index: ItemIndex, variant: Variant, options: RankerOptions) -> str:
    chosen = (
        options.kind, options.base, options.lists, options.others, options.batch, options.rate,
        options.seed,
    )  # fmt: skip
    content = json.dumps([index.manifest.dataset_digest, variant.digest, *chosen])
    return hashlib.sha256(content.encode()).hexdigest()
