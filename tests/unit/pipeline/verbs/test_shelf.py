"""What `whenbuy trends`, `prices` and `assortment` do and say."""

import json
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from tests.unit.pipeline.verbs.test_forecast import shop, silent
from whenbuy.cli.verbs import whenbuy
from whenbuy.core.errors import NotEnoughDataError
from whenbuy.ingest.store import open_log
from whenbuy.pipeline.demand.assortment import assortment
from whenbuy.pipeline.demand.pricing import price_answers
from whenbuy.pipeline.verbs.forecast import Asked
from whenbuy.pipeline.verbs.shelf import prices, shelf
from whenbuy.pipeline.verbs.trends import trend


def test_trends_say_level_growth_and_what_may_be_hot():
    result = trend(shop(), None, Asked(days=14), out=None, say=silent)
    assert {"category", "level", "growth_low", "growth_high", "changed", "hot"} <= set(result.table.columns)
    assert result.table["level"].is_sorted(descending=True)
    assert result.screens[0].title.startswith("Demand as of")
    assert len(result.screens[0].rows) == min(15, len(result.table))
    assert {row["event"] for row in result.facts["events"]} <= {"holiday", "offers"}
    assert all(isinstance(row["begins"], date) for row in result.facts["peaks"])
    result.csv()


def test_a_series_alone_is_told_as_among_all():
    every = trend(shop(), None, Asked(days=14), out=None, say=silent).table
    name = every["category"][1]
    one = trend(shop(), None, Asked("category", (name,), 14), out=None, say=silent).table
    assert one.select("level", "growth", "changed").equals(every.filter(pl.col("category") == name).select("level", "growth", "changed"))


def test_only_what_is_asked_about_is_told_and_a_stranger_is_named():
    every = trend(shop(), None, Asked(days=14), out=None, say=silent).facts["events"]
    name = every[0]["category"]
    one = trend(shop(), None, Asked("category", (name, "unheard"), 14), out=None, say=silent)
    assert {row["category"] for row in one.facts["events"]} == {name} < {row["category"] for row in every}
    assert "1 of the 2 series" in one.after[0]
    total = trend(shop(), None, Asked("shop", (), 14), out=None, say=silent)
    assert total.screens[0].columns[0] == total.table.columns[0]


def test_prices_are_those_of_the_answers_and_say_why_there_is_none(tmp_path):
    result = prices(shop(), None, out=None, say=silent)
    told = price_answers(open_log(shop() / "log"))
    assert result.table.sort("category").equals(told.sort("category"))
    assert result.facts["answered"] == told["refused"].null_count()
    assert all(row[3] or row[1] != "–" for row in result.screens[0].rows)
    out = tmp_path / "prices.csv"
    assert prices(shop(), "2024-05-01", out=out, say=silent).table is None
    assert len(pl.read_csv(out)) == len(told)


def test_the_assortment_is_told_by_item_and_by_category():
    result = shelf(shop(), None, 56, out=None, say=silent)
    found = assortment(open_log(shop() / "log"), None, 56)
    assert result.table.equals(found.items)
    assert len(result.facts["categories"]) == len(found.categories)
    shown = {row[0] for page in result.screens[:1] for row in page.rows}
    assert shown <= set(found.items.filter(pl.col("verdict") != "steady")["item_id"])
    with pytest.raises(NotEnoughDataError):
        shelf(shop(), None, 300, out=None, say=silent)


@pytest.mark.parametrize("words", [["trends", "--shop-total"], ["prices"], ["assortment", "--days", "4w"]])
def test_the_commands_answer_in_json(words: list[str], tmp_path: Path):
    run = CliRunner().invoke(whenbuy, [*words, "--shop", str(shop()), "--json"])
    assert run.exit_code == 0, run.output
    assert json.loads(run.stdout)["as_of"]
    assert CliRunner().invoke(whenbuy, [*words, "--shop", str(tmp_path)]).exit_code != 0
