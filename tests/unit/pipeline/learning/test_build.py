"""Examples: features as of the cutoff, labels as far as the history reaches, the same users whatever the cutoffs."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.core.logs import make
from whenbuy.core.arrays import DAY
from whenbuy.core.keys import Keys
from whenbuy.features import Features, Frequency, Recency
from whenbuy.ingest.simulate import simulate
from whenbuy.pipeline.learning.build import examples, panel, people_at
from whenbuy.questions import NextPurchase, OrderCount

SPEC = Features((Recency("purchase", name="recency_days"), Frequency()))
ROWS = [(0, 1 * DAY, 0, 1, 5, 1), (0, 6 * DAY, 0, 1, 5, 1), (0, 20 * DAY, 0, 1, 5, 1), (1, 8 * DAY, 0, 0, 5, 0), (2, 9 * DAY, 0, 2, 5, 0)]


@pytest.fixture(scope="module")
def history():
    return simulate(80, 120, 2).history


def test_features_are_of_the_past_and_labels_of_the_future():
    history = make(ROWS, late=False, end=40 * DAY)
    keys = history.keys(["u0", "u1", "ghost"], 10 * DAY)
    made = examples(history, SPEC, keys, [NextPurchase(14.0), OrderCount(14.0)])
    assert made.table.column("recency_days").tolist()[0] == 4.0
    assert np.isnan(made.table.column("recency_days")[1:]).all()
    assert made.label("purchase").value.tolist() == [10.0, 14.0, 14.0]
    assert made.label("orders").value.tolist() == [1.0, 0.0, 0.0]
    assert examples(history, SPEC, keys).labels == {}


def test_silence_is_the_features_as_they_would_read_later():
    history = make(ROWS, late=False, end=40 * DAY)
    keys = history.keys(["u0", "u1"], 10 * DAY)
    made = examples(history, SPEC, keys)
    aged = made.silence(np.array([0.0, 3.5, 9.0]), np.array([0, 0, 1]))
    assert aged.column("recency_days")[:2].tolist() == [4.0, 7.5]
    later = examples(history, SPEC, Keys("user", keys.code[:1], np.array([19 * DAY]), keys.names))  # nothing happened in between
    assert made.silence(np.array([9.0]), np.array([0])).values.tobytes() == later.table.values.tobytes()


def test_the_panel_holds_every_person_at_every_cutoff_before_which_she_was_known():
    history = make(ROWS, late=False, end=40 * DAY)
    history = replace(history, log=replace(history.log, kinds=("view", "purchase", "bot")))
    keys = people_at(history, np.array([5, 9, 12]) * DAY)
    assert list(zip(keys.ids().to_list(), (keys.cutoff // DAY).tolist(), strict=True)) == [
        ("u0", 5), ("u0", 9), ("u0", 12), ("u1", 9), ("u1", 12),
    ]  # fmt: skip


def test_too_many_examples_are_thinned_by_whole_users(history):
    cutoffs = history.end - np.array([60, 45, 30]) * DAY
    everybody = panel(history, SPEC, cutoffs, [NextPurchase(14.0)])
    some = panel(history, SPEC, cutoffs, [NextPurchase(14.0)], most=len(everybody) // 2)
    kept = set(some.keys.ids())
    assert 0.3 * len(everybody) < len(some) < 0.7 * len(everybody)
    for user in kept:
        assert (some.keys.ids() == user).sum() == (everybody.keys.ids() == user).sum()
    where = np.flatnonzero(np.isin(everybody.keys.ids().to_numpy(), list(kept)))
    assert some.table.values.tobytes() == everybody.table.values[where].tobytes()
    again = panel(history, SPEC, cutoffs, [NextPurchase(14.0)], most=len(everybody) // 2)
    assert again.keys.code.tobytes() == some.keys.code.tobytes()
    other = panel(history, SPEC, cutoffs, [NextPurchase(14.0)], most=len(everybody) // 2, seed=1)
    assert set(other.keys.ids()) != kept


def test_a_cut_history_censors_labels_and_keeps_features(history):
    boundary = history.end - 40 * DAY
    cutoffs = boundary - np.array([30, 5]) * DAY
    whole, cut = (panel(made, SPEC, cutoffs, [NextPurchase(28.0)]) for made in (history, history.cut(boundary)))
    assert whole.table.values.tobytes() == cut.table.values.tobytes()
    assert cut.label("purchase").end.max() <= boundary
    assert whole.label("purchase").observed.sum() > cut.label("purchase").observed.sum()
    assert not (cut.label("purchase").observed & ~whole.label("purchase").observed).any()
