"""The reward: NDCG of what a reply names, read as the pipeline reads it."""

from __future__ import annotations

import pytest

from rag_rec.adaptation import ndcg_reward
from rag_rec.adaptation.reward import ndcg_of

GAINS = {"1": 0.0, "2": 1.0, "3": None}


@pytest.mark.parametrize(
    ("reply", "worth"),
    [
        ('{"items": [{"label": 2}]}', 1.0),
        ('{"items": [{"label": 1}, {"label": 2}]}', 0.6309),
        ('{"items": [{"label": 3}, {"label": 3}, {"label": 2}]}', 0.6309),
        ('{"items": [{"label": 1}]}', 0.0),
        ('{"items": [{"label": 9}]}', 0.0),
        ("no list", 0.0),
        ("", 0.0),
    ],
)
def test_a_reply_is_worth_its_ndcg(reply: str, worth: float) -> None:
    assert ndcg_of(reply, GAINS) == pytest.approx(worth, abs=1e-4)


def test_trl_gives_conversations_and_columns() -> None:
    reply = [{"role": "assistant", "content": '{"items": [{"label": 2}]}'}]
    found = ndcg_reward(
        completions=[reply, reply], ndcg=[GAINS, {"1": 1.0}], prompts=[[], []], label=[2, 1]
    )
    assert found == [1.0, 0.0]


def test_no_gain_at_all_is_worth_nothing() -> None:
    assert ndcg_of('{"items": [{"label": 1}]}', {"1": 0.0}) == 0.0
