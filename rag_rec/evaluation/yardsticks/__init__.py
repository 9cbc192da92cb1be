"""Yardsticks of retrieval: strata, its single sources, a training-free heuristic, shortcuts."""
