"""File formats: one file each, and a registry."""
