"""What is shipped: names, files, docs, and that the repository speaks of itself alone."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import rag_rec
from rag_rec.core import errors

ROOT = Path(__file__).parents[2]


def test_the_public_names() -> None:
    assert sorted(rag_rec.__all__) == rag_rec.__all__
    for name in rag_rec.__all__:
        assert getattr(rag_rec, name).__doc__ or name == "__version__"
    missing = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.RagRecError)
    } - set(rag_rec.__all__)
    assert missing == set()


def test_the_error_tree_in_the_docstring_is_the_real_one() -> None:
    endings = "Error|Locked|Found|Index|Variable|Small|Limited|Exhausted|Timeout"
    names = rf"\b[A-Z][A-Za-z]+(?:{endings})\b|\bRefused\b|\bRunStopped\b|\bTruncated\b"
    drawn = set(re.findall(names, errors.__doc__ or ""))
    real = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    assert real <= drawn


def test_the_wheel_holds_the_prompts_and_the_sample(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    names = set(zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist())
    prompts = {f"rag_rec/prompts/{path.name}" for path in (ROOT / "prompts").glob("*.toml")}
    sample = {
        f"rag_rec/data/sample/{name}"
        for name in ("items.jsonl", "reviews.jsonl", "interactions.csv", "planted.json")
    }
    assert len(prompts) >= 5
    assert prompts | sample | {"rag_rec/cli/app.py"} <= names
    assert not any(name.startswith(("tests", "scripts", "indexes")) for name in names)


def test_importing_the_package_is_light() -> None:
    heavy = ["torch", "sentence_transformers", "llama_cpp", "langchain", "langchain_core", "vllm"]
    code = f"import sys, rag_rec; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=100
    )
    assert done.stdout.strip() == "[]"
