"""The notebooks run from top to bottom, and show what they say they show."""

from __future__ import annotations

import asyncio
import warnings
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "notebooks"


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.ipynb")))
def test_a_notebook_runs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with warnings.catch_warnings():
        # Jupyter's own packages warn of each other's names
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        import nbformat
        from nbclient import NotebookClient

        monkeypatch.setenv("PYTHONPATH", str(FOLDER.parent))
        monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
        book = nbformat.read(FOLDER / name, as_version=4)
        client = NotebookClient(book, timeout=240, kernel_name="python3")
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(client.async_execute())
        finally:
            loop.close()
    outputs = [output for cell in book.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 2
    said = "".join(output.get("text", "") for output in outputs)
    assert "turned round is worse than retrieval only" in said
