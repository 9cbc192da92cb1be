"""Prompt variants and their rendering."""

from rag_rec.prompt.render import PromptRenderer, RenderedPrompt
from rag_rec.prompt.variant import PromptSettings, Variant, load_variant, variant_names

__all__ = [
    "PromptRenderer",
    "PromptSettings",
    "RenderedPrompt",
    "Variant",
    "load_variant",
    "variant_names",
]
