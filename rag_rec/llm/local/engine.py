"""A causal language model and its tokenizer, loaded from a Hugging Face folder or hub name."""

from __future__ import annotations

import importlib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag_rec.core import ConfigError, one_line
from rag_rec.llm.local.weights import INSTALL, quiet

_ADAPT = "install it with: pip install 'rag-rec[adapt]'"
_ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
# families whose attention is the plain one
_PLAIN = {"llama", "mistral", "qwen2", "qwen3", "smollm3"}


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A loaded model.

    Attributes:
        network: The model.
        tokenizer: Its tokenizer, with a chat template.
        stops: Tokens that end a reply.
        context_tokens: Longest input it was made for.
    """

    network: Any
    tokenizer: Any
    stops: tuple[int, ...]
    context_tokens: int

    @property
    def n_vocab(self) -> int:
        """Width of the logits."""
        return int(self.network.config.get_text_config().vocab_size)


def load(model: str, adapter: Path | None, spec: str) -> LoadedModel:
    """Load a model; code of its own is never run, and weights are read as safetensors only.

    Args:
        model: A folder, or a name on the hub.
        adapter: Folder of a LoRA adapter to merge into it, or None.
        spec: The spec, for errors.

    Raises:
        ConfigError: If a package is missing, or the model or the adapter cannot be had.
    """
    try:
        import torch  # slow
        import transformers
        from safetensors import SafetensorError

        from rag_rec.llm.local.network import GROUPED, ExactHead
    except ImportError as error:
        raise ConfigError(f"llm '{spec}' needs {error.name}; {INSTALL}") from error
    failures = (OSError, ValueError, RuntimeError, KeyError, ImportError, SafetensorError)
    safely: dict[str, Any] = {"trust_remote_code": False}
    try:
        with quiet():
            config = transformers.AutoConfig.from_pretrained(model, **safely)
            attention = GROUPED if config.model_type in _PLAIN else "sdpa"
            network: Any = transformers.AutoModelForCausalLM.from_pretrained(
                model,
                config=config,
                dtype=torch.float32 if adapter else _dtype(),
                attn_implementation=attention,
                use_safetensors=True,
                **safely,
            )
            tokenizer: Any = transformers.AutoTokenizer.from_pretrained(model, **safely)
    except failures as error:
        why = one_line(str(error))[:200]
        hint = "give a folder, or a hub name that can be had from here"
        raise ConfigError(f"llm '{spec}' cannot be loaded ({why}); {hint}") from error
    if not (getattr(tokenizer, "chat_template", None) and getattr(tokenizer, "is_fast", False)):
        raise ConfigError(f"llm '{spec}': its tokenizer must be a fast one with a chat template")
    if adapter is not None:
        network = _adapted(network, adapter, failures).to(_dtype())
    network.set_output_embeddings(ExactHead(network.get_output_embeddings()))
    longest = getattr(network.config.get_text_config(), "max_position_embeddings", 0)
    return LoadedModel(network.eval(), tokenizer, _stops(network, tokenizer), longest or 4_096)


def _dtype() -> Any:
    """Return the number format in which this processor is fastest.

    Where it multiplies bfloat16, prompts are read in half of the time of float32, and a step takes
    as long.
    """
    import torch

    able = torch.cpu.get_capabilities()
    fast = any(able.get(name) for name in ("avx512_bf16", "amx_bf16", "amx_tile", "bf16"))
    return torch.bfloat16 if fast else torch.float32


def _stops(network: Any, tokenizer: Any) -> tuple[int, ...]:
    named = network.generation_config.eos_token_id
    several: list[int] = named if isinstance(named, list) else [named]
    stops = {token for token in (*several, tokenizer.eos_token_id) if token is not None}
    return tuple(sorted(stops))


def _adapted(network: Any, adapter: Path, failures: tuple[type[Exception], ...]) -> Any:
    for name in _ADAPTER_FILES:
        if not (adapter / name).is_file():
            raise ConfigError(f"{adapter} is no folder of a LoRA adapter: it has no {name}")
    try:
        peft = importlib.import_module("peft")
    except ImportError as error:
        raise ConfigError(f"a LoRA adapter needs peft; {_ADAPT}") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # peft asks in the old way
            return peft.PeftModel.from_pretrained(network, str(adapter)).merge_and_unload()
    except (*failures, TypeError) as error:
        why = one_line(str(error))[:200]
        raise ConfigError(f"the LoRA adapter {adapter} does not fit the model ({why})") from error
