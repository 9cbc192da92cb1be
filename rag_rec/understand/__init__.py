"""A wish in plain words becomes constraints and query text; what was understood is returned."""

from rag_rec.understand.ask import read_request, request_for
from rag_rec.understand.keywords import by_keywords
from rag_rec.understand.names import Names

__all__ = ["Names", "by_keywords", "read_request", "request_for"]
