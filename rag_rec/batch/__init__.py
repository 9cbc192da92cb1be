"""Batch: a user file in, a complete output file out, resumable after any interruption."""

from rag_rec.batch.engines.base import BatchPipeline, open_recommender
from rag_rec.batch.estimate import estimate
from rag_rec.batch.limits import RunLimiter
from rag_rec.batch.openai_batch.export import (
    MAX_REQUESTS,
    export_requests,
    offline_recommender,
    read_manifest,
)
from rag_rec.batch.openai_batch.importing import ImportSummary, import_answers
from rag_rec.batch.openai_batch.submission import Submission, poll, submit
from rag_rec.batch.progress import JsonEvents, Progress, Status, progress_for
from rag_rec.batch.run import BatchOptions, Summary, run
from rag_rec.batch.store.convert import convert
from rag_rec.batch.store.job import Totals
from rag_rec.batch.store.record import BatchRecord, FailureRecord

__all__ = [
    "MAX_REQUESTS",
    "BatchOptions",
    "BatchPipeline",
    "BatchRecord",
    "FailureRecord",
    "ImportSummary",
    "JsonEvents",
    "Progress",
    "RunLimiter",
    "Status",
    "Submission",
    "Summary",
    "Totals",
    "convert",
    "estimate",
    "export_requests",
    "import_answers",
    "offline_recommender",
    "open_recommender",
    "poll",
    "progress_for",
    "read_manifest",
    "run",
    "submit",
]
