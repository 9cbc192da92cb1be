"""The ground step: replies become a list in which every slot, reason and constraint holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from rag_rec.core import Evidence
from rag_rec.grounding import Grounds, ReasonChecker, list_fields
from rag_rec.list_types import ListContext, list_type_of
from rag_rec.pipeline.state import RecommendationState


def ground(state: RecommendationState, context: ListContext, run_id: str) -> None:
    """Give a state its result: checked choices of the model, the rest by its list type.

    Args:
        state: A state whose model was asked, or had not to be.
        context: Index and retriever.
        run_id: Written into the list.

    Raises:
        ConfigError: If the kind contradicts its own constraints.
    """
    list_type, grounds = list_type_of(state.kind), _grounds(state, context)
    entries = state.reading.entries if state.reading else ()
    composed = list_type.compose(context, state.kind, state.task, grounds, entries)
    fields = list_fields(
        composed.choices,
        state.reading,
        grounds,
        k=state.kind.length,
        usage=state.usage,
        run_id=run_id,
        error=state.error,
    )
    if state.profile is not None and state.profile.status == "facts":
        fields["repairs"] = fields["repairs"].model_copy(update={"refuted_profile": 1})
    fields["understood"] = state.understood
    state.result = list_type.document(**fields, **composed.extras)


def _grounds(state: RecommendationState, context: ListContext) -> Grounds:
    """Return the facts that a state's list is checked against."""
    index = context.index
    checker = None
    if state.prompt is not None and state.prompt.evidence:
        is_brand = index.eligibility.is_brand
        checker = ReasonChecker(state.prompt.evidence, index.item_by_id, is_brand)

    def reasons_of(item_ids: Sequence[str]) -> Mapping[str, Evidence]:
        linked = context.retriever.explain(state.history, item_ids)
        unlinked = [item_id for item_id in item_ids if item_id not in linked]
        return {**linked, **_unlinked(state, context, unlinked)}

    return Grounds(
        history=state.history,
        candidates=state.candidates,
        item_of=index.item_by_id,
        reasons_of=reasons_of,
        checker=checker,
    )


def _unlinked(
    state: RecommendationState, context: ListContext, item_ids: Sequence[str]
) -> dict[str, Evidence]:
    """Return a sentence for items without a link to the history."""
    asked_for = {c.item_id for c in state.candidates if "profile" in c.sources}
    taken = context.index.popularity

    def sentence(item_id: str) -> str:
        if item_id in asked_for:
            return "Close to what was asked for."
        row = context.index.find(item_id)
        popular = row is not None and taken[row] > 0
        return "Popular with other users." if popular else "New in the catalog."

    return {
        item_id: Evidence(item_id=item_id, kind="history", text=sentence(item_id))
        for item_id in item_ids
    }


def without_reasons(state: RecommendationState) -> None:
    """Remove reasons that the prompt did not ask for: they are not checked."""
    if state.reading is not None:
        entries = tuple(replace(entry, reason="") for entry in state.reading.entries)
        state.reading = replace(state.reading, entries=entries)
