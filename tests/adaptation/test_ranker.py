"""Rankers: lists that are honest, a loss that is listwise, runs that go on, adapters that serve."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_rec import ConfigError, ItemIndex, RecommendationRequest, Recommender, Settings
from rag_rec.adaptation import (
    RankerOptions,
    TrainingLists,
    adapt_ranker,
    read_ranker_adaptation,
    training_lists,
)
from rag_rec.adaptation.ranker import adapt
from rag_rec.adaptation.ranker.examples import RankingExample, ranking_examples, split_by_user
from rag_rec.adaptation.ranker.record import RankerState
from rag_rec.adaptation.ranker.training import trained
from rag_rec.adaptation.ranker.validation import WEIGHTS, best_weight, ndcg, ndcg_table
from rag_rec.llm import Message, Request, open_model
from rag_rec.pipeline import Blend, blended_scores
from rag_rec.testing import ranking_request

SETTINGS = Settings(prompt="rank")


@pytest.fixture(scope="module")
def lists(hash_index_folder: Path) -> Iterator[TrainingLists]:
    from rag_rec.testing import HashEmbedder

    index = ItemIndex.open(hash_index_folder, HashEmbedder())
    with training_lists(index, 20, users=120) as found:
        yield found


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A cross-encoder of two thin layers, with the words of the embedded model."""
    from sentence_transformers import CrossEncoder
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    from rag_rec import SentenceTransformerEmbedder

    folder = tmp_path_factory.mktemp("base")
    words = AutoTokenizer.from_pretrained(str(SentenceTransformerEmbedder().packaged_folder))
    config = BertConfig(
        vocab_size=len(words), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, num_labels=1,
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    words.save_pretrained(folder)
    CrossEncoder(str(folder), num_labels=1).save_pretrained(str(folder))
    return str(folder)


def test_examples_show_what_would_be_sent_and_nothing_later(
    lists: TrainingLists, hash_index: ItemIndex
) -> None:
    examples = ranking_examples(lists, SETTINGS, 0, Counter())
    assert len(examples) == len(lists.lists)
    known = {one.history.user_id: one for one in lists.lists}
    for example in examples:
        one = known[example.user_id]
        events = [event.item_id for event in hash_index.history(example.user_id).events]
        assert one.target == events[-3]
        assert [event.item_id for event in one.history.events] == events[:-3]
        assert example.call.ranking is not None
        assert sorted(example.places) == [*range(1, len(example.places) + 1)]
        assert one.candidates[example.places[example.target] - 1].item_id == one.target
        title = lists.index.item_by_id(one.target).title
        assert example.call.ranking.documents[example.target] == title
    again = ranking_examples(lists, SETTINGS, 0, Counter())
    other = ranking_examples(lists, SETTINGS, 1, Counter())
    assert [one.call for one in again] == [one.call for one in examples]
    assert [one.places for one in other] != [one.places for one in examples]


def test_a_user_is_on_one_side_whatever_the_order(lists: TrainingLists) -> None:
    first = split_by_user(ranking_examples(lists, SETTINGS, 0, Counter()), 3)
    second = split_by_user(ranking_examples(lists, SETTINGS, 9, Counter()), 3)
    for one, other in zip(first, second, strict=True):
        assert [example.user_id for example in one] == [example.user_id for example in other]
    assert {e.user_id for e in first[0]}.isdisjoint(e.user_id for e in first[1])


def test_a_prompt_in_words_is_refused(lists: TrainingLists) -> None:
    with pytest.raises(ConfigError, match="asks for a list, and a ranker is tuned on scores"):
        ranking_examples(lists, Settings(prompt="plain"), 0, Counter())


@given(st.lists(st.floats(-5, 5, width=32), min_size=2, max_size=12, unique=True), st.data())
def test_validation_ranks_as_a_blend_serves(scores: list[float], data: st.DataObject) -> None:
    n = len(scores)
    places = data.draw(st.permutations(range(1, n + 1)))
    example = RankingExample("u", Request((Message("user", ""),)), tuple(places), 0)
    found = np.array(scores, np.float32)
    ids = [f"i{label}" for label in range(n)]
    retrieved = [ids[places.index(place)] for place in range(1, n + 1)]
    shares = found - np.logaddexp.reduce(found)
    for weight in (0.0, 0.3, 1.0):
        order = blended_scores(dict(zip(ids, shares.tolist(), strict=True)), retrieved, weight)
        rank = 1 + order.index("i0")
        wanted = 1 / np.log2(rank + 1) if rank <= 10 else 0.0
        near = sorted(weight * shares + (1 - weight) * example.prior)
        if np.diff(near).min() > 1e-5:  # ties of the last digits aside
            assert ndcg(example, found, weight) == pytest.approx(wanted)


def test_a_weight_must_gain_more_than_its_error() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1, (len(WEIGHTS), 50))
    noise[1:] += noise[0] * 0
    assert best_weight(np.zeros((len(WEIGHTS), 50))) == 0
    clear = np.zeros((len(WEIGHTS), 50))
    clear[3] = 0.5 + 0.01 * rng.normal(size=50)
    assert best_weight(clear) == WEIGHTS[3]


def options_of(base: str, **more: object) -> RankerOptions:
    given = {"base": base, "prompt": "rank", "lists": 100, "epochs": 2}
    return RankerOptions(**(given | {"minutes": 30.0, "rate": 1e-3} | more))  # pyright: ignore


class Stopper:
    """Ends a run when it has trained for so many steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def __call__(self, what: str, *_: object) -> None:
        self.left -= what == "tuning the ranker"
        if self.left < 0:
            raise KeyboardInterrupt


def test_a_killed_run_ends_like_a_whole_one(
    hash_index: ItemIndex, base: str, tmp_path: Path
) -> None:
    options = options_of(base, epochs=1)
    whole = adapt_ranker(hash_index, tmp_path / "whole", options)
    assert whole.end == "every epoch is done"
    with pytest.raises(KeyboardInterrupt):
        adapt_ranker(hash_index, tmp_path / "cut", options, on_step=Stopper(3))
    assert read_ranker_adaptation(tmp_path / "cut") is None
    resumed = adapt_ranker(hash_index, tmp_path / "cut", options)
    same = {"minutes"}
    assert resumed.model_dump(exclude=same) == whole.model_dump(exclude=same)
    assert adapt_ranker(hash_index, tmp_path / "whole", options) == whole
    with pytest.raises(ConfigError, match="name another folder"):
        adapt_ranker(hash_index, tmp_path / "whole", options_of(base, seed=5, epochs=1))
    names = {path.name for path in (tmp_path / "whole").rglob("*")}
    assert not [name for name in names if name.endswith((".pt", ".bin", ".pkl", ".new"))]


@pytest.mark.parametrize("kind", ["crossencoder", "lora"])
def test_what_gained_can_be_served(
    kind: str, hash_index: ItemIndex, base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gaining(*args: Any) -> RankerState:
        return trained(*args).model_copy(update={"best_step": 1})

    monkeypatch.setattr(adapt, "best_weight", lambda _: 0.4)  # as if it had gained
    monkeypatch.setattr(adapt, "trained", gaining)
    options = options_of(base if kind == "crossencoder" else tiny(tmp_path), kind=kind, epochs=1,
                         lists=60)  # fmt: skip
    assert adapt_ranker(hash_index, tmp_path / "out", options).gained
    spec = (
        f"crossencoder:{tmp_path}/out"
        if kind == "crossencoder"
        else f"{options.base}+lora={tmp_path}/out"
    )
    model = open_model(spec)
    assert model is not None
    assert model.generate([ranking_request(("tea", "twine"))])[0].error is None
    assert Blend.load(tmp_path / "out" / "blend.toml").answer == "scores"
    settings = Settings.load(tmp_path / "out" / "serve.toml")
    assert settings.llm == spec
    recommender = Recommender(hash_index, model, settings)
    (state,) = recommender.run([RecommendationRequest("user-042")])
    assert state.made().outcome == "ok"
    assert state.weight == 0.4


def tiny(folder: Path) -> str:
    """A causal model of two thin layers, with the words of the embedded one."""
    from transformers import LlamaConfig, LlamaForCausalLM

    from rag_rec.llm import LocalChatModel

    local = open_model("local")
    assert isinstance(local, LocalChatModel)
    config = LlamaConfig(
        vocab_size=local.engine.n_vocab, hidden_size=32, intermediate_size=64,
        num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder / "tiny")
    local.engine.tokenizer.save_pretrained(folder / "tiny")
    return f"local:{folder / 'tiny'}"


def test_the_loss_teaches_the_order(lists: TrainingLists, base: str) -> None:
    """A model that may learn some lists by heart puts their targets first."""
    from rag_rec.adaptation.ranker.scorers import PairScorer
    from rag_rec.adaptation.ranker.tuner import RankerTuner

    examples = ranking_examples(lists, SETTINGS, 0, Counter())[:8]
    tuner = RankerTuner(PairScorer(base, seed=0), rate=5e-3, others=19)
    before = ndcg_table(examples, tuner.scores(examples)).mean(axis=1)
    losses = [tuner.step(examples, step, 0) for step in range(1, 40)]
    after = ndcg_table(examples, tuner.scores(examples)).mean(axis=1)
    assert np.mean(losses[-5:]) < 0.7 * losses[0]
    assert after[5] > before[5] + 0.1
