"""Measuring: splits, metrics, what each part of retrieval is worth, whole experiments."""

from rag_rec.evaluate.compare import compare_reports
from rag_rec.evaluate.experiment import Experiment
from rag_rec.evaluate.metrics import ndcg, ranks_of, recall, standard_error
from rag_rec.evaluate.rankings import read_candidates
from rag_rec.evaluate.retrieval import Options, evaluate_retrieval
from rag_rec.evaluate.runner import run
from rag_rec.evaluate.split import PROTOCOLS, Split, hide_items, leave_last_out, shuffle_ties

__all__ = [
    "PROTOCOLS",
    "Experiment",
    "Options",
    "Split",
    "compare_reports",
    "evaluate_retrieval",
    "hide_items",
    "leave_last_out",
    "ndcg",
    "ranks_of",
    "read_candidates",
    "recall",
    "run",
    "shuffle_ties",
    "standard_error",
]
