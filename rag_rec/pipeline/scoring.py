"""Scores in place of words: the replies to all prompts of a state become one reading."""

from __future__ import annotations

from rag_rec.grounding import Reading, Unscored, mean_scores, read_scores, scored_reading
from rag_rec.pipeline.blend import blended_scores
from rag_rec.pipeline.state import RecommendationState


def take_scores(state: RecommendationState) -> None:
    """Read the scores of a state whose calls have all been answered.

    Replies that failed or cannot be read are named in the list's error; the others count. Items
    are ordered by the scores and retrieval's order together, at the state's weight.
    """
    answered = [exchange.completion for exchange in state.exchanges if exchange.purpose == "list"]
    scored: list[dict[str, float]] = []
    problems: list[str] = []
    for prompt, completion in zip(state.prompts, answered, strict=True):
        if completion.error is not None:
            state.failure = completion.error
            continue
        try:
            scored.append(read_scores(completion.text, prompt.labels))
        except Unscored as error:
            problems.append(str(error))
    if state.failure is not None:
        n_failed = len(answered) - len(scored) - len(problems)
        part = "" if not scored else f"{n_failed} of {len(answered)} prompts failed: "
        state.error = part + str(state.failure)
    if not scored and not problems:
        state.reading = Reading()
        return
    retrieved = [candidate.item_id for candidate in state.candidates]
    order: list[str] = []
    if scored:
        state.scores = mean_scores(scored)
        order = blended_scores(state.scores, retrieved, state.weight)
    state.reading = scored_reading(order, retrieved, problems, answered[0].text)
