"""Who will review."""

import numpy as np
import pytest

from tests.unit.pipeline.reviewing.shop import history
from whenbuy.core.errors import NotEnoughDataError
from whenbuy.pipeline.reviewing.opinions import opinions
from whenbuy.pipeline.reviewing.writers import writers


def keen(days=150, seed=0):
    """Return reviews of customers of whom one half writes often, the other hardly ever."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(80):
        every = 12.0 if user < 40 else 400.0
        day = rng.uniform(0, 12)
        while day < days:
            rows.append((f"u{user:02}", day, f"i{rng.integers(8)}", float(rng.integers(4, 6) if user % 2 else rng.integers(1, 4)), None))
            day += rng.exponential(every)
    return sorted(rows, key=lambda row: row[1])


def test_those_who_write_often_will_write():
    found = history(keen())
    told = writers(found, opinions(found), horizon_days=14.0)
    table = told.frame().sort("user_id")
    often = table["user_id"].str.slice(1).cast(int) < 40
    assert table.filter(often)["p_review"].mean() > table.filter(~often)["p_review"].mean() + 0.25
    assert told.losses[told.chance.model] == min(told.losses.values())
    kind = table.filter(often)["user_id"].str.slice(1).cast(int) % 2 == 1
    assert table.filter(often).filter(kind)["rating"].mean() > table.filter(often).filter(~kind)["rating"].mean() + 1
    assert (table["rating_low"] <= table["rating"]).all()
    assert (table["rating"] <= table["rating_high"]).all()


def test_a_short_log_is_refused():
    found = history(keen(20))
    with pytest.raises(NotEnoughDataError, match="Three windows"):
        writers(found, opinions(found))
