"""Prompt variants and their rendering."""

from rag_rec.prompting.numbering import facts_of
from rag_rec.prompting.orders import shuffled_orders
from rag_rec.prompting.renderer import PromptRenderer, RenderedPrompt
from rag_rec.prompting.variant import (
    PromptSettings,
    Variant,
    load_variant,
    prompt_folder,
    variant_names,
)

__all__ = [
    "PromptRenderer",
    "PromptSettings",
    "RenderedPrompt",
    "Variant",
    "facts_of",
    "load_variant",
    "prompt_folder",
    "shuffled_orders",
    "variant_names",
]
