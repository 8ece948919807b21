"""`whenbuy report` of a shop in every state: before anything was learned, before anything was scored, with everything."""

import json
from pathlib import Path

import polars as pl
import pytest

from tests.unit.pipeline.quick import HORIZONS, candidates
from whenbuy.ingest.simulate import simulate
from whenbuy.ingest.store import open_log
from whenbuy.pipeline.keeping.registry import Registry
from whenbuy.pipeline.learning.learn import fit
from whenbuy.pipeline.verbs.init import init
from whenbuy.pipeline.verbs.report import report


def silent(words: str) -> None:
    """Say nothing."""


def page(folder: Path) -> str:
    return (folder / "reports" / "index.html").read_text("utf-8")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    rows = simulate(60, 120, 8).history.log.frame().select("user_id", "kind", "time", "order_id", "amount", "category")
    rows.write_csv(folder / "events.csv")
    init(folder / "tea", [folder / "events.csv"], columns={}, kinds={}, say=silent)
    return folder / "tea"


def test_a_shop_grows_its_report(shop: Path) -> None:
    first = report(shop, say=silent)
    assert first.facts["customers"] == 0
    assert [line.split("`")[1].split(" --")[0] for line in first.after] == ["whenbuy fit", "whenbuy backtest"]
    assert "Nothing was learned from this log yet" in page(shop)
    history = open_log(shop / "log")
    forecaster = fit(history, horizons=HORIZONS, candidates=candidates)
    about = {"seed": 7, "data": "d" * 64, "code": "1+abc", "run": "20260101-000000-abcdefab"}
    registry = Registry(shop / "models")
    id = registry.keep(forecaster, about, 1_700_000_000_000_000)
    registry.promote(id, "fit", 1_700_000_000_000_000)
    second = report(shop, say=silent)
    assert second.facts["customers"] > 0
    assert len(second.after) == 1
    text = page(shop)
    for said in (id, "d" * 16, "1+abc", "points", "whenbuy backtest"):
        assert said in text
    assert "seconds" not in text[text.index("To do it again") : text.index("What each number means")]  # its run is not there


def test_a_table_of_an_earlier_version_counts_as_not_there(shop: Path) -> None:
    (shop / "reports").mkdir(exist_ok=True)
    pl.DataFrame({"answer": ["purchase"], "score": ["auc_7d"], "ours": [0.8]}).write_parquet(shop / "reports" / "scores.parquet")
    found = report(shop, say=silent)
    assert any("whenbuy backtest" in line for line in found.after)
    json.dumps(found.plain())
