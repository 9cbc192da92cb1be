"""What a list must obey: checked item by item, counted over a list, written as short text."""

from rag_rec.constraints.formatter import describe
from rag_rec.constraints.item_rules import (
    ItemRules,
    both,
    failed,
    fold,
    limits_items,
    limits_lists,
    without,
)
from rag_rec.constraints.list_rules import Tally
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
    "where",
    "without",
]
