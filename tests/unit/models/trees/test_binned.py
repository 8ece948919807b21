"""One table in bins serves many targets: none of them leaves a trace in the next."""

import gc
from weakref import ref

import numpy as np
import pytest

from whenbuy.models.trees import binned as home
from whenbuy.models.trees.binned import Binned
from whenbuy.models.trees.boosting import Boosting
from whenbuy.models.trees.forest import Forest

FEW = Boosting(trees=8, min_leaf=10, feature_fraction=1.0)


def table(n=900, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, 5)).astype(np.float32)
    values[rng.random(values.shape) < 0.1] = np.nan
    return values, (rng.random(n) < 1 / (1 + np.exp(-np.nan_to_num(values[:, 0])))).astype(float)


@pytest.mark.parametrize("grow", [FEW, Forest(trees=8)])
def test_what_was_binned_before_gives_the_same_trees_as_the_values(grow):
    values, came = table()
    shared = Binned.of(values)
    for target in (came, 1 - came):
        assert (grow.grow(shared, target).raw(values) == grow.grow(values, target).raw(values)).all()


def test_weights_and_starts_of_one_target_do_not_reach_the_next():
    values, came = table()
    shared, alone = Binned.of(values), FEW.grow(values, came)
    weight = np.where(came > 0, 5.0, 1.0)
    weighed = FEW.grow(shared, came, weight)
    assert (weighed.raw(values) == FEW.grow(values, came, weight).raw(values)).all()
    FEW.grow(shared, came, start=np.full(len(came), 2.0))
    assert (FEW.grow(shared, came).raw(values) == alone.raw(values)).all()


def test_some_rows_are_learned_from_in_the_bins_of_all():
    values, came = table()
    rows = np.flatnonzero(np.arange(len(came)) % 3 > 0)
    some = Binned.of(values).take(rows)
    assert len(some) == len(rows)
    assert (np.nan_to_num(some.values) == np.nan_to_num(values[rows])).all()
    twice = Binned.of(values).take(np.arange(len(came)) % 3 > 0).take(came[rows] > 0)
    assert twice.rows.tolist() == [row for row in rows.tolist() if came[row]]
    trees = FEW.grow(some, came[rows])
    assert trees.cover.max() <= len(rows)
    grown = trees.predict(values)
    assert grown[came > 0].mean() > grown[came == 0].mean() + 0.05
    zeros = np.where(np.isin(np.arange(len(came)), rows), 1.0, 0.0)
    assert (FEW.grow(Binned.of(values), came, zeros).raw(values) == FEW.grow(some, came[rows], np.ones(len(rows))).raw(values)).all()


def test_a_table_is_binned_once_and_not_kept_alive():
    values, came = table()
    FEW.grow(Binned.of(values), came)
    bins = Binned.of(values)._whole
    assert len(bins) == 1
    assert Binned.of(values)._whole is bins
    assert Binned.of(values.copy())._whole == []
    gone = ref(values)
    del values, bins
    gc.collect()
    assert gone() is None
    assert home._LAST[0][0]() is None or home._LAST[0][1] == []
