"""The forecast of series checks itself, names things, adds steps, and draws."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from whenbuy.core.card import picture
from whenbuy.core.errors import NotFoundError, UsageError, WhenbuyError
from whenbuy.core.keys import Keys
from whenbuy.core.log import Dictionary
from whenbuy.core.panel import Panel
from whenbuy.core.series_forecast import SeriesForecast

LEVELS = np.array([0.1, 0.25, 0.5, 0.75, 0.9])


def made(n=3, h=4, step_days=1, sums=True):
    mean = np.arange(1.0, n * h + 1).reshape(n, h)
    around = np.array([0.0, 0.5, 1.0, 1.5, 2.0])
    keys = Keys("item", np.arange(n, dtype=np.int32), np.full(n, 17_000 * 86_400_000_000), Dictionary.of([f"i{k}" for k in range(n)]))
    past = np.tile(np.array([np.nan, 3.0, 5.0]), (n, 1))
    return SeriesForecast(
        keys, step_days, 17_000, mean, LEVELS, mean[:, :, None] * around, ("a", "b", "a")[:n], None, "demand",
        np.cumsum(mean, axis=1)[:, :, None] * around if sums else None, past,
    )  # fmt: skip


def test_a_frame_has_a_row_per_series_and_step():
    frame = made(step_days=7).frame()
    assert frame.shape[0] == 12
    assert frame.columns[:6] == ["item_id", "as_of", "step", "begins", "measure", "mean"]
    assert frame["begins"].to_list()[:2] == [frame["begins"][0], frame["begins"][0] + timedelta(7)]
    assert frame["p10"].to_list() == [0.0] * 12
    assert frame.filter(item_id="i1")["model"].unique().to_list() == ["b"]


def test_quantiles_lie_straight_between_levels():
    told = made()
    np.testing.assert_allclose(told.quantile(0.5), told.mean)
    np.testing.assert_allclose(told.quantile(0.375), 0.75 * told.mean)
    np.testing.assert_allclose(told.sum_quantile(0.9)[:, -1], 2 * told.mean.sum(axis=1))
    with pytest.raises(UsageError):
        told.quantile(0.95)
    with pytest.raises(UsageError):
        made(sums=False).sum_quantile(0.5)
    with pytest.raises(UsageError):
        told.chance_above(np.zeros(3), 5)


def test_the_chance_above_an_amount_is_read_from_the_sums():
    told = made()
    totals = told.mean[:, :2].sum(axis=1)
    np.testing.assert_allclose(told.chance_above(totals, 2), 0.5)
    np.testing.assert_allclose(told.chance_above(1.25 * totals, 2), 0.375)
    np.testing.assert_allclose(told.chance_above(np.full(3, 1e9), 2), 0.1)
    np.testing.assert_allclose(told.chance_above(np.full(3, -1.0), 2), 0.9)


def test_series_are_taken_and_named():
    told = made()
    assert told.of("i1").mean.tolist() == told.mean[1:2].tolist()
    assert told.take(np.array([2, 0])).keys.ids().to_list() == ["i2", "i0"]
    assert told.model == "a, b"
    assert told.totals()["mean"].to_list() == told.mean.sum(axis=1).tolist()
    assert made(sums=False).totals()["low"].to_list() == [None] * 3
    with pytest.raises(NotFoundError):
        told.of("unheard")


def test_it_is_drawn_and_shown():
    told = made()
    page = told._repr_html_()
    assert "<img" in page
    assert "i0" in page
    assert "demand per day" in picture(told.plot())
    assert len(told.take(slice(0, 0))._repr_html_()) > 0
    assert repr(told) == "SeriesForecast(3 item series, 4 days, demand)"


@pytest.mark.parametrize(
    "wrong",
    [
        {"step_days": 2}, {"levels": LEVELS[::-1]}, {"levels": np.array([0.0, 0.25, 0.5, 0.75, 0.9])}, {"models": ("a",)},
        {"quantiles": -np.ones((3, 4, 5))}, {"quantiles": np.full((3, 4, 5), np.nan)}, {"quantiles": np.ones((3, 4, 4))},
        {"quantiles": np.tile([5.0, 4, 3, 2, 1], (3, 4, 1))}, {"mean": -np.ones((3, 4))}, {"mean": np.ones((2, 4))},
        {"prior": np.zeros(2, bool)}, {"sums": np.ones((3, 4, 2))},
    ],
)  # fmt: skip
def test_one_that_breaks_its_promise_is_never_made(wrong):
    with pytest.raises(WhenbuyError):
        replace(made(), **wrong)


def test_a_panel_checks_itself_and_stands_earlier():
    keys = made(2).keys
    panel = Panel(
        keys,
        "demand",
        1,
        17_000,
        np.ones((2, 9), np.float32),
        np.array([0, 8]),
        {"closed": np.zeros((10, 3))},
        np.zeros(2, np.int32),
        np.arange(2),
    )
    assert panel.days(2).tolist() == list(range(17_000, 17_011))
    before = panel.until(5)
    assert (before.steps, before.first.tolist(), len(before.calendar["closed"])) == (5, [0, 5], 6)
    for wrong in (
        {"values": np.ones(3, np.float32)}, {"first": np.zeros(3, np.int64)}, {"calendar": {"closed": np.zeros((3, 3))}},
        {"pool": np.array([2])},
    ):  # fmt: skip
        with pytest.raises(WhenbuyError):
            replace(panel, **wrong)
