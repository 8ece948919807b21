"""What the attributes of a newcomer say, read once: the same as the batch reads of them at every instant."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from whenbuy.core.profile import Profile
from whenbuy.models.when.attribute_prior import AttributePrior
from whenbuy.serve.asking import People

PRIOR = AttributePrior({"city": {"Berlin": 1.5, "Rome": 0.5}, "age": {"30": 1.25, "40": 0.75}, "gone": {"x": 9.0}})
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def profile(timeless):
    rng, n = np.random.default_rng(3), 200
    city, age = rng.choice(["Berlin", "Rome", "Oslo", None], n), [None if x > 40 else int(x) for x in rng.choice([30, 40, 50], n)]
    columns = {"id": [f"u{i}" for i in rng.integers(0, 40, n)], "city": city.tolist(), "age": age}
    if not timeless:
        columns["valid_from"] = [BEGIN + timedelta(minutes=int(i)) for i in rng.permutation(n)]
        columns["valid_from"][5] = None
    return Profile("user", pl.DataFrame(columns), timeless)


@pytest.mark.parametrize("timeless", [False, True])
def test_how_often_a_newcomer_orders_equals_the_factor_of_her_attributes(timeless):
    people = People(profile(timeless), PRIOR)
    begin = int(BEGIN.timestamp() * 1e6)
    seen = set()
    for user in [*(f"u{i}" for i in range(41)), "nobody"]:
        for minutes in (0, 1, 50, 100, 199, 200, 500):
            for at in (begin + minutes * 60_000_000, begin + minutes * 60_000_000 + 1):
                times = people.times(user, False, at)
                assert times == PRIOR.factor(people.attributes([user], [False], np.array([at])))[0]
                seen.add(times)
    assert len(seen) > 5


def test_it_says_nothing_of_who_bought_and_where_nothing_is_known():
    assert People(profile(True), PRIOR).times("u1", True, 0) == 1.0
    assert People(profile(True)).times("u1", False, 0) == 1.0
    assert People(None, PRIOR).times("u1", False, 0) == 1.0
