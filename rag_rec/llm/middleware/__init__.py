"""Layers between a caller and a model: cache, admission, retries."""
