import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whenbuy.core.blocks import Interactions
from whenbuy.core.errors import WhenbuyError
from whenbuy.core.examples import Examples, Table
from whenbuy.core.keys import Keys
from whenbuy.core.log import Dictionary
from whenbuy.reasons.mixture import Mixture, Part, rest_of, touched

NAMES = ("a", "b", "c", "d")
PARTS = (Part("one", ("b", "d")), Part("two", ("a",), ("did",)), Part("three", ("c",)))


def made(n, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.random((n, 4)).astype(np.float32)
    values[rng.random(values.shape) < 0.2] = np.nan
    users = Dictionary.of([f"u{i}" for i in range(n)])
    keys = Keys("user", np.arange(n, dtype=np.int32), np.arange(n, dtype=np.int64), users)
    reads = []

    def silence(days, rows):
        reads.append(len(rows))
        return Table(NAMES, (values[rows] + days[:, None]).astype(np.float32))

    did = Interactions("category", ("x",), ("count",), rng.random((n, 1, 1)).astype(np.float32))
    return Examples(keys, Table(NAMES, values), {}, silence, blocks={"did": did}), reads


@given(st.integers(0, 1000), st.integers(1, 6), st.integers(0, 40), st.booleans())
def test_each_part_comes_from_its_own_row(seed, n, m, many_days):
    examples, _ = made(n, seed)
    rng = np.random.default_rng(seed + 1)
    rows, keys = rng.integers(0, n, (m, 3)), rng.integers(0, n, m)
    found = Mixture.of(examples, PARTS).mixed(rows, keys)
    asked = rng.integers(0, max(m, 1), 3 * m)
    days = rng.random(len(asked)) if many_days else rng.integers(0, 3, len(asked)).astype(float)
    later = found.silence(days, asked)
    np.testing.assert_array_equal(found.keys.code, keys)
    for i in range(m):
        for place, part in enumerate(PARTS):
            for name in part.columns:
                assert found.table.column(name)[i] == pytest.approx(examples.table.column(name)[rows[i, place]], nan_ok=True)
        assert found.block("did", Interactions).values[i] == examples.block("did", Interactions).values[rows[i, 1]]
    for j, i in enumerate(asked):
        for place, part in enumerate(PARTS):
            one = examples.silence(days[j : j + 1], rows[i, place : place + 1])
            for name in part.columns:
                assert later.column(name)[j] == pytest.approx(one.column(name)[0], nan_ok=True)


def test_a_day_of_silence_is_read_once():
    examples, reads = made(3)
    mixture = Mixture.of(examples, PARTS)
    path = np.tile(np.arange(5.0), 100)
    for _ in range(4):
        rows = np.random.default_rng(1).integers(0, 3, (100, 3))
        mixture.mixed(rows, rows[:, 0]).silence(path, np.repeat(np.arange(100), 5))
    assert reads == [15]


def test_rows_differ_where_a_number_or_a_gap_does():
    examples, _ = made(2)
    values = examples.table.values
    values[:] = [[1, 2, np.nan, 4], [1, 2, np.nan, 5]]
    parts = (*PARTS[:1], Part("two", ("a",)), PARTS[2], Part("blocks", (), ("did",)))
    found = Mixture.of(examples, parts).differs(np.array([0, 0]), np.array([1, 0]))
    np.testing.assert_array_equal(found, [[True, False, False, True], [False, False, False, True]])
    values[0, 2] = 3
    assert Mixture.of(examples, parts).differs(np.array([0]), np.array([1]))[0, 2]


def test_parts_hold_everything_once():
    examples, _ = made(2)
    with pytest.raises(WhenbuyError, match="each feature and each block once"):
        Mixture.of(examples, PARTS[:2])
    with pytest.raises(WhenbuyError, match="each feature and each block once"):
        Mixture.of(examples, (*PARTS, Part("again", ("a",))))
    rest = rest_of(NAMES, ("did",), PARTS[:1])
    assert rest == Part("rest", ("a", "c"), ("did",))
    Mixture.of(touched(examples, ()), (PARTS[0], Part("rest", rest.columns)))
