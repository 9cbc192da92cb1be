"""Tuning of rankers: models that score the candidates of a prompt."""
