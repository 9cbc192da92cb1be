"""Texts of reviews: in the order asked for, and read once where many users are shown them."""

from __future__ import annotations

import sqlite3

import pytest

from rag_rec.index import ItemIndex
from rag_rec.index.review_table import ReviewTable
from rag_rec.index.writer import REVIEWS_FILE


def test_texts_asked_for_lately_are_not_read_again(hash_index: ItemIndex) -> None:
    table = ReviewTable(hash_index.folder / REVIEWS_FILE)
    first = table.texts([7, 3, 7])
    assert first[0] == first[2] != first[1]
    table.close()
    assert table.texts([3, 7]) == [first[1], first[0]]
    with pytest.raises(sqlite3.ProgrammingError):
        table.texts([3, 8])
