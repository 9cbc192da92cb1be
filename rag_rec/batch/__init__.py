"""Batch: a user file in, a complete output file out, whatever happens in between."""

from rag_rec.batch.progress import Progress, Status
from rag_rec.batch.record import BatchRecord, FailureRecord
from rag_rec.batch.run import Options, Summary, run

__all__ = ["BatchRecord", "FailureRecord", "Options", "Progress", "Status", "Summary", "run"]
