"""Retrieval-augmented recommendation: a model orders and explains, code makes every list valid.

>>> from rag_rec import Recommender
>>> rec = Recommender.open("indexes/shop", llm="local")     # doctest: +SKIP
>>> result = rec.recommend("user-42", k=5)                  # doctest: +SKIP
"""

import lazy_loader

# names and their rooms stand in __init__.pyi; a room is imported when one of its names is used
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
