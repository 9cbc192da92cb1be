"""Measuring: splits, metrics, and what each part of retrieval is worth."""

from rag_rec.evaluate.metrics import ndcg, ranks_of, recall, standard_error
from rag_rec.evaluate.rankings import read_candidates
from rag_rec.evaluate.retrieval import Options, evaluate_retrieval
from rag_rec.evaluate.split import PROTOCOLS, Split, hide_items, leave_last_out, shuffle_ties

__all__ = [
    "PROTOCOLS",
    "Options",
    "Split",
    "evaluate_retrieval",
    "hide_items",
    "leave_last_out",
    "ndcg",
    "ranks_of",
    "read_candidates",
    "recall",
    "shuffle_ties",
    "standard_error",
]
