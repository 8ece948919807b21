"""The pipeline cannot cheat: a future that belongs to somebody else cannot be foreseen, and its order changes nothing."""

import numpy as np
import polars as pl

from benchmarks.quality.no_cheating import (
    SEGMENT,
    aucs,
    default_spec,
    different,
    forecast,
    holdout_shuffled,
    leak_shuffle,
    random_label_auc,
    shuffled,
    ties_shuffled,
)
from whenbuy.core.arrays import DAY
from whenbuy.core.examples import Table
from whenbuy.ingest.simulate import simulate


def test_futures_of_somebody_else_cannot_be_foreseen():
    assert random_label_auc() <= 0.03


def test_the_measure_sees_what_can_be_foreseen_and_what_leaks():
    history = simulate(1_000, 6 * SEGMENT, 1).history
    assert min(aucs(history).values()) > 0.6
    told = aucs(shuffled(history, 1), Leaky)
    assert told["logistic-rich"] > 0.9
    assert abs(told["logistic"] - 0.5) < 0.05


def test_shuffled_futures_are_the_same_events():
    history = simulate(300, 6 * SEGMENT, 1).history
    other = shuffled(history, 1)
    assert sorted(other.log.columns) == sorted(history.log.columns)
    assert other.end == history.end
    for name in ("time", "known_at", "kind"):
        assert (np.sort(getattr(other.log, name)) == np.sort(getattr(history.log, name))).all()
    per_user = [np.bincount(owners(made.log), minlength=400) for made in (history, other)]
    assert (per_user[0] != per_user[1]).sum() > 200


class Leaky:
    """The default features and beside them a leak: how many orders each user will place within the segment."""

    def __init__(self, history):
        self.honest = default_spec(history)

    def table(self, past):
        ahead = past._history.within(past.keys, SEGMENT).orders()
        return self.honest.table(past).beside(Table(("orders_ahead",), ahead[:, None].astype(np.float32)))


def owners(log):
    return np.searchsorted(log.offsets, np.arange(len(log)), side="right") - 1


def test_the_order_of_the_holdout_changes_no_byte():
    assert leak_shuffle() == 0


def test_the_shuffles_shuffle_and_a_changed_row_is_seen():
    frame = simulate(60, 120, 3).history.log.frame().drop("orders", "text").sort("known_at", maintain_order=True)
    cutoff, rng = int(frame["known_at"].dt.epoch("us").max()) - 35 * DAY, np.random.default_rng(0)
    assert not holdout_shuffled(frame, cutoff, rng).equals(frame)
    assert not ties_shuffled(frame, rng).equals(frame)
    for other in (holdout_shuffled(frame, cutoff, rng), ties_shuffled(frame, rng)):
        assert other.sort(pl.all()).equals(frame.sort(pl.all()))
        assert other["known_at"].head(100).equals(frame["known_at"].head(100))
    known = frame.filter(pl.col("known_at").dt.epoch("us") < cutoff)
    assert different(forecast(frame, cutoff), forecast(known, cutoff)) == 0
    assert different(forecast(frame, cutoff), forecast(frame.filter(pl.int_range(pl.len()) != 20), cutoff)) > 0
