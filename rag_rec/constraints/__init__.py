"""Constraints of a list: read from text, checked item by item, counted over the list."""

from rag_rec.constraints.formatter import describe
from rag_rec.constraints.item_rules import (
    ItemRules,
    both,
    failed,
    fold,
    limits_items,
    price_bounds,
    release_bounds,
    without,
)
from rag_rec.constraints.list_rules import Tally, limits_lists, n_new_items
from rag_rec.constraints.parser import RELAXABLE, where
from rag_rec.constraints.selection import Choice, choose

__all__ = [
    "RELAXABLE",
    "Choice",
    "ItemRules",
    "Tally",
    "both",
    "choose",
    "describe",
    "failed",
    "fold",
    "limits_items",
    "limits_lists",
    "n_new_items",
    "price_bounds",
    "release_bounds",
    "where",
    "without",
]
