"""What a list must obey: checked item by item, counted over a list, written as short text."""

from rag_rec.constraints.check import ItemRules, failed, fold, limits_items, limits_lists, without
from rag_rec.constraints.choose import Choice, choose
from rag_rec.constraints.describe import describe
from rag_rec.constraints.tally import Tally
from rag_rec.constraints.where import RELAXABLE, where

__all__ = [
    "RELAXABLE",
    "Choice",
    "ItemRules",
    "Tally",
    "choose",
    "describe",
    "failed",
    "fold",
    "limits_items",
    "limits_lists",
    "where",
    "without",
]
