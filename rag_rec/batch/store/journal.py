"""Files that survive a kill at any byte: an append-only one of JSON lines, and one replaced whole.

A record is one line and one ``write``. Bytes that ``write`` has taken survive the death of the
process; after `Journal.sync` they survive the death of the machine. A process that dies inside
a ``write`` leaves a last line without its end; the next one to open the file removes it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rag_rec.batch.store.record import Record
from rag_rec.core import MODE, StorageError, open_private

_BLOCK = 1 << 16


class Journal:
    """An append-only file of JSON lines; the caller makes sure that there is one writer.

    Args:
        path: The file; made when it is not there.

    Attributes:
        recovered: Bytes of an unfinished last line that were removed on opening.

    Raises:
        StorageError: If the file cannot be opened or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, MODE)
            if not stat.S_ISREG(os.fstat(self._fd).st_mode):
                os.close(self._fd)
                raise StorageError("is not a regular file; name another --out", path=path)
            self.recovered = self._recover()

    def append(self, line: bytes) -> None:
        """Write one record, given without its line end, or nothing of it.

        Raises:
            StorageError: If it cannot be written; records before it are intact.
        """
        with self._errors():
            record = memoryview(line + b"\n")
            try:
                while record:
                    record = record[self._write(record) :]
            except OSError:
                with suppress(OSError):  # the next to open the file removes the torn line
                    self._recover()
                raise

    def sync(self) -> None:
        """Return when everything appended is on the disk."""
        with self._errors():
            os.fsync(self._fd)

    def clear(self) -> None:
        """Remove all records."""
        with self._errors():
            os.ftruncate(self._fd, 0)
            os.fsync(self._fd)

    def close(self) -> None:
        """Close the file, all of it on the disk; harmless when called twice."""
        if self._fd >= 0:
            with self._errors():
                os.fsync(self._fd)
                os.close(self._fd)
            self._fd = -1

    def _write(self, part: memoryview) -> int:
        """Write and return the number of bytes taken; a test may put a kill inside."""
        return os.write(self._fd, part)

    def _recover(self) -> int:
        size = os.fstat(self._fd).st_size
        end = size
        while end:
            begin = max(0, end - _BLOCK)
            cut = os.pread(self._fd, end - begin, begin).rfind(b"\n")
            if cut >= 0:
                end = begin + cut + 1
                break
            end = begin
        if end < size:
            os.ftruncate(self._fd, end)
            os.fsync(self._fd)
        return size - end

    @contextmanager
    def _errors(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError(
                f"cannot be written ({error.strerror}); records before are intact: "
                "run the same command again when that is mended",
                path=self.path,
            ) from error


def read_journal(path: Path) -> Iterator[Record]:
    """Yield the records of a journal, in order; a last line without its end is left out.

    Raises:
        StorageError: At a line that is not a record; the file has other writers.
    """
    with path.open("rb") as handle:
        for number, line in enumerate(handle, 1):
            if not line.endswith(b"\n"):
                return
            try:
                yield Record.of(line[:-1].decode())
            except ValueError as error:
                why = str(error).splitlines()[0]
                message = f"line {number} is not a record ({why}); was the file edited?"
                raise StorageError(message, path=path) from error


def replace_file(path: Path, text: str) -> None:
    """Write a file whole, or leave the one that was there.

    Raises:
        StorageError: If it cannot be written.
    """
    fresh = path.with_name(path.name + ".new")
    try:
        with open_private(fresh, "w", encoding="utf-8") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        fresh.replace(path)
    except OSError as error:
        raise StorageError(f"cannot be written ({error.strerror})", path=path) from error
