"""Which questions there are, and which of them a shop can answer."""

import json
from pathlib import Path

import pytest

from tests.scenarios import small
from tests.scenarios.foreign import german, ok, orders, refused
from whenbuy.pipeline.learning import catalogue
from whenbuy.pipeline.learning.answers import ANSWERS
from whenbuy.pipeline.learning.grid import Grid
from whenbuy.pipeline.verbs.questions import NAMES


def rows(*words: object) -> dict[str, dict[str, object]]:
    return {row["question"]: row for row in json.loads(ok("questions", *words, "--json").out)["questions"]}


def test_every_answer_of_the_catalogue_is_a_question() -> None:
    grid = Grid((1.0, 28.0), 1.0)
    assert all(catalogue.learners(ANSWERS[name].rests or name, grid) for name in NAMES)
    with pytest.raises(KeyError) as error:
        catalogue.learners("nosuch", grid)
    assert str(error.value) == "'nosuch'"


def test_outside_of_a_shop_it_says_what_there_is_to_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = rows()
    assert tuple(found) == NAMES
    assert all(row["grade"] is None and row["needs"] for row in found.values())
    assert "nowhere" in refused(6, "questions", "--shop", "nowhere")


def test_a_shop_says_what_it_can_answer_who_answers_and_how_well(tmp_path: Path) -> None:
    shop = tmp_path / "laden"
    ok("init", german(tmp_path / "x.csv", orders(20, 120)), "--shop", shop)
    assert f"whenbuy fit --shop {shop}" in ok("questions", "--shop", shop).err
    with small.quick():
        ok("fit", "--shop", shop)
    found = rows("--shop", shop)
    usual, named = {"purchase", "orders", "amount", "spend"}, {"activity", "churn", "visits"}
    assert {name for name, row in found.items() if row["grade"] != "not possible"} == usual | named
    assert {name for name, row in found.items() if row["model"]} == {"purchase", "orders", "amount", "spend"}
    assert found["classes"]["missing"]
    assert found["purchase"]["floor"] is not None
    assert all(row["value"] <= row["floor"] for row in found.values() if row["value"] is not None)
    assert "Next: whenbuy fit" not in ok("questions", "--shop", shop).err
    assert "learned where they are named" in ok("questions", "--shop", shop).err
