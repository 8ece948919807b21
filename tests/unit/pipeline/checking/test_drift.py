"""Months that differ from those before."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whenbuy.core.history import History
from whenbuy.ingest.read import read
from whenbuy.pipeline.checking.drift import drifts, stability


def shop(seed: int, change: dict[str, object] | None = None) -> History:
    """Return half a year of 20 purchases and 20 views a day; from May on something may be otherwise."""
    rng = np.random.default_rng(seed)
    told = {"rate": 20, "factor": 1.0, "views": 20, "missing": 0.0} | {}
    rows = []
    for day in range(181):
        now = told | (change or {}) if day >= 120 else told
        for kind, rate in (("purchase", now["rate"]), ("view", now["views"])):
            for _ in range(rng.poisson(rate)):
                bought = kind == "purchase"
                amount = float(now["factor"]) * rng.gamma(3, 10) if bought else None
                channel = "web" if rng.random() >= now["missing"] else None
                rows.append((f"u{rng.integers(300)}", day * 1440 + int(rng.integers(1440)), kind, amount, channel))
    frame = pl.DataFrame(rows, schema=["user_id", "minute", "kind", "amount", "channel"], orient="row", infer_schema_length=None)
    time = pl.datetime(2023, 1, 1, time_zone="UTC") + pl.duration(minutes=pl.col("minute"))
    return read(frame.with_columns(time=time).drop("minute").sort("time")).history


@pytest.mark.parametrize("seed", range(4))
def test_a_steady_shop_does_not_drift(seed: int) -> None:
    assert drifts(shop(seed)) == ()


@pytest.mark.parametrize(
    ("change", "what", "measure", "low", "high"),
    [
        ({"rate": 50}, "orders per day", "ratio", 2.2, 2.8),
        ({"views": 90}, "kinds", "psi", 0.25, 1.5),
        ({"factor": 1.6}, "amount", "smd", 0.5, 1.0),
        ({"missing": 0.4}, "missing channel", "points", 0.35, 0.45),
    ],
)
def test_a_change_is_found_in_its_month_and_measured(change: dict, what: str, measure: str, low: float, high: float) -> None:
    found = drifts(shop(1, change))
    assert min(one.month for one in found) == "2023-05"
    (one,) = (each for each in found if (each.month, each.what, each.measure) == ("2023-05", what, measure))
    assert low < one.effect < high
    assert one.size in ("moderate", "large")


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=2, max_size=12).filter(
        lambda p: all(map(sum, zip(*p, strict=True)))
    )
)
def test_stability_is_the_sum_by_its_definition(pairs: list[tuple[int, int]]) -> None:
    now, before = (np.array(part) for part in zip(*pairs, strict=True))
    there = [(p + 0.5, q + 0.5) for p, q in pairs if p or q]
    sums = [sum(part) for part in zip(*there, strict=True)]
    psi = sum((p / sums[0] - q / sums[1]) * np.log((p / sums[0]) / (q / sums[1])) for p, q in there)
    chance = (len(there) - 1) * (1 / now.sum() + 1 / before.sum())
    assert stability(now, before) == pytest.approx(max(0.0, psi - chance))


def test_two_samples_of_one_law_are_stable() -> None:
    rng = np.random.default_rng(0)
    law = rng.dirichlet(np.ones(10))
    found = [stability(rng.multinomial(150, law), rng.multinomial(300, law)) for _ in range(200)]
    assert np.mean(np.array(found) >= 0.1) < 0.05
