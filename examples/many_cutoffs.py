"""One question at many cutoffs, with a learner of your own, judged on weeks that it has not seen.

    python examples/many_cutoffs.py

The question: does a customer buy within two weeks? The learner: how often she did before, drawn towards everybody's rate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import whenbuy as wb
from whenbuy import features as f
from whenbuy.core.arrays import DAY
from whenbuy.core.examples import Examples
from whenbuy.core.forecast import Probability
from whenbuy.core.learner import refuse_leak
from whenbuy.evaluate.scores import compare
from whenbuy.pipeline.learning.build import panel
from whenbuy.questions import NextPurchase


@dataclass(frozen=True, slots=True)
class OwnRate:
    """Purchases per day, each customer's own drawn towards everybody's: a learner is its settings.

    Parameters
    ----------
    days
        The horizon.
    prior_days
        How many days of everybody's habit each customer starts with; infinitely many make it one rate for all.
    """

    days: float
    prior_days: float
    name: str = "own-rate"

    def fit(self, train: Examples, valid: Examples | None = None) -> OwnRateModel:
        label = train.label("purchase")
        rate = label.observed.sum() / label.value.sum()  # events over days watched: of a constant hazard the likeliest
        return OwnRateModel(self, float(rate), int(label.end.max()))


@dataclass(frozen=True, slots=True)
class OwnRateModel:
    """What was learned: another type, which has no fit."""

    settings: OwnRate
    rate: float
    known_until: int
    name: str = "own-rate"

    def predict(self, examples: Examples, *, in_sample: bool = False) -> Probability:
        refuse_leak(self.known_until, examples.keys, in_sample=in_sample)
        orders, tenure = (np.nan_to_num(examples.table.column(name)) for name in ("orders_84d", "tenure_days"))
        watched = np.minimum(tenure, 84.0)
        weight = self.settings.prior_days
        own = (orders + weight * self.rate) / (watched + weight) if np.isfinite(weight) else np.full(len(orders), self.rate)
        return Probability(examples.keys, 1 - np.exp(-own * self.settings.days), self.name)


history = wb.simulate(users=300, days=300, seed=3).history
spec = f.Features((f.Orders("84d"), f.Tenure("purchase", name="tenure_days")))
question = NextPurchase(14.0)

# Weekly cutoffs. At each one the past is cut, the population is asked, the label looks at the two weeks after it.
weeks = history.end - np.arange(28, 2, -1) * 7 * DAY
learned = panel(history, spec, weeks[:18], [question])
later = panel(history, spec, weeks[20:], [question])  # two weeks apart, so that no label window reaches into the later part
print(f"{len(learned):,} examples to learn from, {len(later):,} to judge by, at {len(weeks[20:])} cutoffs")

ours = OwnRate(14.0, 28.0).fit(learned).predict(later)
floor = OwnRate(14.0, np.inf).fit(learned).predict(later)

# Scores beside the floor, with paired bootstrap intervals over customers: better only where the whole interval says so.
label = later.label("purchase")
came = type(label)((label.observed & (label.value < 14.0)).astype(float), np.ones(len(label), bool), label.end)
found = compare(ours, floor, came, names=("auc", "logloss", "bias"), rounds=300)
for row in found.rows:
    interval = f"{row.low:+.3f} to {row.high:+.3f}"
    print(f"{row.name}: {row.ours:.3f}, floor {row.floor:.3f}, difference {row.difference:+.3f} ({interval}): {row.verdict}")

# A model refuses to speak of a time that it has already seen.
try:
    OwnRate(14.0, 28.0).fit(later).predict(learned)
except wb.WhenbuyError as refused:
    print("refused:", refused)
