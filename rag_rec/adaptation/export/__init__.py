"""Training files for language models."""
