"""The text embedder of an index, tuned on the log."""
