"""What `whenbuy forecast` does and says."""

import json
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import polars as pl
import pytest
from click.testing import CliRunner

from whenbuy.cli.verbs import whenbuy
from whenbuy.core.errors import NotFoundError, UsageError
from whenbuy.ingest.simulate import simulate
from whenbuy.ingest.store import write_log
from whenbuy.pipeline.verbs.forecast import Asked, asked_of, forecast


@cache
def shop() -> Path:
    folder = Path(mkdtemp())
    (folder / "whenbuy.toml").write_text("[shop]\nname = 'small'\n", encoding="utf-8")
    write_log(simulate(150, 150, 8).history, folder / "log")
    return folder


def silent(_):
    pass


def test_categories_are_told_with_the_backtest_beside_them():
    result = forecast(shop(), None, Asked(days=14), out=None, say=silent)
    assert result.facts["measure"] == "demand"
    assert result.facts["days"] == 14
    assert result.table["step"].max() == 14
    assert result.screens[0].title.startswith("Demand of the next 14 days")
    assert "seasonal naive" in [row[0] for row in result.screens[-1].rows]
    json.dumps(result.plain(), default=str)


def test_a_file_is_written_and_a_stranger_is_named(tmp_path):
    out = tmp_path / "demand.parquet"
    result = forecast(shop(), "2024-05-01", Asked("item", ("unheard",), 7, "week"), out=out, say=silent)
    assert result.table is None
    assert "1 of the 1 series" in result.after[0]
    assert pl.read_parquet(out)["item_id"].to_list() == ["unheard"]


def test_the_customers_are_joined_and_units_add_up():
    result = forecast(shop(), None, Asked(days=14, step="week", customers=True), out=None, say=silent)
    assert result.facts["why"] == []  # nothing was learned of them here: the series speak alone
    total = forecast(shop(), None, Asked("shop", (), 14, "week", customers=True), out=None, say=silent)
    assert result.table["units"].sum() > 0
    assert result.screens[0].columns[-1] == "units>"
    assert {row["level"] for row in total.facts["backtest"]} == {"shop"}
    said = []
    with pytest.raises(NotFoundError):
        forecast(shop(), None, Asked("category", ("unheard",), customers=True), out=None, say=said.append)
    assert not said  # before anything that costs time
    with pytest.raises(UsageError):
        Asked(measure="visits", customers=True)


def test_one_kind_of_series_is_asked_at_once():
    assert asked_of((), (), (), every=False, total=False) == ("category", ())
    assert asked_of(("a",), (), (), every=False, total=False) == ("item", ("a",))
    assert asked_of((), (), (), every=False, total=True) == ("shop", ())
    with pytest.raises(UsageError):
        asked_of(("a",), ("b",), (), every=False, total=False)


def test_the_command_reads_days_and_weeks():
    run = CliRunner().invoke(whenbuy, ["forecast", "--shop", str(shop()), "--shop-total", "--horizon", "2w", "--step", "week", "--json"])
    assert run.exit_code == 0, run.output
    assert json.loads(run.stdout)["days"] == 14
    for wrong in ("soon", "0d", "-3"):
        assert CliRunner().invoke(whenbuy, ["forecast", "--shop", str(shop()), "--horizon", wrong]).exit_code == 2
