"""``python -m rag_rec.cli``: the same as ``rag-rec``."""

from rag_rec.cli.app import main

main()
