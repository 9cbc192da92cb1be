"""Answers on disk: what is kept, what is cut off, what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_rec.core import Repairs, Usage, UserHistory
from rag_rec.core.errors import ConfigError, DataError
from rag_rec.evaluation.experiments.answers import (
    AnswerFile,
    UserAnswer,
    answered,
    digest_of,
    read_answers,
)
from rag_rec.evaluation.metrics.scorer import Task

IDENTITY = {"variant": "v", "prompt": "abc", "list_type": "topk"}


def task(user: str, *items: str) -> Task:
    return Task(user, UserHistory.of(*items, user_id=user), "cold")


def answer(given_for: Task, **more: Any) -> UserAnswer:
    made = UserAnswer(
        given_for.key, ["x", "y"], ["llm", "backfill"], ["verified", "evidence"], ["a\u2028b", ""],
        "partial", ["y", "x", "z"], 2, [("user", "Choose.")], ["{}"], Repairs(duplicate=1),
        Usage(calls=1, wall_s=0.25), history=digest_of(given_for),
    )  # fmt: skip
    return replace(made, **more)


def test_answers_come_back_as_they_were_and_in_order(tmp_path: Path) -> None:
    tasks = [task("a", "1"), task("b", "2"), task("c")]
    made = [answer(one, error="é", others=["stray"]) for one in tasks]
    file = AnswerFile(tmp_path / "deep" / "v.jsonl", IDENTITY)
    assert file.read(tasks) == {}
    file.add(made[:2])
    file.add(made[2:])
    assert read_answers(tmp_path / "deep" / "v.jsonl") == made
    again = AnswerFile(tmp_path / "deep" / "v.jsonl", IDENTITY).read(tasks[1:])
    assert list(again.values()) == made[1:]


def test_what_an_answer_says_of_its_list() -> None:
    made = answer(task("a"))
    assert (made.shown, made.counted, made.by_model) == (["y", "x"], ["x", "y"], ["x"])
    assert replace(made, outcome="failed").counted == []


@given(cut=st.integers(1, 80))
def test_wherever_a_crash_tears_the_last_line_the_others_are_kept(
    cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("torn") / "v.jsonl"
    tasks = [task("a"), task("b"), task("c")]
    AnswerFile(path, IDENTITY).add([answer(one) for one in tasks[:2]])
    path.write_bytes(path.read_bytes()[:-cut])
    file = AnswerFile(path, IDENTITY)
    torn = path.read_bytes()
    assert list(file.read(tasks)) == ["a"]
    assert path.read_bytes() == torn, "reading leaves the file to a run that may be writing it"
    file.add([answer(tasks[2])])
    assert [one.user for one in read_answers(path)] == ["a", "c"]


def test_answers_to_something_else_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    AnswerFile(path, IDENTITY | {"run": "1"}).add([answer(task("a"))])
    AnswerFile(path, IDENTITY)  # knows less, and is not told apart
    with pytest.raises(ConfigError, match=r"v\.jsonl holds answers of another prompt, run; they"):
        AnswerFile(path, IDENTITY | {"prompt": "other", "run": "2"})


def test_answers_from_before_list_types_are_those_of_plain_lists(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    path.write_text(json.dumps({"variant": "v", "prompt": "abc"}) + "\n")
    AnswerFile(path, IDENTITY)
    with pytest.raises(ConfigError, match="another list_type"):
        AnswerFile(path, IDENTITY | {"list_type": "bundle"})


def test_a_list_for_another_history_is_refused(tmp_path: Path) -> None:
    file = AnswerFile(tmp_path / "v.jsonl", IDENTITY)
    file.add([answer(task("a", "1", "2"))])
    with pytest.raises(DataError, match="another history of user a"):
        file.read([task("a", "2", "1")])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"user": "a"', "invalid JSON"),
        ('{"user": "a"}', "items: field required"),
        ('{"user": "a", "items": "x"}', "items: input should be a valid array"),
    ],
)
def test_a_damaged_line_is_named(line: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    AnswerFile(path, IDENTITY).add([answer(task("a"))])
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(DataError) as caught:
        read_answers(path)
    assert said in str(caught.value)
    assert caught.value.row == 3
    path.write_text("{\n")
    with pytest.raises(DataError, match="is not JSON"):
        AnswerFile(path, IDENTITY)


def test_a_key_that_is_not_known_is_no_answer(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    AnswerFile(path, IDENTITY).add([answer(task("a"))])
    header, line = path.read_bytes().splitlines()
    more = json.loads(line) | {"mood": "good"}
    path.write_bytes(b"%s\n%s\n" % (header, json.dumps(more).encode()))
    with pytest.raises(DataError, match="mood"):
        read_answers(path)


def test_users_are_counted_up_to_the_first_that_somebody_owes() -> None:
    tasks = [task(user) for user in "abcd"]
    whole = {one.key: answer(one) for one in tasks}
    some = {user: whole[user] for user in "abd"}
    assert answered(tasks, [whole, some]) == tasks[:2]
    assert answered(tasks, []) == tasks
    assert answered(tasks, [whole, {}]) == []
