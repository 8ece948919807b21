"""Scores of a number with its distribution: how many visits come."""

from __future__ import annotations

import numpy as np

from whenbuy.core.errors import WhenbuyError
from whenbuy.core.examples import Labels
from whenbuy.core.number import Number
from whenbuy.evaluate.amount import mean_measures
from whenbuy.evaluate.measure import Measure, Sums, ratio


def number_measures(answer: Number, labels: Labels) -> tuple[Measure, ...]:
    """Return the measures of numbers, over the rows whose window has closed: those of the mean, the log-loss, and how often 80 % hold.

    Parameters
    ----------
    answer
        The forecast (n keys).
    labels
        How many came (n).
    """
    if len(labels) != len(answer):
        raise WhenbuyError(f"{len(answer)} numbers were given {len(labels)} labels.")
    rows = np.flatnonzero(labels.observed)
    some, came = answer.take(rows), labels.value[rows]
    inside = (came >= some.quantile(0.1)) & (came <= some.quantile(0.9))
    parts = np.zeros((len(labels), 3))
    parts[rows] = np.stack([np.ones(len(rows)), -some.log_chance(came), inside], axis=1)
    loss = Measure(
        "logloss", Sums(parts, lambda s: ratio(s[..., 1], s[..., 0])), "lower", "mean of -log(chance given to the number that came)"
    )
    covered = Measure(
        "coverage_80", Sums(parts, lambda s: ratio(s[..., 2], s[..., 0])), "context",
        "share of the numbers between the quantiles .1 and .9, both included: at least 80 %, more where numbers are small",
    )  # fmt: skip
    return (*mean_measures(labels.value, answer.mean, rows), *((loss, covered) if len(rows) else ()))
