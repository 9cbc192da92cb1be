"""A wish in plain words becomes constraints and query text; what was understood is returned."""

from rag_rec.understand.ask import read_request, request_for
from rag_rec.understand.keywords import by_keywords
from rag_rec.understand.names import Names
from rag_rec.understand.reader import RequestReader, with_request

__all__ = [
    "Names",
    "RequestReader",
    "by_keywords",
    "read_request",
    "request_for",
    "with_request",
]
