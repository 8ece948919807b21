"""The command: what to show to whom, from a shop's folder."""

import json

import polars as pl
import pytest

import whenbuy as wb
from whenbuy.cli.running import run


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recommending")
    history = wb.simulate(users=60, days=150, seed=4).history
    frame = history.log.frame().select("user_id", "kind", "time", "order_id", "item_id", "category", "amount")
    frame.write_parquet(folder / "events.parquet")
    assert run(["init", str(folder / "events.parquet"), "--shop", str(folder / "shop"), "--json"]) == 0
    return folder / "shop"


def said(capsys):
    return json.loads(capsys.readouterr().out)


def test_a_customer_a_file_and_everybody(shop, tmp_path, capsys):
    capsys.readouterr()
    assert run(["recommend", "u01", "nobody", "--top", "3", "--shop", str(shop), "--json"]) == 0
    found = said(capsys)
    assert [row["rank"] for row in found["recommendations"]] == [1, 2, 3, 1, 2, 3]
    assert all(row["why"] for row in found["recommendations"])
    assert {one["name"] for one in found["tried"]} >= {"popularity-2", "own-frequency"}
    assert (shop / "recommender" / "manifest.json").exists()
    (tmp_path / "users.txt").write_text("u02\n\nu03\nu02\n", "utf-8")
    out = tmp_path / "lists.parquet"
    assert run(["recommend", "--users", str(tmp_path / "users.txt"), "--out", str(out), "--diverse", "0.3", "--shop", str(shop)]) == 0
    assert pl.read_parquet(out)["user_id"].unique(maintain_order=True).to_list() == ["u02", "u03"]
    capsys.readouterr()
    assert run(["recommend", "--shop", str(shop), "--json", "--top", "2"]) == 0
    assert said(capsys)["customers"] > 50


def test_the_screen_says_why_and_how_the_rankers_fared(shop, capsys):
    capsys.readouterr()
    assert run(["recommend", "--scores", "--shop", str(shop), "--json"]) == 0
    assert sum(row["chosen"] for row in said(capsys)["tried"]) == 1
    assert run(["recommend", "u01", "--only", "category=c01", "--only", "category=c02", "--shop", str(shop), "--json"]) == 0
    assert {row["category"] for row in said(capsys)["recommendations"]} <= {"c01", "c02"}


def test_an_earlier_moment_is_learned_afresh(shop, capsys):
    capsys.readouterr()
    manifest = (shop / "recommender" / "manifest.json").read_bytes()
    assert run(["recommend", "u01", "--as-of", "2024-04-20", "--shop", str(shop), "--json"]) == 0
    assert said(capsys)["as_of"] == "2024-04-20"
    assert (shop / "recommender" / "manifest.json").read_bytes() == manifest


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        (["--in-stock"], 3), (["--only", "category"], 2), (["--only", "category=unheard"], 6), (["--top", "0"], 2), (["--diverse", "2"], 2),
        (["--users", "/nowhere/users.txt"], 6), (["--out", "lists.xls"], 2), (["--as-of", "soon"], 2),
    ],
)  # fmt: skip
def test_bad_calls_say_what_to_do(shop, capsys, typed, code):
    assert run(["recommend", "u01", *typed, "--shop", str(shop)]) == code
    assert capsys.readouterr().err
