import numpy as np
import pytest

from whenbuy.pipeline.reviewing.shrunk import lent, shrunk


def test_the_right_number_is_lent():
    rng = np.random.default_rng(0)
    thing = rng.normal(0, 0.5, 3000)
    code = rng.integers(0, 3000, 20_000)
    value = 4 + thing[code] + rng.normal(0, 1.0, 20_000)
    assert lent(value, code) == pytest.approx(4.0, rel=0.15)  # 1 / .25
    found = shrunk(value, code, 3001)
    own = np.bincount(code, value, 3001) / np.maximum(np.bincount(code, minlength=3001), 1)
    assert np.mean((found[:3000] - 4 - thing) ** 2) < 0.95 * np.mean((own[:3000] - 4 - thing) ** 2)
    assert found[3000] == pytest.approx(value.mean())


def test_things_that_do_not_differ_have_one_mean():
    value, code = np.array([1.0, 5.0, 5.0, 1.0]), np.array([0, 0, 1, 1])
    assert lent(value, code) == np.inf
    assert shrunk(value, code, 3).tolist() == [3.0, 3.0, 3.0]
    assert lent(value[:1], code[:1]) == np.inf
    assert np.isnan(shrunk(np.array([np.nan, 2.0]), np.array([0, -1]), 2)).all()


def test_things_that_only_differ_keep_theirs():
    value, code = np.array([1.0, 1.0, 5.0, 5.0]), np.array([0, 0, 1, 1])
    assert shrunk(value, code, 2).tolist() == [1.0, 5.0]
