"""Trees that take their steps together say what each says alone."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.models.trees.planted import forest, rows, slow_raw
from whenbuy.models.rows.forests import Chain
from whenbuy.models.trees import Trees

NODES = ("feature", "threshold", "right", "missing_left", "value", "cover", "gain")


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 40), st.integers(1, 5))
def test_several_scores_come_from_one_walk(seed, columns, trees, scores):
    made, rng = forest(seed, columns, trees, 12, divisor=2.0), np.random.default_rng(seed)
    first = rng.integers(0, scores, trees)
    behind = first + rng.integers(1, scores - first + 1)
    base, values = rng.normal(size=scores), rows(seed, 3, columns)
    said = Chain.of(made, first, behind, base)
    for row in values:
        leaves = np.array([slow_raw(single, row[None])[0] for single in _singles(made)])
        wanted = [base[place] + leaves[(first <= place) & (place < behind)].sum() / 2.0 for place in range(scores)]
        np.testing.assert_allclose(said(row), wanted, rtol=0, atol=1e-12)


def _singles(made):
    """Each tree as a forest of its own."""
    for lo, hi in pairwise(made.starts.tolist()):
        part = {name: getattr(made, name)[lo:hi] for name in NODES}
        part["right"] = np.where(part["right"] < 0, -1, part["right"] - lo).astype(np.int32)
        yield Trees(starts=np.array([0, hi - lo]), **part, features=made.features)
