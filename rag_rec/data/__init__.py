"""Files in, a validated `Dataset` out; splits of it; and the seam for file formats of your own."""

from rag_rec.data.dataset import SAMPLE_FOLDER, Dataset, load_sample
from rag_rec.data.filters import k_core, rated_at_least
from rag_rec.data.formats.base import Format, Sources, TableRows, Tables
from rag_rec.data.formats.registry import FORMATS, format_named, register_format
from rag_rec.data.given.load import GivenFiles, load_given
from rag_rec.data.inspection import inspect_file
from rag_rec.data.matching import normalise
from rag_rec.data.readers.files import FileRow, plain_file
from rag_rec.data.readers.rows import count_rows, read_rows
from rag_rec.data.rejects import MAX_REJECTED, BadRow, OnError, Rejects
from rag_rec.data.report import ColumnReport, TableReport
from rag_rec.data.reviews import ReviewStore
from rag_rec.data.schema import INTERACTIONS, ITEMS, LINE, REVIEWS, Column, dtypes
from rag_rec.data.splits.by_position import leave_last_out, split_within_users
from rag_rec.data.splits.by_time import split_at_time
from rag_rec.data.splits.by_user import split_users
from rag_rec.data.splits.hidden_items import hide_items
from rag_rec.data.splits.known_reviews import reviews_to_fit
from rag_rec.data.splits.split import Split
from rag_rec.data.splits.ties import is_tied, shuffle_ties
from rag_rec.data.tables import Choices
from rag_rec.data.update import updated
from rag_rec.data.values.times import moment_of

__all__ = [
    "FORMATS",
    "INTERACTIONS",
    "ITEMS",
    "LINE",
    "MAX_REJECTED",
    "REVIEWS",
    "SAMPLE_FOLDER",
    "BadRow",
    "Choices",
    "Column",
    "ColumnReport",
    "Dataset",
    "FileRow",
    "Format",
    "GivenFiles",
    "OnError",
    "Rejects",
    "ReviewStore",
    "Sources",
    "Split",
    "TableReport",
    "TableRows",
    "Tables",
    "count_rows",
    "dtypes",
    "format_named",
    "hide_items",
    "inspect_file",
    "is_tied",
    "k_core",
    "leave_last_out",
    "load_given",
    "load_sample",
    "moment_of",
    "normalise",
    "plain_file",
    "rated_at_least",
    "read_rows",
    "register_format",
    "reviews_to_fit",
    "shuffle_ties",
    "split_at_time",
    "split_users",
    "split_within_users",
    "updated",
]
