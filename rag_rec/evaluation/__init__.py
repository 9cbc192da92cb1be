"""Measuring: splits, metrics, what each part of retrieval is worth, whole experiments."""

from rag_rec.data import Split, hide_items, leave_last_out, shuffle_ties
from rag_rec.evaluation.comparison import compare_reports
from rag_rec.evaluation.experiments.baselines import FittedIndex
from rag_rec.evaluation.experiments.experiment import Experiment
from rag_rec.evaluation.experiments.retrievers import RETRIEVERS, register_retriever
from rag_rec.evaluation.metrics.accuracy import (
    METRICS,
    Metric,
    ndcg,
    ranks_of,
    recall,
    register_metric,
    standard_error,
)
from rag_rec.evaluation.metrics.scorer import Relevance
from rag_rec.evaluation.protocols import DEFAULT_CUT, PROTOCOLS, SplitOptions, split_by, tied_share
from rag_rec.evaluation.rankings import read_candidates
from rag_rec.evaluation.regression_gate import EXIT, Gate, losses
from rag_rec.evaluation.report import conclusions, format_number, format_p, read_report
from rag_rec.evaluation.report_model import Report
from rag_rec.evaluation.retrieval import RetrievalOptions, evaluate_retrieval
from rag_rec.evaluation.retrieval_report import RetrievalReport
from rag_rec.evaluation.runner import run
from rag_rec.evaluation.yardsticks.against_sources import AgainstSource
from rag_rec.evaluation.yardsticks.shortcuts import Shortcuts

__all__ = [
    "DEFAULT_CUT",
    "EXIT",
    "METRICS",
    "PROTOCOLS",
    "RETRIEVERS",
    "AgainstSource",
    "Experiment",
    "FittedIndex",
    "Gate",
    "Metric",
    "Relevance",
    "Report",
    "RetrievalOptions",
    "RetrievalReport",
    "Shortcuts",
    "Split",
    "SplitOptions",
    "compare_reports",
    "conclusions",
    "evaluate_retrieval",
    "format_number",
    "format_p",
    "hide_items",
    "leave_last_out",
    "losses",
    "ndcg",
    "ranks_of",
    "read_candidates",
    "read_report",
    "recall",
    "register_metric",
    "register_retriever",
    "run",
    "shuffle_ties",
    "split_by",
    "standard_error",
    "tied_share",
]
