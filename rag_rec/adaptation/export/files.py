"""Training files for language models: the pipeline's own prompts, with what came next as answer.

::

    export/
      train.jsonl        one example a line, in the form that the tool documents
      validation.jsonl   a tenth of the users, by a hash of their id
      manifest.json      origin, counts, tokens, and an estimate of the cost
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from rag_rec.adaptation.export.answers import answer_of
from rag_rec.adaptation.export.examples import examples_of
from rag_rec.adaptation.export.formats import COMPLETIONS, TRAINING_FORMATS, TrainingExample
from rag_rec.adaptation.lists import training_lists
from rag_rec.core import ConfigError, Model, OnStep, Settings, open_private
from rag_rec.index import ItemIndex
from rag_rec.llm import ChatModel, OfflineModel
from rag_rec.prompting import load_variant

MANIFEST = "manifest.json"
_SPLITS = ("train", "validation")
_VALIDATION_SHARE = 10
_EVERY = 128
_MODEL = "openai:MODEL"


class ExportedSplit(Model):
    """One file of an export.

    Attributes:
        examples: Lines of the file.
        prompt_tokens: Tokens of the prompts.
        completion_tokens: Tokens of the assistant's turns.
        cost: Price of reading all of them once, at the price of input; None without prices.
    """

    examples: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None


class TrainingManifest(Model):
    """The document beside training files.

    Attributes:
        format: The tool they are for.
        prompt: The prompt variant.
        prompt_digest: Digest of its file.
        index: Digest of the manifest of the index that gave the log.
        retrieval: How the index without the targets retrieves; the candidates are its.
        k: Length of the lists.
        seed: Of the draws.
        splits: The files, by name.
        exact: True if tokens were counted with the model's tokenizer.
        currency: Currency of the costs; None without prices.
        left_out: Users without an example, by the reason.
    """

    format: str
    prompt: str
    prompt_digest: str
    index: str
    retrieval: str
    k: int
    seed: int
    splits: dict[str, ExportedSplit]
    exact: bool
    currency: str | None
    left_out: dict[str, int]


def export_training(
    index: ItemIndex,
    out: str | Path,
    *,
    form: str,
    settings: Settings | None = None,
    users: int | None = None,
    on_step: OnStep | None = None,
) -> TrainingManifest:
    """Write training files of users whose next item is among the candidates.

    The target is the third event from the end of each log; see `training_lists` for the honesty of
    its candidates. Candidates stand in a random order, so that no place is the right one.

    Args:
        index: An open index.
        out: The folder of the files; it must hold no export.
        form: A name of `TRAINING_FORMATS`.
        settings: The prompt, ``k``, the seed, prices; and the model's context and tokenizer.
        users: Examples wanted, of users drawn at random; all if None.
        on_step: Receives progress.

    Raises:
        ConfigError: If the prompt asks for what a log cannot answer, or the folder is in use.
        DataError: If the log gives no example.
    """
    settings, folder = settings or Settings(prompt="plain"), Path(out)
    if form not in TRAINING_FORMATS:
        raise ConfigError(f"unknown form '{form}'; choose one of {', '.join(TRAINING_FORMATS)}")
    if (folder / MANIFEST).exists():
        raise ConfigError(f"{folder} holds an export already; name another folder")
    if settings.llm == "none":
        settings = settings.model_copy(update={"llm": _MODEL})
    model, variant = OfflineModel(settings), load_variant(settings.prompt)
    answer = answer_of(variant)
    if form == "grpo" and variant.settings.answer == "scores":
        raise ConfigError(
            f"a reward reads lists, and the prompt '{variant.name}' asks for one letter: choose a "
            "variant in words, such as plain"
        )
    n = max(settings.k, variant.settings.max_candidates)
    folder.mkdir(parents=True, exist_ok=True)
    with training_lists(index, n, users=users, seed=settings.seed, on_step=on_step) as lists:
        writer = _Writer(folder, form, model, settings)
        left_out = Counter(lists.left_out)
        n_lists = len(lists.lists)
        for at, (user, example) in enumerate(examples_of(lists, model, settings, answer, left_out)):
            writer.add(user, example)
            if on_step and at % _EVERY == 0:
                on_step("writing examples", at, n_lists)
        if on_step:
            on_step("writing examples", n_lists, n_lists)
        manifest = TrainingManifest(
            format=form,
            prompt=variant.name,
            prompt_digest=variant.digest,
            index=index.manifest.digest(),
            retrieval=str(lists.index.manifest.retrieval["fusion"]),
            k=settings.k,
            seed=settings.seed,
            splits=writer.close(),
            exact=model.tokens.exact,
            currency=settings.prices.currency if settings.prices else None,
            left_out={why: count for why, count in left_out.items() if count},
        )
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return manifest


class _Writer:
    """Writes examples to the file of their user's split, and counts tokens."""

    def __init__(self, folder: Path, form: str, model: ChatModel, settings: Settings) -> None:
        self._form, self._model, self._prices = form, model, settings.prices
        self._seed = settings.seed
        self._files = {
            name: open_private(folder / f"{name}.jsonl", "w", encoding="utf-8") for name in _SPLITS
        }
        self._counts: Mapping[str, Counter[str]] = {name: Counter() for name in _SPLITS}

    def add(self, user: str, example: TrainingExample) -> None:
        line = json.dumps(TRAINING_FORMATS[self._form](example), ensure_ascii=False)
        split = _SPLITS[in_validation(user, self._seed)]
        self._files[split].write(line + "\n")
        count, per_message = self._model.tokens.count, self._model.tokens.per_message
        texts = [message.content for message in example.messages]
        replies = COMPLETIONS[self._form](example)
        self._counts[split].update(
            examples=1,
            prompt_tokens=sum(count(texts)) + per_message * len(texts),
            completion_tokens=sum(count(replies)) + per_message * len(replies),
        )

    def close(self) -> dict[str, ExportedSplit]:
        for file in self._files.values():
            file.close()
        return {name: self._split(counts) for name, counts in self._counts.items()}

    def _split(self, counts: Counter[str]) -> ExportedSplit:
        read, written = counts["prompt_tokens"], counts["completion_tokens"]
        return ExportedSplit(
            examples=counts["examples"],
            prompt_tokens=read,
            completion_tokens=written,
            cost=self._prices.cost(read + written, 0) if self._prices else None,
        )


def in_validation(user: str, seed: int) -> bool:
    """Return whether a user's example goes to validation, as a hash of the id decides."""
    digest = hashlib.blake2b(f"{seed} {user}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % _VALIDATION_SHARE == 0
