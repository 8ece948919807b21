"""The compiled sum of terms equals the plain one."""

import numpy as np
import pytest

from whenbuy.core.examples import Table
from whenbuy.models.fitting.terms import Terms
from whenbuy.models.rows.asked import Layout
from whenbuy.models.rows.terms import Scorer

NAMES = (
    "frequency", "recency_days", "tenure_days", "event_recency_days", "event_tenure_days", "mean_amount", "first_amount", "last_amount",
    "gap_mean_days", "gap_deviation_days", "orders_decay_8d", "orders_decay_64d", "weekday_sin", "weekday_cos", "view_count", "view_7d",
    "difference",
)  # fmt: skip


def _table(rng, names, rows=400):
    values = rng.exponential(20.0, (rows, len(names))).astype(np.float32)
    for place, name in enumerate(names):
        if name in ("mean_amount", "first_amount", "gap_mean_days", "gap_deviation_days", "difference"):
            values[rng.random(rows) < 0.3, place] = np.nan
        if name in ("weekday_sin", "weekday_cos", "difference"):
            values[:, place] -= 20
    stranger = rng.random(rows) < 0.1
    values[np.ix_(stranger, [names.index(name) for name in names if name.endswith("_days")])] = np.nan
    values[stranger, names.index("frequency")] = 0
    values[rng.random(rows) < 0.2, names.index("frequency")] = 0
    return Table(names, values)


def _score(terms, weights, table):
    return Scorer.of(terms, weights, Layout(table.names, np.array([1.0])))(
        np.ascontiguousarray(table.values.T), np.ones(len(table.names), np.int64)
    )


@pytest.mark.parametrize("rich", [True, False])
@pytest.mark.parametrize("left_out", [(), ("mean_amount", "first_amount", "last_amount"), ("first_amount", "view_count", "gap_mean_days")])
def test_the_compiled_sum_is_the_plain_one(rich, left_out):
    rng = np.random.default_rng(len(left_out))
    table = _table(rng, tuple(name for name in NAMES if name not in left_out))
    terms = Terms.learn(table, rich=rich)
    weights = rng.normal(size=terms.matrix(table).shape[1])
    plain = terms.score(table, weights)
    np.testing.assert_allclose(_score(terms, weights, table), plain, rtol=1e-12, atol=1e-11 * np.abs(plain).max())
    shuffled = rng.permutation(len(table.names))
    moved = Table(tuple(table.names[i] for i in shuffled), table.values[:, shuffled])
    np.testing.assert_allclose(_score(terms, weights, moved), terms.score(moved, weights), rtol=1e-12, atol=1e-11 * np.abs(plain).max())


def test_terms_that_do_not_fit_the_row_are_left_to_the_model():
    table = _table(np.random.default_rng(0), NAMES)
    terms = Terms.learn(table, rich=True)
    weights = np.ones(terms.matrix(table).shape[1])
    assert Scorer.of(terms, weights[:-1], Layout(NAMES, np.array([1.0]))) is None
    assert Scorer.of(terms, weights, Layout(tuple(name for name in NAMES if name != "recency_days"), np.array([1.0]))) is None
