"""Prices from the log, and the answer of the simulated shop."""

import numpy as np
import pytest

from whenbuy.core.errors import ColumnError, NotEnoughDataError
from whenbuy.ingest.read import read
from whenbuy.ingest.simulate import simulate
from whenbuy.pipeline.demand.pricing import price_answers, prices


def test_the_price_level_is_the_shop_s_own():
    shop = simulate(800, 200, 3)
    found = prices(shop.history)
    true = np.log(shop._time.price[: found.log_price.shape[1]])
    apart = found.log_price - found.log_price.mean(axis=1, keepdims=True) - (true - true.mean())
    assert np.quantile(np.abs(apart), 0.9) < 0.02
    assert found.units.sum() == pytest.approx(prices(shop.history).units.sum())


def test_answers_are_a_table_with_reasons_where_there_are_none():
    table = price_answers(simulate(300, 200, 3).history)
    assert table.columns == ["category", "elasticity", "low", "high", "refused"]
    assert (table["elasticity"].is_null() == table["refused"].is_not_null()).all()


def test_paid_amounts_stand_in_for_prices_and_a_log_without_either_is_refused(tmp_path):
    rows = [("u1", f"2024-01-{day:02d}", "a", "c", 2, 6.0) for day in range(1, 29)]
    lines = "user_id,time,item_id,category,quantity,amount\n" + "\n".join(",".join(map(str, row)) for row in rows)
    (tmp_path / "a.csv").write_text(lines)
    found = prices(read(tmp_path / "a.csv").history)
    assert not found.log_price.any()
    assert found.units.sum() == 56
    (tmp_path / "b.csv").write_text("user_id,time\nu1,2024-01-01\n")
    with pytest.raises(ColumnError):
        prices(read(tmp_path / "b.csv").history)


def test_before_the_first_sale_there_is_no_answer():
    history = simulate(50, 60, 1).history
    with pytest.raises(NotEnoughDataError):
        prices(history, int(history.log.start - 1))
