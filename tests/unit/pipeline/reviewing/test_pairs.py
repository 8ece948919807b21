"""Ratings of pairs: no review tells of itself, and the interval holds what it says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.pipeline.reviewing.shop import history
from whenbuy.core.errors import NotEnoughDataError
from whenbuy.pipeline.reviewing.opinions import opinions
from whenbuy.pipeline.reviewing.pairs import _before, pair_ratings


def rated(n, seed=0):
    """Return reviews of 40 items by 50 customers, whose tastes and qualities are known."""
    rng = np.random.default_rng(seed)
    kind, quality = rng.normal(0, 0.6, 50), rng.normal(0, 0.8, 40)
    user, item = rng.integers(0, 50, n), rng.integers(0, 40, n)
    stars = np.clip(np.round(3 + kind[user] + quality[item] + rng.normal(0, 0.7, n)), 1, 5)
    rows = [(f"u{u}", day / 9, f"i{i}", float(r), None) for day, (u, i, r) in enumerate(zip(user, item, stars, strict=True))]
    return rows, kind, quality


def test_who_and_what_are_told_apart():
    rows, kind, quality = rated(1500)
    found = pair_ratings(opinions(history(rows)))
    assert found.error < 0.9 * found.floor
    user, item = np.divmod(np.arange(2000), 40)
    table = found.predict([f"u{u}" for u in user], [f"i{i}" for i in item])
    assert np.corrcoef(table["rating"], np.clip(3 + kind[user] + quality[item], 1, 5))[0, 1] > 0.9
    rng = np.random.default_rng(9)
    stars = np.clip(np.round(3 + kind[user] + quality[item] + rng.normal(0, 0.7, 2000)), 1, 5)
    inside = (table["low"].to_numpy() <= stars) & (stars <= table["high"].to_numpy())
    assert 0.74 < inside.mean() < 0.95
    assert table["low"].min() >= 1
    assert table["high"].max() <= 5


def test_strangers():
    found = pair_ratings(opinions(history(rated(300)[0])))
    table = found.predict(["nobody", "u1", "nobody"], ["nothing", "nothing", "i1"])
    assert table["known_user"].to_list() == [False, True, False]
    assert table["known_item"].to_list() == [False, False, True]
    assert table["rating"][0] == pytest.approx(found.mean)
    assert len({*table["rating"].to_list()}) == 3
    assert found.predict([], []).height == 0


def test_few_ratings_are_refused():
    with pytest.raises(NotEnoughDataError, match="49 reviews"):
        pair_ratings(opinions(history(rated(49)[0])))
    alike = [(f"u{i}", i / 3, "mug", 5.0, None) for i in range(60)]
    found = pair_ratings(opinions(history(alike)))
    assert found.predict(["u1"], ["mug"])["rating"].to_list() == [5.0]


@given(st.lists(st.tuples(st.integers(-1, 2), st.integers(0, 4), st.one_of(st.integers(0, 5), st.just(None))), max_size=15))
def test_only_what_was_known_before_describes_a_review(rows):
    code, known_at = (np.array([row[place] for row in rows], np.int64) for place in (0, 1))
    value = np.array([np.nan if row[2] is None else row[2] for row in rows], float)
    found = _before(code, known_at, value, 2.0)
    for place in range(len(rows)):
        mine = (code == code[place]) & (known_at < known_at[place]) & np.isfinite(value)
        slow = value[mine].sum() / (mine.sum() + 2.0) if code[place] >= 0 else 0.0
        assert found[place] == pytest.approx(slow)
