"""From the files of a given split to what is fitted on and what is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from rag_rec.core import ConfigError, DataError
from rag_rec.data.dataset import ITEM_ID, checked, items_of
from rag_rec.data.formats.auto import read_auto
from rag_rec.data.formats.base import Sources, TableName, TableRows
from rag_rec.data.formats.registry import format_named
from rag_rec.data.given.chains import events_of
from rag_rec.data.given.questions import questions_of
from rag_rec.data.given.rows import GivenRows, read_given
from rag_rec.data.rejects import MAX_REJECTED, OnError, Rejects
from rag_rec.data.schema import LINE
from rag_rec.data.splits.known_reviews import reviews_to_fit
from rag_rec.data.splits.split import Split

_FORMATS = ("auto", "recbole", "sequences")


@dataclass(frozen=True, slots=True)
class GivenFiles:
    """The files of a given split.

    Attributes:
        train: What is fitted on. Without any, the fit has what the other files tell of the time
            before the questions: the events and histories of validation's file, for the test, and
            the history of each user's first question, where the file gives histories.
        validation: Questions to choose settings by; the test's histories go on from them.
        test: The test's questions.
        items: The catalog; without it, the items of all these files.
        reviews: Reviews; those of rows that are not fitted on are left out.
    """

    train: Sequence[Path] = ()
    validation: Path | None = None
    test: Path | None = None
    items: Path | None = None
    reviews: Path | None = None


def load_given(
    files: GivenFiles,
    *,
    ask_validation: bool = False,
    format: str = "auto",  # noqa: A002
    columns: Mapping[str, Mapping[str, str]] | None = None,
    forms: Mapping[str, Mapping[str, str]] | None = None,
    on_error: OnError = "stop",
    rejects_file: str | Path = "rejected.csv",
    max_rejected: float = MAX_REJECTED,
) -> Split:
    """Read a given split. Each row of the file that is asked is one question.

    A row with a history is asked with that. Without, it is asked with its user's events of the
    earlier files and those of its own file that have an earlier time. Rows without any history are
    not asked.

    Args:
        files: The files.
        ask_validation: True for validation's questions, False for the test's.
        format: ``auto``, ``recbole`` or ``sequences``.
        columns: As in `Dataset.load`; the files are the table ``interactions``.
        forms: As in `Dataset.load`.
        on_error: As in `Dataset.load`.
        rejects_file: As in `Dataset.load`.
        max_rejected: As in `Dataset.load`.

    Raises:
        ConfigError: If the file to ask is not given, or the format cannot be split so.
        DataError: If nothing is left to fit on or to ask, or as in `Dataset.load`.
    """
    if format not in _FORMATS:
        raise ConfigError(f"given splits are read with --format {', '.join(_FORMATS)}")
    path = files.validation if ask_validation else files.test
    if path is None:
        name, other = ("validation", "test") if ask_validation else ("test", "validation")
        raise ConfigError(f"give the file to ask: --{name} FILE, or --target {other}")
    rejects = Rejects(on_error, Path(rejects_file))
    tables: dict[TableName, Path | None] = {"items": files.items, "reviews": files.reviews}
    named: dict[TableName, Path] = {name: it for name, it in tables.items() if it is not None}
    sources = Sources(None, named, columns or {}, forms or {})
    paths = [*files.train, *(it for it in (files.validation, files.test) if it is not None)]
    given = {
        it: read_given(it, format_named(format), sources, rejects) for it in dict.fromkeys(paths)
    }
    before = paths[: paths.index(path)]
    log, fitted = _fit_log(files, given, path, before)
    if not files.train:
        rejects.notice(
            f"no training file: fitted on {log.height} events of {log['user_id'].n_unique()} users "
            f"that the files tell of from before the rows of {path.name}"
        )
    base = read_auto(sources, rejects)
    if base.items is None:
        catalog = items_of(_named(given), rejects).with_columns(pl.int_range(pl.len()).alias(LINE))
        base = replace(base, items=TableRows([catalog], path))
    base = replace(base, interactions=TableRows([log], (fitted or [path])[0]))
    dataset = checked(base, rejects, pl.DataFrame(schema=ITEM_ID))
    questions = questions_of(given[path], [given[it] for it in before], dataset.items, rejects)
    rejects.check(max_rejected)
    hidden = pl.concat([rows.frame for it, rows in given.items() if it not in fitted])
    known_until = _cut_between(dataset.interactions, hidden)
    pairs = hidden.select("user_id", "item_id").unique()
    reviews = reviews_to_fit(dataset.reviews, pairs, known_until)
    return Split(
        replace(dataset, reviews=reviews, rejected=rejects.count),
        questions["user_id"].to_list(),
        questions["input"].to_list(),
        questions["item_id"].to_list(),
        questions["tied"].to_list(),
        known_until,
    )


def _fit_log(
    files: GivenFiles, given: Mapping[Path, GivenRows], asked: Path, before: Sequence[Path]
) -> tuple[pl.DataFrame, list[Path]]:
    """Return the events that are fitted on, and the files whose rows they are."""
    paths = [*files.train] or [*before]
    frames = [given[it].frame for it in paths]
    if not files.train and given[asked].has_histories:
        first = given[asked].frame.unique("user_id", keep="first", maintain_order=True)
        frames.append(first.with_columns(item_id=pl.lit(None, pl.String)))
    log = events_of(pl.concat(frames)) if frames else pl.DataFrame()
    if not log.height:
        raise DataError("nothing to fit on: give --train FILE", path=asked)
    return log, paths


def _named(given: Mapping[Path, GivenRows]) -> pl.DataFrame:
    """Return the items that the files name, in the order of the files."""
    rows = [it.frame for it in given.values()]
    histories = (frame.select(pl.col("history").explode().alias("item_id")) for frame in rows)
    ids = pl.concat([*histories, *(frame.select("item_id") for frame in rows)])
    return ids.drop_nulls().unique(maintain_order=True)


def _cut_between(log: pl.DataFrame, hidden: pl.DataFrame) -> int | None:
    """Return the first time of the hidden rows, if all that is fitted on lies before it."""
    if log["timestamp"].null_count() or hidden["timestamp"].null_count():
        return None
    last, first = log["timestamp"].max(), hidden["timestamp"].min()
    return first if last < first else None  # pyright: ignore
