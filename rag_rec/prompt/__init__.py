"""Prompt variants and their rendering."""

from rag_rec.prompt.evidence import facts_of
from rag_rec.prompt.render import PromptRenderer, RenderedPrompt
from rag_rec.prompt.variant import PromptSettings, Variant, load_variant, variant_names

__all__ = [
    "PromptRenderer",
    "PromptSettings",
    "RenderedPrompt",
    "Variant",
    "facts_of",
    "load_variant",
    "variant_names",
]
