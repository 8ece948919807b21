"""What a fit promises comes true on later weeks of the simulated shop: chances within any horizon, units, and a year's value."""

from dataclasses import replace

import numpy as np
import pytest

from whenbuy.core.arrays import DAY
from whenbuy.ingest.simulate import simulate
from whenbuy.ingest.simulated.parameters import Parameters
from whenbuy.pipeline.judging.trial import Trial
from whenbuy.pipeline.learning.catalogue import learners
from whenbuy.pipeline.learning.learn import fit

QUICK = {
    "purchase": ("rate-84d", "mbg-nbd", "kaplan-meier-recency", "logistic"), "orders": ("rate-84d", "mbg-nbd"),
    "amount": ("mean-amount", "gamma-gamma"), "quantity": ("quantity-rate-84d",),
}  # fmt: skip


def quick(answer, grid):
    """Those of the catalogue that learn in seconds."""
    return tuple(learner for learner in learners(answer, grid) if learner.name in QUICK.get(answer, ()))


@pytest.fixture(scope="module")
def trial() -> Trial:
    """Weeks of a steady shop: without the year's wave, campaigns and price levels later weeks are like earlier ones."""
    laws = Parameters.frozen()
    flat = {"year_amplitude": 0.0, "campaign_days": (), "campaign_discounts": (), "price_days": (0,), "price_levels": (1.0,)}
    return Trial.of(simulate(1000, 260, 3, replace(laws, calendar=replace(laws.calendar, **flat))).history, weeks=6)


@pytest.fixture(scope="module")
def outlook(trial):
    return fit(trial.history, trial.cutoffs[0], candidates=quick).answer(trial.history, trial.keys)


@pytest.mark.parametrize("days", [3.0, 7.0, 10.0, 14.0, 28.0])  # two of them were not asked about
def test_chances_come_true_on_later_weeks(trial, outlook, days):
    """In no fifth of the people is what came farther than .08 from what was promised, on average .05, over all by no more than 15 %.

    It holds for every seed that was tried; the standard error of what came over all is 4 %.
    """
    came = (trial.history.within(trial.keys, days).first("purchase") >= trial.keys.cutoff).astype(float)
    chance = outlook.purchase.probability(days)
    gaps = [float(chance[rows].mean() - came[rows].mean()) for rows in np.array_split(np.argsort(chance, kind="stable"), 5)]
    assert np.abs(gaps).max() < 0.08
    assert np.abs(gaps).mean() < 0.05
    assert chance.sum() == pytest.approx(came.sum(), rel=0.15)


def test_units_come_as_promised(trial, outlook):
    told = outlook.answers["quantity"]
    assert outlook.frame(further=True)["quantity_mean_7d"].to_list() == told.mean.tolist()
    bought = trial.history.within(trial.keys, 7.0).total("quantity", "purchase")
    assert told.mean.sum() == pytest.approx(bought.sum(), rel=0.15)
    most = np.argsort(told.mean, kind="stable")[-len(bought) // 5 :]
    assert bought[most].mean() > 1.5 * bought.mean()


def test_a_years_value_is_what_the_year_brings():
    """The sum within a fifth, and each fifth of the people by promised value spends more than the one below."""
    history = simulate(800, 730, seed=4).history
    year = int(history.end - 365 * DAY)
    made = fit(history, year, candidates=quick).predict(history, year)
    value = made.frame()["clv"].to_numpy()
    spent = history.within(made.keys, 365.0).total("amount", "purchase")
    assert value.sum() == pytest.approx(spent.sum(), rel=0.2)
    fifths = [spent[rows].mean() for rows in np.array_split(np.argsort(value, kind="stable"), 5)]
    assert (np.diff(fifths) > 0).all()
