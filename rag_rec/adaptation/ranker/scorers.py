"""Models that can be tuned to score candidates, with gradients."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from rag_rec.core import ConfigError, ModelError, one_line
from rag_rec.index import SentenceTransformerEmbedder, has_bfloat16
from rag_rec.llm import LocalChatModel, Request, open_model

_TOGETHER = 64  # pairs a forward pass
_MAX_TOKENS = 160
_PROMPTS_TOGETHER = 4
_RANK = 8


class TunableRanker(Protocol):
    """A model with weights to learn.

    Attributes:
        base: Name of what it began as.
        takes_order: The order of candidates in a request can change their scores.
    """

    base: str
    takes_order: bool

    def named_parameters(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        """Yield the weights that are learned."""
        ...

    def scores(self, requests: Sequence[Request], chosen: Sequence[Sequence[int]]) -> list[Tensor]:
        """Return for each request the scores of the chosen positions of its labels, float32."""
        ...

    def write(self, folder: Path) -> None:
        """Write what an index or a server can open."""
        ...


class PairScorer:
    """A cross-encoder: it reads the query with one document.

    Args:
        base: A cross-encoder's folder or hub name, or a sentence-transformers embedder, which gets
            a head of random weights.
        seed: Of the random weights.

    Raises:
        ConfigError: If it cannot be loaded.
    """

    takes_order = False

    def __init__(self, base: str, *, seed: int) -> None:
        from sentence_transformers import CrossEncoder
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()
        verbosity = transformers_logging.get_verbosity()
        transformers_logging.set_verbosity_error()  # that the head is new is no news
        self.base = base
        torch.manual_seed(seed)
        try:
            self._encoder: Any = CrossEncoder(
                _folder_of(base),
                num_labels=1,
                max_length=_MAX_TOKENS,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True},
                activation_fn=torch.nn.Identity(),
            )
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            why = one_line(str(error))[:160]
            raise ConfigError(
                f"the ranker's base '{base}' cannot be loaded ({why}); give a folder with "
                "safetensors, or a name on the Hugging Face hub"
            ) from error
        finally:
            transformers_logging.set_verbosity(verbosity)
        self._model: Any = self._encoder.model
        self._model.eval()  # without dropout: each list is seen a few times at most

    def named_parameters(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        """Yield all weights."""
        return ((n, p) for n, p in self._model.named_parameters() if p.requires_grad)

    def scores(self, requests: Sequence[Request], chosen: Sequence[Sequence[int]]) -> list[Tensor]:
        """See `TunableRanker.scores`; pairs of like length are read together."""
        pairs = [
            (request.ranking.query, request.ranking.documents[at])
            for request, some in zip(requests, chosen, strict=True)
            if request.ranking is not None
            for at in some
        ]
        order = sorted(range(len(pairs)), key=lambda n: sum(map(len, pairs[n])))
        parts = [order[start : start + _TOGETHER] for start in range(0, len(order), _TOGETHER)]
        found = torch.cat([self._forward([pairs[n] for n in part]) for part in parts])
        back = torch.empty(len(order), dtype=torch.long)
        back[torch.tensor(order)] = torch.arange(len(order))
        return list(found[back].split([len(some) for some in chosen]))

    def _forward(self, pairs: list[tuple[str, str]]) -> Tensor:
        features = self._encoder.tokenizer(
            pairs, padding=True, truncation=True, max_length=_MAX_TOKENS, return_tensors="pt"
        ).to(self._model.device)
        half = self._model.device.type == "cpu" and has_bfloat16()
        with torch.autocast(self._model.device.type, torch.bfloat16, enabled=half):
            return self._model(**features).logits[:, 0].float()

    def write(self, folder: Path) -> None:
        """Write a folder that ``crossencoder:FOLDER`` opens."""
        self._encoder.save_pretrained(str(folder), create_model_card=False)


class LabelScorer:
    """A causal language model with a LoRA adapter: the logits of the labels, as it would answer.

    The adapter stands on the upper third of the layers, so that the lower ones need no gradients.

    Args:
        base: A spec of the embedded model: ``local`` or ``local:FOLDER``.
        seed: Of the adapter's first weights.

    Raises:
        ConfigError: If the model or peft cannot be loaded.
    """

    takes_order = True

    def __init__(self, base: str, *, seed: int) -> None:
        model = open_model(base)
        if not isinstance(model, LocalChatModel):
            raise ConfigError(f"a LoRA adapter is tuned on local or local:FOLDER, not on '{base}'")
        self.base, self._local = base, model
        try:
            peft = importlib.import_module("peft")
        except ImportError as error:
            raise ConfigError(
                "a LoRA adapter needs peft; install it with: pip install 'rag-rec[adapt]'"
            ) from error
        torch.manual_seed(seed)
        network = model.engine.network
        n_layers = network.config.get_text_config().num_hidden_layers
        options = peft.LoraConfig(
            r=_RANK,
            lora_alpha=2 * _RANK,
            target_modules=["q_proj", "v_proj", "o_proj"],
            layers_to_transform=list(range(n_layers - n_layers // 3, n_layers)),
            task_type="CAUSAL_LM",
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # peft asks in the old way
            self._adapted: Any = peft.get_peft_model(network, options)
        self._adapted.eval()  # without dropout: each list is seen a few times at most

    def named_parameters(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        """Yield the adapter's weights."""
        return ((n, p) for n, p in self._adapted.named_parameters() if p.requires_grad)

    def scores(self, requests: Sequence[Request], chosen: Sequence[Sequence[int]]) -> list[Tensor]:
        """See `TunableRanker.scores`; requests of like length are read together."""
        prompts = [self._local.prompt_tokens(request) for request in requests]
        order = sorted(range(len(prompts)), key=lambda n: len(prompts[n]))
        found: dict[int, Tensor] = {}
        for start in range(0, len(order), _PROMPTS_TOGETHER):
            part = order[start : start + _PROMPTS_TOGETHER]
            logits = self._forward([prompts[n] for n in part])
            for row, n in enumerate(part):
                labels = self._local.label_tokens(requests[n])
                if isinstance(labels, ModelError):
                    raise ConfigError(str(labels))
                found[n] = logits[row, [labels[at] for at in chosen[n]]]
        return [found[n] for n in range(len(requests))]

    def _forward(self, prompts: list[list[int]]) -> Tensor:
        """Return the logits that follow each prompt, float32."""
        width = max(map(len, prompts))
        ids = torch.tensor([[0] * (width - len(row)) + row for row in prompts])
        real = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in prompts])
        return (
            self._adapted(
                input_ids=ids,
                attention_mask=real,
                position_ids=(real.cumsum(1) - 1).clamp(min=0),
                use_cache=False,
                logits_to_keep=1,
            )
            .logits[:, -1]
            .float()
        )

    def write(self, folder: Path) -> None:
        """Write an adapter that ``local+lora=FOLDER`` merges."""
        self._adapted.save_pretrained(str(folder), safe_serialization=True)


def _folder_of(base: str) -> str:
    """Return the folder of the embedded default, and any other name as it is."""
    embedder = SentenceTransformerEmbedder(base)
    return str(embedder.packaged_folder or base)


def open_scorer(kind: str, base: str, seed: int) -> TunableRanker:
    """Return the model of a kind, ``crossencoder`` or ``lora``, to be tuned.

    Raises:
        ConfigError: If it cannot be loaded.
    """
    if kind == "crossencoder":
        return PairScorer(base, seed=seed)
    return LabelScorer(base, seed=seed)
