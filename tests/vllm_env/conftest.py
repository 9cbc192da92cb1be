"""SmolLM2 behind vLLM, in this process and as a server; see `make test-vllm`."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from rag_rec.llm import ChatModel, open_model

FOLDER = Path(__file__).parents[2] / ".cache" / "smollm2"
START_S = 300
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_CPU_KVCACHE_SPACE": "2",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_NO_USAGE_STATS": "1",
}


@dataclass(frozen=True)
class Served:
    """A model under test and its prefix cache: tokens looked up, tokens found."""

    model: ChatModel
    prefix_cache: Callable[[], tuple[float, float]]


@contextmanager
def in_process(lora: str | None = None) -> Iterator[Served]:
    from rag_rec.llm.adapters.vllm import VllmChatModel

    # Compiling kernels would take longer than all the tests.
    options = {"enforce_eager": True, "disable_log_stats": False}
    model = VllmChatModel(str(FOLDER), lora=lora, engine_options=options)

    def prefix_cache() -> tuple[float, float]:
        values = {metric.name: getattr(metric, "value", 0) for metric in model._llm.get_metrics()}
        return values["vllm:prefix_cache_queries"], values["vllm:prefix_cache_hits"]

    try:
        yield Served(model, prefix_cache)
    finally:
        model.close()


@contextmanager
def behind_server(log: Path) -> Iterator[Served]:
    with running_server(log) as address:
        model = open_model(f"openai:smollm2@{address}/v1")
        assert model is not None

        def prefix_cache() -> tuple[float, float]:
            text = get(f"{address}/metrics")
            queries, hits = (
                float(re.findall(rf"^vllm:prefix_cache_{name}_total\S* (\S+)$", text, re.M)[0])
                for name in ("queries", "hits")
            )
            return queries, hits

        try:
            yield Served(model, prefix_cache)
        finally:
            model.close()


@contextmanager
def running_server(log: Path) -> Iterator[str]:
    """Address of a vLLM server on a free loopback port; stopped at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = {
        "--model": str(FOLDER),
        "--served-model-name": "smollm2",
        "--host": "127.0.0.1",
        "--port": str(port),
        "--structured-outputs-config": json.dumps(
            {"backend": "xgrammar", "disable_any_whitespace": True}
        ),
    }
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--enforce-eager"]
    command += [part for option in options.items() for part in option]
    with log.open("w") as output:
        server = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_until_healthy(server, f"http://127.0.0.1:{port}", log)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()  # ends its engine processes too
        try:
            server.wait(60)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def wait_until_healthy(server: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            get(f"{address}/health")
        except OSError:
            time.sleep(0.5)
        else:
            return
    raise RuntimeError("the vLLM server does not start:\n" + log.read_text()[-3_000:])


def get(address: str) -> str:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(address, timeout=10) as reply:
        return reply.read().decode("utf-8")


@pytest.fixture(scope="module", params=["engine", "server"])
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """One after the other, never both: each wants all cores."""
    if not FOLDER.is_dir():
        pytest.skip(f"{FOLDER} is missing: run `make test-vllm`")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, os.environ.get(name, value))
        log = tmp_path_factory.mktemp("vllm") / "server.log"
        with in_process() if request.param == "engine" else behind_server(log) as model:
            yield model


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., AbstractContextManager[Served]]:
    """Opens an engine of its own; not for tests that use `served`."""
    if not FOLDER.is_dir():
        pytest.skip(f"{FOLDER} is missing: run `make test-vllm`")
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, os.environ.get(name, value))
    return in_process
