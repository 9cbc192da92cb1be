"""``rag-rec evaluate``: experiments, and retrieval on its own."""
