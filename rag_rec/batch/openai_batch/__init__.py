"""Openai batch."""
