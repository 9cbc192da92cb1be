"""The command line: ``rag-rec``, one file a command group."""

from rag_rec.cli.app import app, main

__all__ = ["app", "main"]
