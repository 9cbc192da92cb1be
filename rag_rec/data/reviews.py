"""`ReviewStore`: reviews on disk, and the digest of a frame."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

import polars as pl

from rag_rec.core import ScratchFolder


class ReviewStore:
    """Reviews on disk, in parts, so that their number does not matter to memory.

    The folder holds ``part-*.parquet`` with the columns of `REVIEWS` and goes with this object.

    Attributes:
        count: Number of reviews.
        digest: SHA-256 of their content.
    """

    def __init__(self, frames: Iterable[pl.DataFrame]) -> None:
        """Store the frames in order."""
        self._scratch = ScratchFolder("reviews")
        self.count = 0
        state = hashlib.sha256()
        for number, frame in enumerate(frames):
            frame.write_parquet(self._scratch.path / f"part-{number:06d}.parquet")
            self.count += frame.height
            state.update(frame_digest(frame).encode())
        self.digest = state.hexdigest()

    def frames(self) -> Iterator[pl.DataFrame]:
        """Yield the frames in order, one in memory at a time."""
        for part in sorted(self._scratch.path.glob("part-*.parquet")):
            yield pl.read_parquet(part)


def frame_digest(frame: pl.DataFrame) -> str:
    """Return the SHA-256 of a frame's content, independent of chunking."""
    text = frame.select(pl.struct(pl.all()).struct.json_encode().alias("row"))["row"]
    state = hashlib.sha256()
    for part in text.rechunk().to_frame().iter_slices(10_000):
        state.update("\n".join(part["row"].to_list()).encode())
    return state.hexdigest()
