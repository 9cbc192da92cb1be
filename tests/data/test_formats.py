"""Published data sets: their folders are read as they are found."""

from __future__ import annotations

from pathlib import Path

import pytest

from rag_rec import DataError, Dataset


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def test_movielens_1m(tmp_path: Path) -> None:
    movies = '1::Café (1995)::Drama|Children\'s\n2::"Swing it" teacher (1940)::Comedy\n'
    write(tmp_path / "movies.dat", movies, "latin-1")
    write(tmp_path / "ratings.dat", "1::1::5::978300760\n1::2::3::978300761\n")
    write(tmp_path / "users.dat", "1::F::1::10::48067\n")
    data = Dataset.load(tmp_path, format="movielens")
    assert data.items.select("item_id", "title", "categories").rows() == [
        ("1", "Café (1995)", ["Drama", "Children's"]),
        ("2", '"Swing it" teacher (1940)', ["Comedy"]),
    ]
    assert data.interactions.rows() == [("1", "1", 978300760, 5.0), ("1", "2", 978300761, 3.0)]


def test_movielens_10m_has_tags(tmp_path: Path) -> None:
    write(tmp_path / "movies.dat", "1::Pot::Drama\n")
    write(tmp_path / "ratings.dat", "1::1::5::978300760\n")
    write(tmp_path / "tags.dat", "1::1::very slow::978300761\n")
    data = Dataset.load(tmp_path, format="movielens")
    assert next(data.reviews.frames())["text"].to_list() == ["very slow"]


def test_a_movielens_folder_without_films_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"movies.dat and ratings.dat"):
        Dataset.load(tmp_path, format="movielens")


def test_recbole_keeps_titles_and_genres(tmp_path: Path) -> None:
    write(
        tmp_path / "ml-100k.item",
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        "1\tToy Story\t1995\tAnimation Children's Comedy\n2\tGoldenEye\t1995\t\n",
    )
    write(
        tmp_path / "ml-100k.inter",
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t2\t3\t881250949\n",
    )
    data = Dataset.load(tmp_path, format="recbole")
    assert data.items.select("title", "categories").rows() == [
        ("Toy Story", ["Animation", "Children's", "Comedy"]),
        ("GoldenEye", []),
    ]


def test_amazon_2023_joins_by_the_parent(tmp_path: Path) -> None:
    items = write(tmp_path / "meta.jsonl", '{"parent_asin": "0001", "title": "Pot"}\n')
    reviews = write(
        tmp_path / "reviews.jsonl",
        '{"parent_asin": "0001", "asin": "0009", "user_id": "u", "text": "Good", "rating": 5.0}\n',
    )
    data = Dataset.load(items=items, reviews=reviews, format="amazon")
    assert data.interactions["item_id"].to_list() == ["0001"]
    assert data.items["item_id"].to_list() == ["0001"]


HISTORIES = {"interactions": {"user_id": "who", "history": "seen"}}


@pytest.mark.parametrize("given", ["named", "mapped"])
def test_a_user_without_a_history_is_a_bad_row(given: str, tmp_path: Path) -> None:
    header, columns = ("who,seen", HISTORIES) if given == "mapped" else ("user_id,history", None)
    log = write(tmp_path / "log.csv", f"{header}\nu,a b\nv,\nw,  \nx,[]\n")
    with pytest.raises(DataError, match="history") as caught:
        Dataset.load(interactions=log, columns=columns)
    assert caught.value.row == 3
    side = tmp_path / "rejected.csv"
    data = Dataset.load(interactions=log, columns=columns, on_error="skip", rejects_file=side)
    assert data.rejected == 2
    assert data.interactions.select("user_id", "item_id").rows() == [("u", "a"), ("u", "b")]


@pytest.mark.parametrize("header", ["who,seen", "who,seen,item_id"])
def test_a_log_of_a_header_only_is_named(header: str, tmp_path: Path) -> None:
    log = write(tmp_path / "log.csv", header + "\n")
    with pytest.raises(DataError, match="there are no items"):
        Dataset.load(interactions=log, columns=HISTORIES)


@pytest.mark.parametrize("name", ["movies.csv", "ratings.csv", "extracts.jsonl"])
def test_an_empty_table_of_movielens_is_named_or_nothing(name: str, tmp_path: Path) -> None:
    write(tmp_path / "movies.csv", "movieId,title,genres\n1,Pot,Drama\n")
    write(tmp_path / "ratings.csv", "userId,movieId,rating,timestamp\n1,1,5,978300760\n")
    write(tmp_path / "extracts.jsonl", '{"movieId": 1, "extract": "A pot."}\n')
    content = (tmp_path / name).read_text()
    write(tmp_path / name, "" if name == "extracts.jsonl" else content.split("\n")[0] + "\n")
    if name == "movies.csv":
        with pytest.raises(DataError, match="there are no items"):
            Dataset.load(tmp_path, format="movielens")
    else:
        assert Dataset.load(tmp_path, format="movielens").items["title"].to_list() == ["Pot"]
