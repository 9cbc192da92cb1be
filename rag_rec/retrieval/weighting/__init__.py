"""Weights of the sources."""
