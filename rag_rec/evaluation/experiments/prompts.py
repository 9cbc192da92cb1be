"""Prompt variants with an experiment's own settings, written out so that they can be read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from rag_rec.core import PromptError
from rag_rec.prompting import Variant, load_variant, prompt_folder


def with_settings(name: str, settings: Mapping[str, int], folder: Path) -> Path:
    """Write a prompt variant whose settings are replaced by these.

    Args:
        name: A shipped variant or a ``.toml`` file.
        settings: What to replace, by the names of `PromptSettings`.
        folder: Where the file goes, under the variant's own name.

    Raises:
        PromptError: If there is no such variant, or the result is not one.
    """
    load_variant(name)  # says what is wrong in the user's own words
    source = Path(name) if name.endswith(".toml") else prompt_folder() / f"{name}.toml"
    text = _replaced(source.read_text(encoding="utf-8"), settings)
    Variant(source.stem, text)
    path = folder / source.name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    elif path.read_text(encoding="utf-8") != text:
        raise PromptError(
            f"{path} holds an earlier text of prompt '{name}'; answers to two texts are not "
            "mixed: give another --out"
        )
    return path


def _replaced(text: str, settings: Mapping[str, int]) -> str:
    """Put the settings first into the table of a file, which gets one if it has none."""
    added = [f"{name} = {value}" for name, value in sorted(settings.items())]
    head, mark, rest = re.split(r"(?m)(^\[settings\][^\n]*\n|\Z)", text, maxsplit=1)
    following = re.search(r"(?m)^\[", rest)
    end = following.start() if following else len(rest)
    lines = rest[:end].splitlines()
    kept = [line for line in lines if line.partition("=")[0].strip() not in settings]
    return head + (mark or "\n[settings]\n") + "\n".join([*added, *kept]) + "\n" + rest[end:]
