"""The list types by name; another one is added by `register_list_type`."""

from __future__ import annotations

from typing import Any

from rag_rec.core import ConfigError
from rag_rec.list_types.base import Kind, ListType
from rag_rec.list_types.bundle import BundleType
from rag_rec.list_types.play_sequence import PlaySequenceType
from rag_rec.list_types.slate import SlateType
from rag_rec.list_types.top_k import TopKType

LIST_TYPES: dict[str, ListType[Any]] = {}
"""List types by their name."""


def register_list_type(list_type: ListType[Any]) -> None:
    """Add a list type, or replace the one of the same name."""
    LIST_TYPES[list_type.name] = list_type


for _shipped in (TopKType(), BundleType(), PlaySequenceType(), SlateType()):
    register_list_type(_shipped)


def kind_of(name: str, k: int | None = None) -> Kind:
    """Return the kind of a list type's name.

    Args:
        name: A name of `LIST_TYPES`.
        k: Number of items (a row, for slates); the type's default if None.

    Raises:
        ConfigError: If there is no such list type.
    """
    if name not in LIST_TYPES:
        raise ConfigError(f"no list type '{name}'; there are {', '.join(LIST_TYPES)}")
    return LIST_TYPES[name].of_size(k)


def list_type_of(kind: Kind) -> ListType[Any]:
    """Return the list type of a kind.

    Raises:
        ConfigError: If its class is no registered kind.
    """
    for list_type in LIST_TYPES.values():
        if type(kind) is list_type.kind:
            return list_type
    raise ConfigError(
        f"{type(kind).__name__} is no registered kind of list; see rag_rec.list_types"
    )
