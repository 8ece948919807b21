from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.models.segment.test_ways import FEATURES, crowds
from whenbuy.core.examples import Table
from whenbuy.models.segment.k_means import KMeans
from whenbuy.models.segment.stability import adjusted_rand, agreement, choose, overlap, same

codes = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=30)


@given(codes)
def test_the_adjusted_rand_index_counts_pairs(pairs):
    one, other = (np.array(part, np.int32) for part in zip(*pairs, strict=True))
    both = [(one[i] == one[j], other[i] == other[j]) for i, j in combinations(range(len(one)), 2)]
    joint, rows, columns = sum(a and b for a, b in both), sum(a for a, _ in both), sum(b for _, b in both)
    expected, most = rows * columns / len(both), (rows + columns) / 2
    assert np.isclose(adjusted_rand(one, other), 1.0 if most == expected else (joint - expected) / (most - expected))
    assert overlap(one, other).sum() == len(one)


def test_crowds_are_stable_and_chosen():
    table, _ = crowds()
    way = KMeans(FEATURES, sizes=(4, 3, 2))
    size, tried = choose(way, table, seed=0)
    assert size == tried[-1].size
    assert 0.8 <= tried[-1].low <= tried[-1].stability
    assert agreement(lambda part, seed: way.learn(part, 3, seed), table, 0, resamples=5).tolist() == [1.0] * 5
    assert choose(way, table, 0, first=3)[0] == 3
    assert choose(way, table, 0, size=2)[0] == 2


def test_what_never_divides_is_said_to_be_one():
    alike = Table(FEATURES, np.ones((20, 4), np.float32))
    _, tried = choose(KMeans(FEATURES), alike, 0)
    assert {one.groups for one in tried} == {1}
    assert len(choose(KMeans(FEATURES), alike.take(slice(0, 1)), 0)[1]) == len(tried)


def test_groups_are_matched_by_whom_they_share():
    earlier = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2], np.int32)
    assert same(earlier, np.array([2, 2, 2, 0, 0, 0, 1, 1, 1], np.int32), 3).tolist() == [1, 2, 0]
    assert same(earlier, np.array([0, 0, 0, 1, 1, 1, 1, 1, 1], np.int32), 3).tolist()[0] == 0
    assert same(earlier, np.array([0, 0, 0, 1, 1, 1, 2, 3, 4], np.int32), 5).tolist().count(-1) == 2
