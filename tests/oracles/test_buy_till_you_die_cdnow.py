"""Published parameters of BG/NBD and Pareto/NBD on the CDNOW 1/10 sample, calibrated to 1997-09-30, in weeks.

The data file lies in the wheel of the package lifetimes, which is never imported. BG/NBD: Fader, Hardie & Lee 2005, table 1; Pareto/NBD:
Fader & Hardie 2005, "A note on implementing the Pareto/NBD model in MATLAB" and the same table.
"""

import importlib.util
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from whenbuy.models.fitting.maximum_likelihood import together
from whenbuy.models.when import bgnbd, pareto


@pytest.fixture(scope="module")
def sample():
    found = importlib.util.find_spec("lifetimes")
    if found is None or found.origin is None:
        pytest.skip("the package lifetimes, which carries the CDNOW sample, is not installed")
    path = Path(found.origin).parent / "datasets" / "CDNOW_sample.txt"
    lines = (
        pl.Series("line", path.read_text().splitlines()).str.strip_chars().str.extract_groups(r"^(\d+)\s+(\d+)\s+(\d+)\s").struct.unnest()
    )
    day = pl.col("3").str.to_date("%Y%m%d")
    visits = lines.select(customer="2", day=day).filter(pl.col("day") <= pl.date(1997, 9, 30)).unique()
    customers = visits.group_by("customer").agg(first=pl.col("day").min(), last=pl.col("day").max(), repeats=pl.len() - 1)
    weeks = [
        pl.col("repeats").cast(pl.Float64),
        (pl.col("last") - pl.col("first")).dt.total_days() / 7,
        (pl.date(1997, 9, 30) - pl.col("first")).dt.total_days() / 7,
    ]
    rows, count = together(customers.select(weeks).to_numpy(), np.ones(len(customers)))
    assert count.sum() == 2357
    return rows, count


def test_bgnbd_parity(sample):
    rows, count = sample
    found = bgnbd.fit(*rows.T, count)
    assert found == pytest.approx((0.2426, 4.4137, 0.7930, 2.4262), rel=0.002)
    assert count @ bgnbd.log_likelihood(found, *rows.T, rows[:, 0])[0] == pytest.approx(-9582.429, abs=0.001)


def test_pareto_parity(sample):
    rows, count = sample
    r, alpha, s, beta, _, _ = pareto.fit(*rows.T, count, np.empty((len(rows), 0)))
    assert (r, alpha, s, beta) == pytest.approx((0.553, 10.580, 0.606, 11.656), rel=0.002)
    every = np.ones(len(rows))
    found = count @ pareto.log_likelihood(pareto.Spread(r, alpha * every, s, beta * every), *rows.T)[0]
    assert found == pytest.approx(-9594.976, abs=0.001)


def test_expected_purchases_of_a_published_customer():
    """Fader, Hardie & Lee 2005, section 5: customer 0001 (x = 2, t_x = 30.43, T = 38.86) is expected to buy 1.226 times in 39 weeks."""
    one, parameters = np.ones(1), (0.2426, 4.4137, 0.7930, 2.4262)
    x, last, tenure = one * 2, one * 30.43, one * 38.86
    alive = bgnbd.log_likelihood(parameters, x, last, tenure, x)[2]
    assert bgnbd.expected_purchases(parameters, x, tenure, x, alive, one * 39)[0, 0] == pytest.approx(1.226, abs=0.001)
