"""Files with users in them are for the account that wrote them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from rag_rec.core import make_private, open_private


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.skipif(os.name == "nt", reason="no modes there")
@pytest.mark.parametrize("mode", ["w", "wb", "a", "x"])
def test_a_new_file_is_its_owners_and_an_old_one_keeps_its_mode(mode: str, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        path = tmp_path / "one"
        open_private(path, mode).close()
        assert mode_of(path) == 0o600
        path.chmod(0o640)
        make_private(path)
        if mode != "x":
            open_private(path, mode).close()
        assert mode_of(path) == 0o640
        make_private(tmp_path / "two")
        assert mode_of(tmp_path / "two") == 0o600
    finally:
        os.umask(before)
