"""Adapters to model backends, one file each; each registers its backend."""
