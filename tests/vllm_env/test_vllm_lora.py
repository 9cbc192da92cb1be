"""LoRA adapters on a model inside vLLM, and the contract of its scores, in engines of their own."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rag_rec.core import ConfigError, parse_json
from rag_rec.llm import open_model
from rag_rec.testing import check_scores, ranking_request

FOLDER = Path(__file__).parents[2] / ".cache" / "smollm2"
pytestmark = [
    pytest.mark.vllm,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("default"),
]
needs_vllm = pytest.mark.skipif(
    importlib.util.find_spec("vllm") is None,
    reason="vllm is not installed here; `make test-vllm` runs these in an environment of its own",
)
ASKED = [ranking_request([f"item {n * step % 97}" for n in range(20)]) for step in (3, 5, 7)]


@pytest.fixture
def adapter(tmp_path: Path) -> Callable[[float], str]:
    """Writes an adapter for the model, with its second factor times a number."""
    import torch
    from safetensors.torch import save_file

    def write(scale: float) -> str:
        folder = tmp_path / f"adapter-{scale}"
        folder.mkdir()
        config = {
            "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": str(FOLDER),
            "r": 4, "lora_alpha": 4, "lora_dropout": 0.0, "bias": "none",
            "target_modules": ["q_proj"], "modules_to_save": None, "use_rslora": False,
        }  # fmt: skip
        (folder / "adapter_config.json").write_text(json.dumps(config))
        shape = json.loads((FOLDER / "config.json").read_text())
        width, random = shape["hidden_size"], torch.Generator().manual_seed(1)
        weights: dict[str, Any] = {}
        for layer in range(shape["num_hidden_layers"]):
            name = f"base_model.model.model.layers.{layer}.self_attn.q_proj"
            weights[f"{name}.lora_A.weight"] = torch.randn(4, width, generator=random)
            weights[f"{name}.lora_B.weight"] = scale * torch.randn(width, 4, generator=random)
        save_file(weights, folder / "adapter_model.safetensors")
        return str(folder)

    return write


@needs_vllm
def test_scores_contract(engine: Any) -> None:
    with engine() as served:
        check_scores(served.model)


@needs_vllm
def test_every_request_is_answered_with_the_adapter(
    engine: Any, adapter: Callable[[float], str]
) -> None:
    """One that adds nothing changes nothing; one that adds much does."""
    found: dict[str, list[list[float]]] = {}
    for name, lora in (("none", None), ("idle", adapter(0.0)), ("strong", adapter(1.0))):
        with engine(lora) as served:
            assert served.model.name == f"vllm:{FOLDER}" + (f"+lora={lora}" if lora else "")
            replies = served.model.generate(ASKED)
        assert [reply.error for reply in replies if name != "strong"] in ([], [None] * len(ASKED))
        found[name] = [parse_json(reply.text) for reply in replies if reply.error is None]
    assert len(found["none"]) == len(found["idle"]) == len(ASKED)
    for plain, idle in zip(found["none"], found["idle"], strict=True):
        assert plain == pytest.approx(idle, abs=0.3)
    assert found["strong"] != found["idle"]


def test_a_folder_without_an_adapter_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"r": 1000000}')
    for folder, why in ((tmp_path / "no", "No such file"), (tmp_path, "a rank that is not")):
        with pytest.raises(ConfigError, match=f"no LoRA adapter that vllm can use .*{why}"):
            open_model(f"vllm:base+lora={folder}")
