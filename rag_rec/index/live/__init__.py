"""What changed since an index was built: a durable log, and the index as it is now."""
