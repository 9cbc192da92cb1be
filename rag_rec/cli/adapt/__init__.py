"""``rag-rec adapt``: learning from the log of an index."""
