"""rag_rec."""
__version__ = "0.1.0"
