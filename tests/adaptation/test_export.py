"""Training files: in the documented forms, with the pipeline's prompts and honest candidates."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict

from rag_rec import ItemIndex, Recommender
from rag_rec.adaptation import (
    TRAINING_FORMATS,
    TrainingLists,
    TrainingManifest,
    export_training,
    training_lists,
)
from rag_rec.adaptation.export import files
from rag_rec.adaptation.export.answers import list_answer
from rag_rec.adaptation.export.examples import ShuffledCandidates
from rag_rec.adaptation.export.files import in_validation
from rag_rec.core import ConfigError, Settings
from rag_rec.llm import Completion, OfflineModel
from rag_rec.pipeline import RecommendationRequest

SETTINGS = Settings(prompt="plain", k=5, llm="openai:MODEL", seed=3)
USERS = 60


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Turn(Closed):
    """A message: platform.openai.com/docs/guides/supervised-fine-tuning, TRL's dataset formats."""

    role: Literal["system", "user", "assistant"]
    content: str


class OpenAI(Closed):
    messages: list[Turn]


class TrlSft(Closed):
    prompt: list[Turn]
    completion: list[Turn]


class TrlDpo(Closed):
    prompt: list[Turn]
    chosen: list[Turn]
    rejected: list[Turn]


class Grpo(Closed):
    prompt: list[Turn]
    label: int
    ndcg: dict[str, float]


FORMS: dict[str, type[Closed]] = {
    "openai": OpenAI,
    "trl-sft": TrlSft,
    "trl-dpo": TrlDpo,
    "grpo": Grpo,
}


@pytest.fixture(scope="module")
def lists(hash_index: ItemIndex) -> Iterator[TrainingLists]:
    with training_lists(hash_index, 20, users=USERS, seed=SETTINGS.seed) as found:
        yield found


@pytest.fixture(scope="module")
def folders(
    hash_index: ItemIndex, lists: TrainingLists, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Path, TrainingManifest]]:
    """An export of each form; the first makes its lists itself."""
    out, found = tmp_path_factory.mktemp("export"), {}
    with pytest.MonkeyPatch.context() as patch:
        for form in TRAINING_FORMATS:
            manifest = export_training(
                hash_index, out / form, form=form, settings=SETTINGS, users=USERS
            )
            found[form] = (out / form, manifest)
            patch.setattr(files, "training_lists", lambda *_, **__: nullcontext(lists))
    return found


def lines(folder: Path) -> list[dict[str, Any]]:
    names = ("train", "validation")
    texts = "".join((folder / f"{name}.jsonl").read_text(encoding="utf-8") for name in names)
    return [json.loads(line) for line in texts.splitlines()]


def test_candidates_have_not_seen_the_target(hash_index: ItemIndex, lists: TrainingLists) -> None:
    assert len(lists.lists) == USERS
    for user in lists.index.user_ids:
        whole = hash_index.history(user).events
        assert lists.index.history(user).events == whole[:-3]
    for one in lists.lists:
        whole = hash_index.history(one.history.user_id or "").item_ids
        assert list(one.history.item_ids) == list(whole[:-3])
        assert one.target == whole[-3]
        assert one.target not in one.history.item_ids
        assert one.target in [candidate.item_id for candidate in one.candidates]
        assert not {c.item_id for c in one.candidates} & set(one.history.item_ids)
    reviewed = lists.index.reviews_by
    for one in lists.lists:
        own = {item_id for item_id, _ in reviewed(one.history.user_id or "", 100)}
        assert one.target not in own


@pytest.mark.parametrize("form", TRAINING_FORMATS)
def test_files_have_the_documented_form(
    folders: dict[str, tuple[Path, TrainingManifest]], form: str
) -> None:
    folder, manifest = folders[form]
    found = lines(folder)
    assert sum(split.examples for split in manifest.splits.values()) == len(found) == USERS
    for line in found:
        FORMS[form].model_validate(line)
    assert manifest.splits["train"].prompt_tokens > 0
    assert manifest.splits["train"].cost is None
    assert manifest.left_out["users whose target is not among the candidates"] > 0


def test_prompts_are_those_of_a_preview_and_the_first_label_is_the_target(
    lists: TrainingLists, folders: dict[str, tuple[Path, TrainingManifest]]
) -> None:
    shuffled = ShuffledCandidates(lists.retriever, lists.lists, SETTINGS.seed)
    recommender = Recommender(lists.index, OfflineModel(SETTINGS), SETTINGS, retriever=shuffled)
    states = recommender.preview(RecommendationRequest(one.history) for one in lists.lists)
    by_prompt = {
        json.dumps([list(message) for message in state.call.messages]): (state, one)
        for state, one in zip(states, lists.lists, strict=True)
        if state.call and state.prompt
    }
    for line in lines(folders["trl-dpo"][0]):
        prompt = json.dumps([[turn["role"], turn["content"]] for turn in line["prompt"]])
        state, one = by_prompt[prompt]
        labels = _labels(line["chosen"])
        assert state.prompt is not None
        assert state.call is not None
        assert state.prompt.labels[labels[0] - 1] == one.target
        assert len(set(labels)) == SETTINGS.k
        ranked = [c.item_id for c in one.candidates if c.item_id != one.target]
        assert [state.prompt.labels[n - 1] for n in labels[1:]] == ranked[: SETTINGS.k - 1]
        assert [state.prompt.labels[n - 1] for n in _labels(line["rejected"])] == ranked[:5]
        assert (
            recommender.ground(state, [Completion(line["chosen"][-1]["content"])]).made().outcome
            == "ok"
        )


def _labels(turns: list[dict[str, str]]) -> list[int]:
    return [entry["label"] for entry in json.loads(turns[-1]["content"])["items"]]


def test_all_forms_hold_the_same_questions(
    folders: dict[str, tuple[Path, TrainingManifest]],
) -> None:
    openai, sft, dpo, grpo = (lines(folders[form][0]) for form in TRAINING_FORMATS)
    for one, two, three, four in zip(openai, sft, dpo, grpo, strict=True):
        assert one["messages"] == two["prompt"] + two["completion"]
        assert (two["prompt"], two["completion"]) == (three["prompt"], three["chosen"])
        assert four["prompt"] == two["prompt"]
        assert four["label"] == _labels(two["completion"])[0]
        assert [n for n, gain in four["ndcg"].items() if gain] == [str(four["label"])]


def test_places_of_targets_say_nothing(
    folders: dict[str, tuple[Path, TrainingManifest]],
) -> None:
    places = [line["label"] for line in lines(folders["grpo"][0])]
    assert len(set(places)) > 10
    assert 6 < sum(places) / len(places) < 15


def test_users_go_to_one_file_by_a_hash(lists: TrainingLists) -> None:
    users = [one.history.user_id or "" for one in lists.lists]
    chosen = [user for user in users if in_validation(user, 3)]
    assert 0 < len(chosen) < len(users) / 3
    assert chosen != [user for user in users if in_validation(user, 4)]


def test_a_prompt_with_reasons_and_a_used_folder_are_refused(
    hash_index: ItemIndex, folders: dict[str, tuple[Path, TrainingManifest]], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="asks for reasons and a log holds none"):
        export_training(hash_index, tmp_path, form="openai", settings=Settings(prompt="reviews"))
    with pytest.raises(ConfigError, match="holds an export already"):
        export_training(hash_index, folders["grpo"][0], form="grpo", settings=SETTINGS)
    with pytest.raises(ConfigError, match="unknown form"):
        export_training(hash_index, tmp_path, form="csv")


def test_trl_takes_the_files_for_conversations(
    folders: dict[str, tuple[Path, TrainingManifest]],
) -> None:
    trl = pytest.importorskip("trl")
    for form in ("trl-sft", "trl-dpo", "grpo"):
        assert trl.is_conversational(lines(folders[form][0])[0])


def test_an_answer_has_the_form_of_the_schema() -> None:
    assert json.loads(list_answer([2, 1])) == {"items": [{"label": 2}, {"label": 1}]}


def test_where_letters_are_scored_the_answer_is_one_letter(
    hash_index: ItemIndex, tmp_path: Path
) -> None:
    settings = Settings(prompt="scores", llm="openai:MODEL")
    export_training(hash_index, tmp_path / "dpo", form="trl-dpo", settings=settings, users=20)
    for name in ("train", "validation"):
        for line in (tmp_path / "dpo" / f"{name}.jsonl").read_text().splitlines():
            row = TrlDpo.model_validate_json(line)
            right, wrong = row.chosen[0].content, row.rejected[0].content
            assert right != wrong
            assert f"\n{right}. " in row.prompt[-1].content
            assert f"\n{wrong}. " in row.prompt[-1].content
    with pytest.raises(ConfigError, match="a reward reads lists"):
        export_training(hash_index, tmp_path / "grpo", form="grpo", settings=settings)
