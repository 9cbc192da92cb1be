"""The fingerprint of a run: everything that can change a list."""

from __future__ import annotations

from typing import Any

from rag_rec.batch.store.record import VERSION
from rag_rec.core import FILES, NOT_IDENTITY, Model
from rag_rec.recommender import Recommender


class RunFingerprint(Model):
    """The parts of a run id, kept so that a difference can be named.

    Attributes:
        run_id: Hash of settings, prompt, index and model.
        model: The model's name.
        prompt: Digest of the prompt variant.
        blend: Digest of the blend; empty without one.
        index: Digest of the index's manifest.
        type: Type of the lists.
        k: List length of users that do not ask for another; None for the type's own.
        new_items: Share of new items in lists of users that do not ask for another.
        settings: All other settings that can change a list, and the paths of prompt and blend.
        schema_version: Version of the records.
    """

    run_id: str
    model: str
    prompt: str
    blend: str = ""
    index: str
    type: str = "topk"
    k: int | None
    new_items: float = 0
    settings: dict[str, Any]
    schema_version: int = VERSION

    @classmethod
    def of(
        cls, recommender: Recommender, *, list_type: str, k: int | None, new_items: float = 0
    ) -> RunFingerprint:
        """Return the fingerprint of the lists that a recommender makes."""
        settings = recommender.settings
        return cls(
            run_id=recommender.run_id,
            model=recommender.model.name if recommender.model else "none",
            prompt=recommender.variant.digest[:16],
            blend=recommender.blend_digest[:16],
            index=recommender.index.manifest.digest()[:16],
            type=list_type,
            k=k,
            new_items=new_items,
            settings=settings.model_dump(mode="json", exclude=NOT_IDENTITY),
        )

    def differences(self, other: RunFingerprint) -> list[str]:
        """Return one line for each part in which another differs; empty if they are the same."""
        mine, theirs = _flat(self), _flat(other)
        return [
            f"{name} was {mine.get(name)!r} and is {theirs.get(name)!r}"
            for name in sorted(mine.keys() | theirs.keys())
            if mine.get(name) != theirs.get(name)
        ]


def _flat(fingerprint: RunFingerprint) -> dict[str, Any]:
    parts = fingerprint.model_dump(exclude={"settings", "run_id"})
    settings = {name: value for name, value in fingerprint.settings.items() if name not in FILES}
    return parts | {f"settings.{name}": value for name, value in settings.items()}
