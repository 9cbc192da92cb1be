"""Damaged files: never a traceback, and no row lost without its line being named."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import zipfile
from collections.abc import Callable
from gzip import compress
from pathlib import Path

import polars as pl
import pytest

from rag_rec import DataError, Dataset
from rag_rec.data import LINE, Rejects
from rag_rec.data.readers.rows import read_chunks

CASES = int(os.environ.get("RAG_REC_CASES", "300"))
TITLES = (
    "Pot", "Plain pan", '10" pan', '"Swing it" teacher', "Café, large", "L’été", "Tea | pot; big",
    "5' rope", "back\\slash", "", "a, b, c", 'Größe "XL"', 'x""y', "two\nlines",
)  # fmt: skip


def rejects_in(side: Path) -> list[dict[str, str]]:
    with side.open(encoding="utf-8", newline="") if side.exists() else io.StringIO() as handle:
        return list(csv.DictReader(handle))


def loaded(path: Path, content: bytes) -> tuple[pl.DataFrame, list[dict[str, str]]]:
    """Return the items of a file and its bad rows."""
    path.write_bytes(content)
    side = path.with_name("rejected.csv")
    side.unlink(missing_ok=True)
    items = Dataset.load(items=path, on_error="skip", rejects_file=side, max_rejected=1).items
    return items, rejects_in(side)


def counted(path: Path) -> tuple[int, int]:
    """Count the rows that a reader gives or rejects, and the lines they stand on."""
    side = path.with_name("lines.csv")
    side.unlink(missing_ok=True)
    chunks = read_chunks(path, rejects=Rejects("skip", side))
    texts = ["".join(row) for chunk in chunks for row in chunk.drop(LINE).iter_rows()]
    texts += [row["found"] for row in rejects_in(side)]
    return len(texts), len(texts) + sum(text.count("\n") for text in texts)


def write_csv(rows: list[list[str]], rng: random.Random, delimiter: str) -> str:
    out = io.StringIO()
    style = rng.choice(("minimal", "minimal", "all", "backslash"))
    quoting = csv.QUOTE_MINIMAL if style == "minimal" else csv.QUOTE_ALL
    escape = {"doublequote": False, "escapechar": "\\"} if style == "backslash" else {}
    writer = csv.writer(
        out, delimiter=delimiter, quoting=quoting, lineterminator=rng.choice(("\n", "\r\n")),
        **escape,  # type: ignore[arg-type]
    )  # fmt: skip
    writer.writerows(rows)
    return out.getvalue()


def any_catalog(rng: random.Random) -> str:
    columns = ["item_id", "title", "price", "brand"][: rng.randint(2, 4)]
    rng.shuffle(columns)
    rows = [columns]
    for n in range(rng.randint(1, 12)):
        values = {
            "item_id": f"b{n}",
            "title": rng.choice(TITLES),
            "price": rng.choice(("", "3", "12.50", "1e1")),
            "brand": rng.choice(("", "Anna", 'O"K, Inc.')),
        }
        rows.append([values[name] for name in columns])
    return write_csv(rows, rng, rng.choice(",,;\t|"))


def with_quote(text: str, rng: random.Random) -> str:
    at = rng.randrange(text.index("\n") + 1, len(text) + 1)
    return text[:at] + '"' + text[at:]


def with_short_line(text: str, rng: random.Random) -> str:
    lines = text.split("\n")
    n = rng.randrange(1, len(lines))
    lines[n] = lines[n][: rng.randint(0, len(lines[n]))]
    return "\n".join(lines)


def with_lost_column(text: str, rng: random.Random) -> str:
    lines = text.split("\n")
    n = rng.randrange(1, len(lines))
    lines[n] = lines[n].rpartition(",")[0] or lines[n]
    return "\n".join(lines)


DAMAGES: tuple[Callable[[str, random.Random], str], ...] = (
    with_quote, with_quote, with_short_line, with_lost_column,
)  # fmt: skip


def flipped(content: bytes, rng: random.Random, n_flips: int) -> bytes:
    damaged = bytearray(content)
    for _ in range(n_flips):
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def lines_in(content: bytes, encoding: str) -> int:
    """Count the lines with more on them than separators, without a parser; not the header."""
    text = content.decode("latin-1" if encoding == "cp1252" else encoding, "replace")
    return sum(bool(line.strip(' \t\r\v\f\ufeff,;|"')) for line in text.split("\n")) - 1


def test_no_line_of_a_damaged_catalog_vanishes(tmp_path: Path) -> None:
    path, n_read = tmp_path / "items.csv", 0
    for seed in range(CASES):
        rng = random.Random(seed)
        text = any_catalog(rng)
        for _ in range(rng.randint(0, 3)):
            text = rng.choice(DAMAGES)(text, rng)
        encoding = rng.choice(("utf-8", "utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le"))
        content = flipped(text.encode(encoding), rng, rng.choice((0, 0, 1, 2)))
        path.write_bytes(content)
        try:
            n_rows, n_lines = counted(path)
            items, rejects = loaded(path, content)
        except DataError:  # of the header, or nothing is left
            continue
        n_read += 1
        assert n_lines >= lines_in(content, encoding), (seed, content)
        assert items.height + len(rejects) >= n_rows, (seed, content)
    assert n_read > 0.8 * CASES


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_a_stray_quote_anywhere_costs_at_most_its_own_row(
    delimiter: str, quoting: int, tmp_path: Path
) -> None:
    rows = [
        ["a1", "Pan", "3"],
        ["a2", f"Pot{delimiter} big", "4"],
        ["a3", "", ""],
        ["a4", "C", "5"],
    ]
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator="\n")  # type: ignore[arg-type]
    writer.writerows([["item_id", "title", "brand"], *rows])
    text = out.getvalue()
    for at in range(text.index("\n") + 1, len(text)):
        items, rejects = loaded(tmp_path / "items.csv", f'{text[:at]}"{text[at:]}'.encode())
        hit = text[:at].count("\n") - 1
        found = {row[0]: list(row) for row in items.select("item_id", "title", "brand").rows()}
        for n, row in enumerate(rows):
            if n != hit:
                assert found.get(row[0]) == row, (at, rejects)
        assert [int(row["row"]) for row in rejects] in ([], [hit + 2])
        assert len(found) + len(rejects) == len(rows)


def packed(name: str, rows: list[dict[str, object]]) -> bytes:
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()
    out = io.BytesIO()
    match name:
        case "items.json":
            return json.dumps({"items": rows}).encode()
        case "items.parquet":
            pl.DataFrame(rows).write_parquet(out)
        case "items.jsonl.gz":
            return compress(lines)
        case "items.zip":
            with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("items.jsonl", lines)
        case _:
            return lines
    return out.getvalue()


@pytest.mark.parametrize(
    "name", ["items.jsonl", "items.json", "items.parquet", "items.jsonl.gz", "items.zip"]
)
def test_other_damaged_files_are_read_in_full_or_named(name: str, tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"item_id": f"b{n}", "title": title, "price": n + 0.5, "categories": ["Tea", "Pots"]}
        for n, title in enumerate(TITLES)
    ]
    content = packed(name, rows)
    for seed in range(CASES // 4):
        rng = random.Random(seed)
        damaged = flipped(content, rng, rng.randint(1, 3))
        damaged = damaged[: rng.randrange(len(damaged))] if rng.random() < 0.2 else damaged
        try:
            items, rejects = loaded(tmp_path / name, damaged)
        except DataError:
            continue
        n_rows = sum(bool(line.strip()) for line in damaged.split(b"\n"))
        expected = n_rows if name == "items.jsonl" else len(rows)
        assert items.height + len(rejects) >= expected, (seed, damaged)


@pytest.mark.parametrize("name", ["items.csv.gz", "items.zip"])
def test_a_file_made_to_fill_the_disk_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag_rec.data.readers.files.FREELY_UNPACKED", 1 << 20)
    path = tmp_path / name
    bomb = b"item_id\n" + bytes(40 << 20)
    if path.suffix == ".gz":
        path.write_bytes(compress(bomb))
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("items.csv", bomb)
    assert len(bomb) > 200 * path.stat().st_size
    with pytest.raises(DataError, match=r"unpacks to more than \d+ MiB, 200 times its size"):
        Dataset.load(items=path)
