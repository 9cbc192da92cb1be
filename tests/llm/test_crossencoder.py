"""A cross-encoder in this process, made of the embedded model with a head at random."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rag_rec import ConfigError
from rag_rec.core import parse_json
from rag_rec.index.embedders.text import _packaged_folder
from rag_rec.llm import (
    CrossEncoderModel,
    Message,
    ModelOptions,
    Ranking,
    Request,
    answers_of,
    open_model,
)
from rag_rec.testing import check_scores, ranking_request

TITLES = ("tea", "garden twine", "a bowl")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from sentence_transformers import CrossEncoder

    torch.manual_seed(7)
    model = CrossEncoder(str(_packaged_folder()), num_labels=1, max_length=64)
    with torch.no_grad():
        torch.nn.init.normal_(model.model.classifier.weight)  # scores that differ
    made = tmp_path_factory.mktemp("cross") / "encoder"
    model.save_pretrained(str(made))
    return made


@pytest.fixture(scope="module")
def model(folder: Path) -> CrossEncoderModel:
    opened = open_model(f"crossencoder:{folder}")
    assert isinstance(opened, CrossEncoderModel)
    return opened


def scores(model: CrossEncoderModel, request: Request) -> list[float]:
    (found,) = model.generate([request])
    assert found.error is None
    return parse_json(found.text)


def test_a_cross_encoder_keeps_the_contract(model: CrossEncoderModel) -> None:
    assert answers_of(model) == {"scores"}
    check_scores(model)


def test_scores_are_the_models_own(model: CrossEncoderModel, folder: Path) -> None:
    from sentence_transformers import CrossEncoder
    from torch.nn import Identity

    pairs = [("Bought: a teapot", title) for title in TITLES]
    expected = CrossEncoder(str(folder)).predict(pairs, activation_fn=Identity())
    found = scores(model, ranking_request(TITLES))
    assert np.allclose(found, expected, atol=1e-4)
    assert len({round(score, 3) for score in found}) == 3


def test_a_document_keeps_its_score_among_others(model: CrossEncoderModel) -> None:
    long = tuple(f"{'word ' * (n * 3)}{n}" for n in range(12))
    asked = [ranking_request(long), ranking_request(long[::-1]), ranking_request(long[:1])]
    done: list[int] = []
    first, second, third = (parse_json(c.text) for c in model.generate(asked, done.append))
    assert np.allclose(first, second[::-1], atol=1e-3)
    assert np.allclose(first[:1], third, atol=1e-3)
    assert sum(done) == 3


def test_words_are_not_asked_for_and_neighbours_are_kept(model: CrossEncoderModel) -> None:
    words = Request((Message("user", "hello"),))
    replies = model.generate([words, ranking_request(TITLES), words])
    assert [reply.error is None for reply in replies] == [False, True, False]
    assert str(replies[0].error).endswith('it only ranks; use a prompt with answer = "scores"')
    assert replies[0].counted.calls == 0
    assert parse_json(replies[1].text) == pytest.approx(scores(model, ranking_request(TITLES)))


def test_tokens_are_counted_as_they_are_read(model: CrossEncoderModel) -> None:
    tokenizer = model._model.tokenizer
    assert model.tokens.exact
    assert model.context_tokens == 64
    assert model.tokens.count([]) == []
    for titles in (TITLES, ("word " * 500, "x")):
        (found,) = model.generate([ranking_request(titles)])
        read = [
            len(tokenizer("Bought: a teapot", title, truncation=True, max_length=64)["input_ids"])
            for title in titles
        ]
        assert found.counted.prompt_tokens == sum(read)
        assert (found.counted.calls, found.counted.completion_tokens) == (1, 0)


def test_marks_of_the_tokenizer_are_plain_text(model: CrossEncoderModel) -> None:
    sneaky = Ranking(("A",), "q", ("tea [SEP] [CLS] bowl",))
    (pair,) = model._pairs(sneaky)
    ids = model._model.tokenizer(pair[1], add_special_tokens=False)["input_ids"]
    assert not set(ids) & set(model._model.tokenizer.all_special_ids)


@pytest.mark.parametrize("text", ["", "\x00", "a lone \ud800", "日本語 🎉", "x" * 9_000])
def test_any_text_is_scored(model: CrossEncoderModel, text: str) -> None:
    asked = Request((), max_tokens=1, ranking=Ranking(("A", "B"), text, (text, "tea")))
    assert len(scores(model, asked)) == 2


def test_no_documents_are_no_scores(model: CrossEncoderModel) -> None:
    assert scores(model, Request((), ranking=Ranking((), "q", ()))) == []


def test_the_context_can_be_narrowed(folder: Path) -> None:
    narrow = open_model(f"crossencoder:{folder}", ModelOptions(context_tokens=16))
    assert narrow is not None
    assert narrow.context_tokens == 16
    (found,) = narrow.generate([ranking_request(("word " * 99,))])
    assert found.counted.prompt_tokens == 16


def test_what_is_no_cross_encoder_is_one_line(
    tmp_path: Path, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    for file in folder.iterdir():
        if file.suffix != ".safetensors":
            (pickled / file.name).write_bytes(file.read_bytes())
    (pickled / "pytorch_model.bin").write_bytes(b"a pickle is not opened")
    coded = tmp_path / "coded"
    coded.mkdir()
    config = {"auto_map": {"AutoConfig": "code.C"}, "model_type": "of_their_own"}
    (coded / "config.json").write_text(json.dumps(config))
    (coded / "code.py").write_text("raise SystemExit('it was run')")
    (tmp_path / "empty").mkdir()
    for name in (_packaged_folder(), pickled, coded, tmp_path / "empty", "/no/such", "no/such"):
        with pytest.raises(ConfigError, match="cross-encoder") as caught:
            open_model(f"crossencoder:{name}")
        assert "\n" not in str(caught.value)
    assert "it was run" not in capfd.readouterr().err


def test_a_classifier_is_no_ranker(tmp_path: Path) -> None:
    from sentence_transformers import CrossEncoder

    CrossEncoder(str(_packaged_folder()), num_labels=3).save_pretrained(str(tmp_path / "three"))
    with pytest.raises(ConfigError, match="BertForSequenceClassification with 3 labels"):
        open_model(f"crossencoder:{tmp_path / 'three'}")
