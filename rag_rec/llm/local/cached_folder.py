"""Folders that are made once, kept in the user's cache and checked file by file when used."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from rag_rec.core import MODE, ConfigError, open_private, read_json

_log = logging.getLogger(__name__)
_FOLDER_MODE = 0o700
_MANIFEST = "manifest.json"


def cache_home() -> Path:
    """Return the folder of kept models: below ``XDG_CACHE_HOME``, else ``~/.cache``."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    # the standard says that a relative path is to be ignored
    base = Path(home) if Path(home).is_absolute() else Path.home() / ".cache"
    return base / "rag_rec" / "models"


def cached_folder(target: Path, make: Callable[[Path], None], notice: str) -> Path:
    """Return a folder, made first where it is missing or damaged.

    It is made beside its place and renamed, so that it is whole or absent. Of several processes
    one makes it and the others wait.

    Args:
        target: The folder.
        make: Fills an empty folder.
        notice: Line for the log before it is made.

    Raises:
        ConfigError: If the cache cannot be written.
    """
    if target.is_dir() and fault_of(target) is None:
        return target
    try:
        target.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        with FileLock(f"{target}.lock", mode=MODE):
            _make(target, make, notice)
    except OSError as error:
        why = f"the model's cache {target} cannot be written ({error})"
        raise ConfigError(f"{why}; let XDG_CACHE_HOME name a folder that can") from error
    return target


def _make(target: Path, make: Callable[[Path], None], notice: str) -> None:
    for left in target.parent.glob(f"{target.name}.*.partial"):  # of processes that were killed
        shutil.rmtree(left, ignore_errors=True)
    if target.exists():
        fault = fault_of(target)
        if fault is None:  # made while this process waited
            return
        _log.warning("%s is damaged (%s); it is made again", target, fault)
        shutil.rmtree(target)
    _log.warning("%s", notice)
    partial = target.with_name(f"{target.name}.{secrets.token_hex(4)}.partial")
    partial.mkdir(mode=_FOLDER_MODE)
    try:
        make(partial)
        files = sorted(path for path in partial.rglob("*") if path.is_file())
        for path in files:
            path.chmod(MODE)
        digests = {path.relative_to(partial).as_posix(): _digest(path) for path in files}
        with open_private(partial / _MANIFEST, "w", encoding="utf-8") as handle:
            json.dump({"sha256": digests}, handle, indent=1)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def fault_of(folder: Path) -> str | None:
    """Return the first thing in which a folder differs from its manifest, or None."""
    try:
        digests = read_json((folder / _MANIFEST).read_bytes())["sha256"]
        for name, digest in digests.items():
            if _digest(folder / name) != digest:
                return f"{name} has other content"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        missing = getattr(error, "filename", None)
        return f"{Path(missing).name} cannot be read" if missing else f"{_MANIFEST} is no manifest"
    return None


def _digest(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
