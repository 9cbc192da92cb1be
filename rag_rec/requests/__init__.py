"""A wish in plain words becomes constraints and query text; what was understood is returned."""

from rag_rec.language import Names
from rag_rec.requests.keyword_reading import by_keywords
from rag_rec.requests.model_reading import read_request, request_for
from rag_rec.requests.reader import RequestReader, with_request

__all__ = ["Names", "RequestReader", "by_keywords", "read_request", "request_for", "with_request"]
