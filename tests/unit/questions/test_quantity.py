"""Units within a horizon: every line of every order of the window."""

import numpy as np
import polars as pl

from tests.unit.pipeline.quick import shop
from whenbuy.core.arrays import DAY
from whenbuy.questions import Quantity


def test_the_label_is_the_sum_over_the_lines_of_the_window():
    history = shop()
    log = history.log
    cutoff = history.clock.midnights(history.clock.days(np.array([log.end], np.int64)) - 30)
    keys = history.panel(cutoff)
    found = Quantity(7.0).label(history.before(keys), history.within(keys, 7.0))
    owner = np.repeat(np.arange(len(log.users) + 1), np.diff(np.append(log.offsets, len(log))))
    lines = pl.DataFrame({"user": owner, "time": log.time, "kind": log.kind, "units": log.columns["quantity"].values / 1000})
    inside = lines.filter(
        pl.col("kind") == log.code("purchase"), pl.col("time") >= cutoff[0], pl.col("time") < cutoff[0] + 7 * DAY, pl.col("units") >= 0
    )
    units = dict(inside.group_by("user").agg(pl.col("units").sum()).iter_rows())
    assert found.value.tolist() == [units.get(user, 0.0) for user in keys.code.tolist()]
    assert found.value.sum() > 10
    assert found.observed.all()


def test_a_window_that_is_open_is_not_observed():
    history = shop()
    keys = history.keys(["nobody"], history.end - 3 * DAY)
    asked = Quantity(7.0)
    found = asked.label(history.before(keys), history.within(keys, 7.0))
    assert (found.value.tolist(), found.observed.tolist()) == ([0.0], [False])
    assert (asked.name, asked.entity) == ("quantity", "user")
    assert asked.population(history.before(keys)).tolist() == [False]
