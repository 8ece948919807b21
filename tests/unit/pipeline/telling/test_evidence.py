"""What a backtest leaves for the report."""

from pathlib import Path

import polars as pl
import pytest

from tests.unit.pipeline.quick import HORIZONS, candidates, shop
from whenbuy.core.errors import WhenbuyError
from whenbuy.pipeline.judging import backtest as backtesting
from whenbuy.pipeline.judging.backtest import Backtest, backtest
from whenbuy.pipeline.learning.learn import learned
from whenbuy.pipeline.telling.evidence import COLUMNS, Evidence, answer_of, lacking


@pytest.fixture(scope="module")
def found() -> Backtest:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backtesting, "learned", lambda made, _, **options: learned(made, candidates, **options))
        return backtest(shop(), weeks=3, horizons=HORIZONS, rounds=50)


@pytest.fixture(scope="module")
def evidence(found: Backtest) -> Evidence:
    return Evidence.of(found)


def test_every_part_is_there_and_comes_back_from_its_file(evidence: Evidence, tmp_path: Path) -> None:
    evidence.write(tmp_path)
    parts = evidence.parts()
    assert list(parts) == list(COLUMNS)
    for name, table in parts.items():
        assert table.height or name in ("weak_spots", "classes")  # so small a shop need not have one, and is not asked for the others
        assert pl.read_parquet(tmp_path / f"{name}.parquet").equals(table)


def test_the_scores_are_those_of_the_backtest(evidence: Evidence, found: Backtest) -> None:
    scores = evidence.parts()["scores"]
    ours = dict(scores.select("score", "ours").rows())
    assert ours["auc_7d"] == pytest.approx(found.comparison["auc_7d"].ours)
    assert {"auc_14d", "logloss_14d", "c_index", "orders_rmse", "amount_mae"} <= set(ours)
    assert set(scores["answer"]) == {"purchase", "orders", "amount"}


def test_a_table_without_its_columns_is_refused() -> None:
    with pytest.raises(WhenbuyError, match="verdict"):
        Evidence(pl.DataFrame(schema=dict.fromkeys(COLUMNS["scores"], pl.String)).drop("verdict"))
    assert lacking("calibration", pl.DataFrame({"horizon": [7.0]})) == ["mean_probability", "share_bought", "n"]


def test_the_answer_of_a_score() -> None:
    for name, said in {
        "auc_7d": ("purchase", "auc_7d"), "orders_rmse": ("orders", "rmse"), "spend_coverage_80": ("spend", "coverage_80"),
        "classes_auc": ("classes", "auc"), "orders": ("purchase", "orders"), "c_index": ("purchase", "c_index"),
    }.items():  # fmt: skip
        assert answer_of(name) == said
