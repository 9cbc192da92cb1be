"""Who is asked, with what, and what is hidden; blends, from their fit to the recommender."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_rec import Dataset, ItemIndex, Recommender, Settings
from rag_rec.core import Repairs, Usage, UserHistory
from rag_rec.core.errors import ConfigError, DataError
from rag_rec.evaluation.experiments.answers import UserAnswer
from rag_rec.evaluation.experiments.experiment import SplitSettings
from rag_rec.evaluation.experiments.prompts import with_settings
from rag_rec.evaluation.experiments.sampling import sample_users
from rag_rec.evaluation.measuring.blend_fitting import fit_blend, share_asked
from rag_rec.evaluation.measuring.model_behaviour import model_behaviour
from rag_rec.evaluation.metrics.scorer import Scorer, Task
from rag_rec.pipeline.blend import Blend, LengthWeight, blended
from rag_rec.prompting import load_variant
from rag_rec.testing import ScriptedModel


def test_strata_keep_their_shares_and_a_seed_its_users(sample: Dataset) -> None:
    settings = SplitSettings(users=100, validation_users=30)
    whole = sample_users(sample, SplitSettings(users=0, validation_users=0), 7).test.tasks
    some = sample_users(sample, settings, 7).test.tasks
    assert len(some) == 100
    for name in ("cold", "warm", "hot"):
        share = sum(task.stratum == name for task in whole) / len(whole)
        assert abs(sum(task.stratum == name for task in some) - 100 * share) < 1
    assert some == sample_users(sample, settings, 7).test.tasks
    other = sample_users(sample, settings, 8)
    assert set(other.test.user_ids) != set(sample_users(sample, settings, 7).test.user_ids)
    lengths = [len(task.history.events) for task in some if task.stratum == "cold"]
    assert max(lengths) < 5


def test_the_temporal_split_sees_nothing_after_its_cut(sample: Dataset) -> None:
    settings = SplitSettings(protocol="temporal", users=0, validation_users=50)
    found = sample_users(sample, settings, 7)
    times = sample.interactions["timestamp"].sort()
    first, second = times[int(len(times) * 0.8)], times[int(len(times) * 0.9)]
    assert found.fit.interactions["timestamp"].max() < first
    assert all(
        frame["timestamp"].is_null().all() or frame["timestamp"].max() < first
        for frame in found.fit.reviews.frames()
    )
    for part, cut in ((found.validation, first), (found.test, second)):
        assert part.tasks
        assert all(e.timestamp < cut for task in part.tasks for e in task.history.events)
    log = sample.interactions.filter(pl.col("timestamp") >= second)
    following = dict(log.group_by("user_id").first().select("user_id", "item_id").iter_rows())
    targets = found.test.scorer.targets_of([task.key for task in found.test.tasks])
    assert [t[0] for t in targets] == [following[user] for user in found.test.user_ids]
    timeless = replace(
        sample, interactions=sample.interactions.with_columns(timestamp=pl.lit(None, pl.Int64))
    )
    with pytest.raises(DataError, match="needs a time"):
        sample_users(timeless, settings, 7)


def test_settings_of_a_prompt_are_replaced_in_a_copy(tmp_path: Path) -> None:
    for name in ("plain", "fewshot", "reviews"):
        path = with_settings(name, {"max_candidates": 6, "reason_chars": 0}, tmp_path)
        before, after = load_variant(name), load_variant(path)
        assert after.settings == before.settings.model_copy(
            update={"max_candidates": 6, "reason_chars": 0}
        )
        assert after.examples == before.examples
        assert after.system.template == before.system.template


@given(st.permutations(list("abcdef")), st.floats(0, 1), st.integers(0, 6))
def test_a_blend_changes_the_order_and_nothing_else(
    items: list[str], weight: float, n_chosen: int
) -> None:
    chosen = [at < n_chosen for at in range(6)]
    retrieved = sorted(items)
    found = blended(items, chosen, retrieved, weight)
    assert sorted(found) == retrieved
    assert blended(items, chosen, retrieved, 0.0) == retrieved
    assert blended(items, [True] * 6, retrieved, 1.0) == items


def test_a_blend_file_is_read_back(tmp_path: Path) -> None:
    entries = (LengthWeight(at_least=0, weight=0.0), LengthWeight(at_least=5, weight=0.4))
    blend = Blend(weight=0.2, by_history=entries, fitted_on='a "quoted" run')
    blend.save(tmp_path / "blend.toml")
    again = Blend.load(tmp_path / "blend.toml")
    assert again.by_history == blend.by_history
    assert again.digest() == blend.digest()
    assert [again.weight_for(n) for n in (0, 4, 5, 90)] == [0, 0, 0.4, 0.4]
    for text, said in (
        ("weight = 2", "less than or equal to 1"),
        ("weight =", "is not TOML"),
        ("weight = 1\nwait = 1", "wait"),
        ("weight = 1\n[[by_history]]\nat_least=5\nweight=1\n[[by_history]]\nat_least=2\nweight=1",
         "rising"),
    ):  # fmt: skip
        (tmp_path / "bad.toml").write_text(text)
        with pytest.raises(ConfigError, match=said):
            Blend.load(tmp_path / "bad.toml")
    with pytest.raises(ConfigError, match="there is no blend file"):
        Blend.load(tmp_path / "none.toml")


def test_the_recommender_asks_only_where_a_blend_says_so(
    hash_index: ItemIndex, tmp_path: Path
) -> None:
    def last_first(request: object) -> str:
        labels = list(range(10, 5, -1))
        return json.dumps({"items": [{"label": label} for label in labels]})

    entries = (LengthWeight(at_least=0, weight=0.0), LengthWeight(at_least=3, weight=1.0))
    Blend(weight=0.0, by_history=entries).save(tmp_path / "blend.toml")
    model = ScriptedModel(last_first)
    settings = Settings(llm="x", prompt="plain", k=5, blend=str(tmp_path / "blend.toml"))
    recommender = Recommender(hash_index, model, settings)
    ids = hash_index.item_ids
    short, long = recommender.recommend_many([ids[:2], ids[:4]])
    assert (short.outcome, long.outcome) == ("retrieval_only", "ok")
    assert len(model.requests) == 1
    plain = Recommender(hash_index, None, Settings(k=10))
    assert [s.item_id for s in short.items] == [
        s.item_id for s in plain.recommend(ids[:2], 10).items
    ][:5]
    order = [slot.item_id for slot in plain.recommend(ids[:4], 20).items]
    assert [slot.item_id for slot in long.items] == order[5:10][::-1]
    assert [slot.rank for slot in long.items] == [1, 2, 3, 4, 5]
    assert recommender.run_id != Recommender(hash_index, model, Settings(llm="x", k=5)).run_id


def answer(user: str, items: list[str], candidates: list[str], **more: object) -> UserAnswer:
    usage = Usage(calls=1, prompt_tokens=10, completion_tokens=5, wall_s=1.0)
    n = len(items)
    base = UserAnswer(user, items, ["llm"] * n, ["evidence"] * n, [""] * n, "ok", candidates,
                  len(candidates), [("user", "x")], ["{}"], Repairs(), usage)  # fmt: skip
    return replace(base, **more)  # type: ignore[arg-type]


def test_a_model_that_helps_long_histories_is_asked_for_those_only() -> None:
    tasks, answers, targets = [], {}, {}
    for at in range(60):
        n = 2 if at < 30 else 9
        key = f"u{at}"
        history = UserHistory.of(*(f"h{i}" for i in range(n)), user_id=key)
        tasks.append(Task(key, history, "cold" if n == 2 else "warm"))
        candidates = ["a", "b", "c", "d"]
        targets[key] = frozenset({"a" if n == 2 else "d"})
        answers[key] = answer(key, ["d", "c", "b", "a"], candidates)
    fit = fit_blend(answers, tasks, Scorer(targets), metric="ndcg@4", split=SplitSettings())
    assert fit.by_stratum["cold"][0] == 0
    assert fit.by_stratum["warm"][0] > 0
    assert fit.blend.weight_for(2) == 0
    assert fit.blend.weight_for(9) >= 0.5
    assert share_asked(fit.blend, tasks) == 0.5


def test_model_behaviour_by_hand() -> None:
    good = answer("a", ["x", "y"], ["x", "y", "z"])
    mended = answer("b", ["z", "y"], ["x", "y", "z"], origins=["llm", "repaired"],
                    statuses=["verified", "replaced"],
                    repairs=Repairs(reasked=1, duplicate=1), replies=["{}", "{}"])  # fmt: skip
    failed = answer("c", ["x", "y"], ["x", "y", "z"], origins=["backfill"] * 2, outcome="failed",
                    error="no", repairs=Repairs(unparseable=1, backfilled=2))  # fmt: skip
    unasked = answer("d", ["x"], ["x"], messages=[], outcome="retrieval_only")
    found = model_behaviour(
        [good, mended, failed, unasked], {key: ["y"] for key in "abcd"}, (1.0, 2.0)
    )
    assert found["asked"] == 3
    assert found["valid"] == pytest.approx(1 / 3)
    assert found["failed"] == found["unparseable"] == found["duplicate"] == pytest.approx(1 / 3)
    assert found["re-asked"] == found["repaired"] == pytest.approx(1 / 3)
    assert found["slots by model"] == pytest.approx(4 / 6)
    assert found["reasons evidence"] == pytest.approx(4 / 6)
    assert found["reasons verified"] == found["reasons replaced"] == pytest.approx(1 / 6)
    assert found["reasons unverified"] == found["reasons removed"] == 0
    assert found["kept order"] == pytest.approx(1 / 2), "of the two that did not fail"
    assert found["history copied"] == 1
    assert found["cost"] == pytest.approx(3 * (10 + 2 * 5) / 1e6)
    assert (found["seconds p50"], found["cache hits"]) == (1.0, 0.0)
    assert model_behaviour([unasked], {"d": []}) == {}
