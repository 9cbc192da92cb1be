"""Splits of a log: what a model is fitted on, what it is asked with, what it is to predict."""
