"""Readers of file kinds: CSV, JSON, Parquet, plain or compressed."""
