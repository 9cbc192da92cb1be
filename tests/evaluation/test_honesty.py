"""Each known way of flattering a recommender is planted here, and must be caught."""

from __future__ import annotations

import gc
import json
import random
import types
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from rag_rec import Dataset, ItemIndex, Recommender, Settings, build_index
from rag_rec.core import Candidate, Evidence, Usage, UserHistory
from rag_rec.core.errors import ConfigError, DataError, PromptError
from rag_rec.evaluation import Experiment, run
from rag_rec.evaluation.comparison import check, compare_reports
from rag_rec.evaluation.experiments.answers import answer_tasks
from rag_rec.evaluation.experiments.baselines import FittedIndex
from rag_rec.evaluation.experiments.experiment import SplitSettings
from rag_rec.evaluation.experiments.recorder import RecordingModel
from rag_rec.evaluation.experiments.retrievers import RETRIEVERS
from rag_rec.evaluation.experiments.sampling import Sampled, sample_users
from rag_rec.evaluation.experiments.study import check_index
from rag_rec.evaluation.measuring.audit import leaks, outsiders, retries
from rag_rec.evaluation.measuring.rows import ranked
from rag_rec.evaluation.metrics.accuracy import measure
from rag_rec.evaluation.metrics.scorer import Scorer
from rag_rec.evaluation.report_model import Report
from rag_rec.evaluation.statistics import permutation_p
from rag_rec.llm import CachedModel, Completion, Message, OnDone, Request
from rag_rec.pipeline import RecommendationState
from rag_rec.pipeline.ask import ask
from rag_rec.retrieval import Retriever, open_retriever
from rag_rec.testing import HashEmbedder, ScriptedModel
from tests.experiment_help import as_given, at_random, backwards, experiment, run_with


@pytest.fixture(scope="module")
def sampled(sample: Dataset) -> Sampled:
    return sample_users(sample, SplitSettings(users=120, validation_users=20), seed=7)


@pytest.fixture(scope="module")
def index(sampled: Sampled, tmp_path_factory: pytest.TempPathFactory) -> ItemIndex:
    folder = tmp_path_factory.mktemp("honest") / "index"
    build_index(sampled.fit, folder, embedder=HashEmbedder())
    return ItemIndex.open(folder, HashEmbedder())


@pytest.fixture(scope="module")
def fused(index: ItemIndex) -> Retriever:
    return open_retriever(index)


# --- the label never enters -----------------------------------------------------------------


def reachable(start: Iterable[object]) -> Iterable[object]:
    """Everything the given objects hold on to; not the interpreter's own modules and types."""
    seen: set[int] = set()
    waiting = list(start)
    while waiting:
        found = waiting.pop()
        if id(found) in seen or isinstance(found, (types.ModuleType, type, types.FrameType)):
            continue
        seen.add(id(found))
        yield found
        if isinstance(found, types.FunctionType):
            waiting += [cell.cell_contents for cell in found.__closure__ or () if cell]
            continue
        waiting += gc.get_referents(found)


def test_the_scorer_cannot_be_reached_from_what_answers(sampled: Sampled, index: ItemIndex) -> None:
    recommender = Recommender(index, ScriptedModel(as_given), Settings(llm="scripted", k=5))
    held = list(reachable([recommender, sampled.test.tasks, sampled.validation.tasks]))
    assert len(held) > 1_000
    assert not any(isinstance(found, Scorer) for found in held)
    owners = {id(found) for found in held}
    assert id(sampled.test.scorer) not in owners
    assert any(found is sampled.test.tasks[0] for found in held)  # the walk does find things


def test_a_canary_target_shows_up_nowhere(sample: Dataset, tmp_path: Path) -> None:
    """Everybody's last event is a new item with a name of its own; the fit never sees it."""
    canary, words = "zz-canary-0017", "Quixotic Zyzzyva Lantern"
    nothing = pl.Series([[]], dtype=pl.List(pl.String))
    item = sample.items.head(1).with_columns(
        item_id=pl.lit(canary),
        title=pl.lit(words),
        description=pl.lit(""),
        brand=pl.lit(""),
        categories=nothing,
    )
    last = sample.interactions.group_by("user_id", maintain_order=True).last()
    planted = last.select(sample.interactions.columns).with_columns(
        item_id=pl.lit(canary), timestamp=pl.col("timestamp") + 1
    )
    log = pl.concat([sample.interactions, planted]).sort("user_id", "timestamp")
    data = replace(sample, items=pl.concat([sample.items, item]), interactions=log)
    model = ScriptedModel(at_random)
    chosen = experiment(
        split={"users": 60, "validation_users": 0},
        matrix={"prompts": ["plain", "hints", "timeline"], "models": ["good"]},
        pipeline={"k": 5, "candidates": 5},
    )
    report = run_with(chosen, tmp_path, dataset=data, models={"good": model})
    assert len(model.requests) >= 180
    shown = [turn.content for request in model.requests for turn in request.messages]
    assert not any(words in text or canary in text for text in shown)
    for path in (tmp_path / "answers").iterdir():
        for line in path.read_text().splitlines()[1:]:
            answer = json.loads(line)
            assert canary not in answer["items"] + answer["candidates"]
    assert all(row.value == 0 for row in report.rows if row.name not in {"random", "bm25"})


def test_users_go_by_pseudonyms(sampled: Sampled, sample: Dataset) -> None:
    own = set(sample.interactions["user_id"])
    keys = [task.key for task in sampled.test.tasks]
    assert not own & set(keys)
    assert len(set(keys)) == len(keys)
    assert all(task.history.user_id == task.key for task in sampled.test.tasks)


def test_neither_targets_nor_validation_events_are_in_the_fit(
    sample: Dataset, sampled: Sampled
) -> None:
    log = sample.interactions
    for user in log["user_id"].unique().to_list()[:50]:
        events = log.filter(pl.col("user_id") == user)["item_id"].to_list()
        kept = sampled.fit.interactions.filter(pl.col("user_id") == user)["item_id"].to_list()
        assert kept == events[:-2]


# --- a leaking retriever ----------------------------------------------------------------------


class Explained:
    """Explains nothing."""

    def explain(self, history: UserHistory, item_ids: Sequence[str]) -> dict[str, Evidence]:
        del history, item_ids
        return {}


def test_a_retriever_that_knows_the_answers_by_user_is_caught(
    sampled: Sampled, fused: Retriever
) -> None:
    tasks, scorer = sampled.test.tasks, sampled.test.scorer
    targets = dict(
        zip([t.key for t in tasks], scorer.targets_of([t.key for t in tasks]), strict=True)
    )

    def first(target: str, some: list[Candidate], k: int) -> list[Candidate]:
        others = [candidate for candidate in some if candidate.item_id != target]
        return [Candidate(target, 9.0, {}), *others][:k]

    class ByName(Explained):
        def retrieve(self, histories: Sequence[UserHistory], k: int) -> list[list[Candidate]]:
            found = fused.retrieve(histories, k)
            known = [targets[history.user_id or ""][0] for history in histories]
            return [first(target, some, k) for target, some in zip(known, found, strict=True)]

    class ByPlace(Explained):
        def retrieve(self, histories: Sequence[UserHistory], k: int) -> list[list[Candidate]]:
            found = fused.retrieve(histories, k)
            known = list(targets.values())
            return [first(known[at][0], some, k) for at, some in enumerate(found)]

    def check_with(retriever: Retriever) -> str | None:
        return leaks(retriever, tasks, scorer, depth=20, seed=1)

    assert "by name or by place" in (check_with(ByName()) or "")
    assert "by name or by place" in (check_with(ByPlace()) or "")
    assert check_with(fused) is None


def test_an_index_with_the_answers_in_it_is_refused(
    sample: Dataset, sampled: Sampled, tmp_path: Path, index: ItemIndex
) -> None:
    check_index(index, sampled.fit)
    build_index(sample, tmp_path / "index", embedder=HashEmbedder())
    with pytest.raises(DataError, match="refused: the index holds 4"):
        run_with(experiment(), tmp_path)


def test_a_model_that_names_what_was_not_proposed_voids_the_report(first_answer: Any) -> None:
    strange = replace(first_answer, items=["not-a-candidate", *first_answer.items[1:]])
    assert "was not a candidate" in (outsiders([strange], {strange.user: []}) or "")
    seen = {first_answer.user: first_answer.items[:1]}
    assert "from the history" in (outsiders([first_answer], seen) or "")
    assert outsiders([first_answer], {first_answer.user: []}) is None


@pytest.fixture(scope="module")
def first_answer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from rag_rec.evaluation.experiments.answers import read_answers

    out = tmp_path_factory.mktemp("answers")
    run_with(experiment(split={"users": 20, "validation_users": 0}), out)
    return read_answers(out / "answers" / "good_plain--test.jsonl")[0]


# --- a retry that depends on the label ----------------------------------------------------------


class PeekingModel(ScriptedModel):
    """Asks again, up to three times, as long as the reply misses what it should not know."""

    def __init__(self, title_of_target: dict[str, str]) -> None:
        super().__init__(at_random)
        self._targets = title_of_target

    def generate(
        self, requests: Iterable[Request], on_done: OnDone | None = None
    ) -> list[Completion]:
        del on_done
        return [self._until_found(request) for request in requests]

    def _until_found(self, request: Request) -> Completion:
        text = request.messages[-1].content
        wanted = next((t for key, t in self._targets.items() if key in text), None)
        reply, calls = "", 0
        for calls in range(1, 9):
            reply = super().generate([replace(request, seed=request.seed + calls)])[0].text
            labels = [entry["label"] for entry in json.loads(reply)["items"]]
            lines = {n: line for line in text.splitlines() for n in labels
                     if line.startswith(f"{n}. ")}  # fmt: skip
            if (
                wanted is None
                or f"{wanted}" not in text
                or any(line.endswith(f". {wanted}") for line in list(lines.values())[:1])
            ):
                break
        return Completion(reply, Usage(calls=calls))


def test_a_retry_that_depends_on_the_answer_is_caught(sample: Dataset, tmp_path: Path) -> None:
    sampled = sample_users(sample, SplitSettings(users=200, validation_users=0), seed=7)
    titles = dict(sample.items.select("item_id", "title").iter_rows())
    users = [task.key for task in sampled.test.tasks]
    targets = sampled.test.scorer.targets_of(users)
    last = [titles[task.history.item_ids[-1]] for task in sampled.test.tasks]
    known = {
        f"- {title}\n</history>": titles[target[0]]
        for title, target in zip(last, targets, strict=True)
    }
    chosen = experiment(
        split={"users": 200, "validation_users": 0},
        matrix={"prompts": ["plain"], "models": ["good"]},
    )
    report = run_with(chosen, tmp_path / "peeks", models={"good": PeekingModel(known)})
    assert any("retries depend on the answer" in finding for finding in report.findings)
    assert "VOID" in (tmp_path / "peeks" / "report.md").read_text()
    with pytest.raises(DataError, match="is void"):
        check(report)
    honest = run_with(chosen, tmp_path / "honest", models={"good": ScriptedModel(at_random)})
    assert honest.findings == []


class AsksTwice(Recommender):
    """Asks once more whatever came back, and keeps the first reading."""

    def run(self, requests: Any, on_done: Any = None) -> list[RecommendationState]:
        states = super().run(requests, on_done)
        assert self.model is not None
        calls = [(state, state.call) for state in states if state.call is not None]
        ask(self.model, "reask", calls)
        return states


class AsksAround(Recommender):
    """Puts a question to the model that no user's state knows of."""

    def run(self, requests: Any, on_done: Any = None) -> list[RecommendationState]:
        states = super().run(requests, on_done)
        assert self.model is not None
        self.model.generate([Request((Message("user", "What did they buy?"),))])
        return states


def sign_of(
    made_by: type[Recommender], model: ScriptedModel, index: ItemIndex, sampled: Sampled
) -> str:
    """Return the audit's finding when five users are answered for by such a recommender."""
    recorder = RecordingModel(model)
    recommender = made_by(index, recorder, Settings(llm="scripted", prompt="plain", k=5))
    answers = answer_tasks(recommender, recorder, sampled.test.tasks[:5])
    return retries(answers, {answer.user: True for answer in answers}) or "nothing"


def test_a_second_question_that_no_rule_allows_is_caught(
    index: ItemIndex, sampled: Sampled
) -> None:
    assert sign_of(Recommender, ScriptedModel(as_given), index, sampled) == "nothing"
    found = sign_of(AsksTwice, ScriptedModel(as_given), index, sampled)
    assert "was asked 2 times where the re-ask rule allows 1" in found


def test_a_question_that_no_state_accounts_for_is_caught(
    index: ItemIndex, sampled: Sampled
) -> None:
    model = ScriptedModel(lambda request: as_given(request) if request.schema else "tea")
    found = sign_of(AsksAround, model, index, sampled)
    assert "no user's state accounts for" in found
    assert "'tea'" in found


# --- a fuzzy matcher, dropped users, ties ---------------------------------------------------------


def test_only_exact_ids_count() -> None:
    scorer = Scorer({"u": frozenset({"Item-1"})})
    near = ["item-1", "Item-1 ", "Item‐1", "Item-10", "tem-1"]
    assert not scorer.relevance({"u": near}, ["u"], 5).hits.any()
    assert scorer.relevance({"u": ["Item-1"]}, ["u"], 5).hits.sum() == 1


def test_a_report_scored_with_a_fuzzy_matcher_is_caught(tmp_path: Path) -> None:
    report = run_with(experiment(), tmp_path)
    check(report)
    document = report.document()
    row = next(row for row in document["rows"] if row["name"] == "bad plain")
    row["metrics"]["ndcg@5"] += 0.01
    doctored = Report.model_validate(document)
    with pytest.raises(DataError, match="exact ids at its places give"):
        compare_reports(report, doctored)


def test_a_variant_that_drops_hard_users_is_refused(tmp_path: Path) -> None:
    scorer = Scorer({"a": frozenset("x"), "b": frozenset("y")})
    with pytest.raises(DataError, match="1 missing, 0 unasked"):
        scorer.relevance({"a": ["x"]}, ["a", "b"], 1)
    with pytest.raises(DataError, match="0 missing, 1 unasked"):
        scorer.relevance({"a": ["x"], "b": [], "c": []}, ["a", "b"], 1)
    report = run_with(experiment(split={"users": 30, "validation_users": 0}), tmp_path)
    document = report.document()
    places = document["hits"]["places"]
    places["good plain"] = [places["good plain"][0][:20]]
    with pytest.raises(ValueError, match="must have one entry for each user"):
        Report.model_validate(document)


def test_answers_removed_from_the_middle_shrink_the_sample_for_everybody(tmp_path: Path) -> None:
    """Leaving out a hard user costs all users after it, in an order drawn beforehand."""
    chosen = experiment(split={"users": 30, "validation_users": 0})
    run_with(chosen, tmp_path)
    path = tmp_path / "answers" / "good_plain--test.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:13], *lines[14:]]) + "\n")
    report = run(chosen, tmp_path, embedder=HashEmbedder(), ask=False)
    assert report.users.measured == 12
    assert any("12 of 30 users" in note for note in report.notes)


def test_a_list_that_names_an_item_twice_is_refused() -> None:
    with pytest.raises(DataError, match="twice"):
        Scorer({"u": frozenset("x")}).relevance({"u": ["x", "x"]}, ["u"], 2)


def test_equal_scores_are_worth_no_more_than_chance(index: ItemIndex, sampled: Sampled) -> None:
    """Every item is scored alike; in the catalog's order the targets of this test stand first."""
    by_chance = RETRIEVERS["random"](FittedIndex(index, open_retriever(index), seed=1))
    tasks = sampled.test.tasks
    users = [task.key for task in tasks]
    scorer = Scorer({user: frozenset(index.item_ids[:1]) for user in users})
    lists = ranked(by_chance, tasks, 10)
    hits = int(measure(scorer.relevance(lists, users, 10), "hit@10").sum())
    assert stats.binomtest(hits, len(users), 10 / index.n_items).pvalue > 0.001


# --- answers to another prompt ------------------------------------------------------------------


def test_a_cache_does_not_answer_for_an_edited_prompt(tmp_path: Path) -> None:
    model = ScriptedModel('{"items":[]}')
    cached = CachedModel(model, tmp_path / "replies.sqlite")
    schema = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    asked = Request((Message("user", "Choose one."),), None)
    cached.generate([asked])
    assert cached.generate([asked])[0].usage.cached == 1
    assert len(model.requests) == 1
    cached.generate([replace(asked, messages=(Message("user", "Choose one. "),))])
    cached.generate([replace(asked, schema=schema)])
    cached.generate([replace(asked, seed=1)])
    assert len(model.requests) == 4


def test_answers_of_an_edited_prompt_are_not_mixed(tmp_path: Path) -> None:
    from rag_rec.prompting.variant import prompt_folder

    text = (prompt_folder() / "plain.toml").read_text()
    prompt = tmp_path / "mine.toml"
    prompt.write_text(text)
    chosen = experiment(
        split={"users": 20, "validation_users": 0},
        variants=[{"name": "mine", "llm": "good", "prompt": str(prompt)}],
        matrix={},
    )
    run_with(chosen, tmp_path / "out")
    prompt.write_text(text.replace("best first", "surest first"))
    with pytest.raises(PromptError, match="answers to two texts are not mixed"):
        run_with(chosen, tmp_path / "out")
    (tmp_path / "out" / "prompts" / "mine.toml").unlink()
    with pytest.raises(ConfigError, match="answers of another prompt"):
        run_with(chosen, tmp_path / "out")


# --- the same thing twice -------------------------------------------------------------------------


def test_the_same_variant_twice_is_rarely_called_different(
    index: ItemIndex, fused: Retriever, sampled: Sampled
) -> None:
    """A model that orders by chance, against itself with another seed, 200 times; then a real gap.

    The lists go through the pipeline's own grounding for the candidates and through the scorer.
    """
    tasks, scorer = sampled.test.tasks, sampled.test.scorer
    users = [task.key for task in tasks]
    found = fused.retrieve([task.history for task in tasks], 20)
    candidates = [[candidate.item_id for candidate in some] for some in found]

    def values(seed: int) -> np.ndarray:  # type: ignore[type-arg]
        rng = random.Random(seed)
        lists = {u: rng.sample(c, len(c)) for u, c in zip(users, candidates, strict=True)}
        return measure(scorer.relevance(lists, users, 20), "ndcg@20")

    ps = [
        permutation_p(values(2 * n) - values(2 * n + 1), resamples=1_000, seed=n)
        for n in range(200)
    ]
    alarms = sum(p < 0.05 for p in ps)
    low, high = stats.binom.interval(0.99, 200, 0.05)
    assert low <= alarms <= high, alarms
    in_order = dict(zip(users, candidates, strict=True))
    best = measure(scorer.relevance(in_order, users, 20), "ndcg@20")
    gains = [best - values(n) for n in range(50)]
    assert np.mean([permutation_p(d, resamples=1_000, seed=1) < 0.05 for d in gains]) > 0.8


def test_a_model_that_turns_lists_round_is_found_out(tmp_path: Path) -> None:
    chosen = experiment(
        split={"users": 120, "validation_users": 0},
        matrix={"prompts": ["plain"], "models": ["good", "bad"]},
    )
    models = {"good": ScriptedModel(as_given), "bad": ScriptedModel(backwards)}
    rows = run_with(chosen, tmp_path, models=models).rows
    found = {row.name: row.comparison for row in rows if row.comparison}
    assert found["bad plain"].verdict == "worse"
    assert found["good plain"].n_differ == 0


def test_experiments_name_every_field_they_do_not_know() -> None:
    with pytest.raises(ConfigError, match=r"data\.flder"):
        Experiment.of({"name": "x", "data": {"flder": "y"}})
