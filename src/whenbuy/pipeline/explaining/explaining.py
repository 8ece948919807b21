"""From a forecaster and a history to an explanation of what it says of some customers."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from whenbuy.core.errors import UsageError
from whenbuy.core.examples import Table
from whenbuy.core.history import History
from whenbuy.pipeline.explaining.asking import Asking
from whenbuy.pipeline.explaining.behind import STANDING, Behind
from whenbuy.pipeline.explaining.crowd import Crowd
from whenbuy.pipeline.explaining.sharing import Sharing
from whenbuy.pipeline.learning.forecaster import Forecaster
from whenbuy.reasons.explanation import Explanation


def explain(
    model: Forecaster,
    history: History,
    users: Iterable[str] | None = None,
    as_of: int | str | None = None,
    horizon_days: float | None = None,
) -> Explanation:
    """Return why a forecaster says what it says of some customers.

    Parameters
    ----------
    model
        Who forecasts.
    history
        What was known.
    users
        Who is asked about; where this is left out, customers who stand for the shop, spread evenly over its forecasts.
    as_of
        The moment; the log's end by default.
    horizon_days
        The chance to order within so many days is explained; by default within the model's shortest horizon, which matters most to it.

    Raises
    ------
    LeakError
        When the moment lies before what was learned from.
    EmptyError
        When nobody was known by then.
    UsageError
        When the horizon is not above 0.
    """
    days = min(model.horizons) if horizon_days is None else horizon_days
    if not 0 < days < math.inf:
        raise UsageError(f"A horizon of {days:g} days was asked for.", "It must be above 0.", "Ask for a week: 7.")
    cutoff = history.end if as_of is None else history.clock.instant(as_of)
    asking = Asking(model, history, days)
    crowd = Crowd.at(asking, cutoff)
    sharing = Sharing.of(asking, crowd)
    keys = crowd.pool.take(crowd.evenly(STANDING)) if users is None else history.keys(users, cutoff)
    shares, told, prior = sharing.shares(keys)
    weekday = (history.clock.days(told.keys.cutoff) + 3) % 7
    usual = _medians(sharing.read(sharing.typical).examples.table)
    behind = Behind(asking, crowd, sharing, keys)
    return Explanation(keys, days, sharing.families, shares, told.table, usual, weekday, prior, model.models["purchase"].name, behind)


def _medians(table: Table) -> dict[str, float]:
    """Return the median of each feature over the rows that have it, NaN where none does."""
    known = [column[~np.isnan(column)] for column in table.values.T.astype(np.float64)]
    return {name: float(np.median(column)) if len(column) else math.nan for name, column in zip(table.names, known, strict=True)}
