"""Calibration: what was learned on other weeks corrects a curve and leaves it one curve."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.models.purchase_examples import examples, stored
from whenbuy.core.arrays import DAY
from whenbuy.core.examples import Labels
from whenbuy.core.forecast import Classes, Probability, TimeToEvent
from whenbuy.models.wrapping.calibrate import TYPES, CalibratedModel, Calibration, Isotonic, best_correction, outcomes

EDGES = (7.0, 14.0, 28.0)
GRID = np.array([0.5, 1.0, 7.0, 10.0, 14.0, 28.0, 56.0])


def world(n=40_000, seed=1):
    """Promised rates, and outcomes whose true hazard is twice the promised one to the power of .8, per week."""
    rng = np.random.default_rng(seed)
    rate = rng.gamma(1.0, 0.05, n) + 0.002
    chance = 1 - np.exp(-np.outer(rate, EDGES))
    true = np.stack([2 * (rate * 7) ** 0.8, 2 * (rate * 7) ** 0.8, 2 * (rate * 14) ** 0.8], axis=1).cumsum(axis=1)
    fallen = rng.exponential(size=n)
    return chance, fallen[:, None] < true, true


def test_slope_and_offset_are_found_again():
    chance, came, true = world()
    found = Calibration.learn(EDGES, chance, came, np.ones_like(came))
    assert found.slope == pytest.approx([0.8] * 3, abs=0.05)
    assert found.offset == pytest.approx([np.log(2)] * 3, abs=0.1)
    assert found.chances(chance) == pytest.approx(1 - np.exp(-true), abs=0.02)


def test_rows_that_were_not_watched_say_nothing():
    chance, came, _ = world(5_000)
    seen = np.ones_like(came)
    seen[::2] = False
    wrong = came.copy()
    wrong[::2] = True  # they came, but nobody watched them to the end: survivors like them were lost
    rows = np.arange(1, len(came), 2)
    kept = Calibration.learn(EDGES, chance[rows], came[rows], seen[rows])
    assert Calibration.learn(EDGES, chance, wrong, seen).slope[0] == pytest.approx(kept.slope[0], abs=1e-6)


def test_few_rows_change_little_and_none_nothing():
    chance, came, _ = world(4)
    for slope, offset in zip(*parts(Calibration.learn(EDGES, chance, came, np.ones_like(came))), strict=True):
        assert abs(slope - 1) < 0.25
        assert abs(offset) < 0.6
    assert parts(Calibration.learn(EDGES, chance, came, np.zeros_like(came))) == ((1.0,) * 3, (0.0,) * 3)


def parts(calibration):
    return calibration.slope, calibration.offset


def curves(rate):
    keys = examples({"recency_days": [1.0] * len(rate)}).keys
    fallen = np.outer(rate, GRID)
    return TimeToEvent(keys, GRID, np.exp(-fallen), fallen, "one", prior=np.zeros(len(rate), bool))


def test_a_curve_says_at_the_edges_what_its_chances_would_and_stays_a_curve():
    calibration = Calibration(EDGES, (0.8, 1.2, 1.0), (0.5, -0.3, 0.1))
    before = curves(np.array([0.001, 0.05, 3.0]))
    after = calibration.apply(before)
    assert after.probability(np.array(EDGES)) == pytest.approx(calibration.chances(before.probability(np.array(EDGES))), abs=1e-9)
    hazard = np.diff(-np.log(after.survival[:2]), axis=1) / np.diff(-np.log(before.survival[:2]), axis=1)
    assert hazard[:, 0] == pytest.approx(hazard[:, 1])  # within a stretch every bin is scaled alike
    assert hazard[:, -1] == pytest.approx(hazard[:, -2])  # beyond the last edge as in the last stretch
    assert (after.model, after.prior.tolist()) == ("one", [False] * 3)


def test_no_correction_changes_nothing():
    before = curves(np.array([0.0, 0.01, 0.5]))
    after = Calibration(EDGES, (1.0,) * 3, (0.0,) * 3).apply(before)
    assert after.survival == pytest.approx(before.survival, abs=1e-9)


def test_chances_of_one_horizon_are_corrected_alike():
    keys = examples({"recency_days": [1.0, 2.0]}).keys
    calibration = Calibration((7.0,), (1.0,), (np.log(2.0),))
    expected = 1 - (1 - np.array([0.1, 0.5])) ** 2
    assert calibration.apply(Probability(keys, np.array([0.1, 0.5]), "p")).chance == pytest.approx(expected)
    told = calibration.apply(Classes(keys, ("x", "y"), np.array([[0.1, 0.5], [0.5, 0.1]]), 7.0, "c"))
    assert told.chance == pytest.approx(np.array([expected, expected[::-1]]))


def test_a_calibrated_model_is_stored_and_knows_until_when_it_was_corrected():
    from whenbuy.models.when.floors import TYPES as FLOORS
    from whenbuy.models.when.floors import PoissonRate

    made = examples({"orders_84d": [0.0, 4.0, 9.0]})
    inner = PoissonRate((1.0, 7.0)).fit(made)
    model = CalibratedModel(inner, Calibration((7.0,), (0.9,), (0.2,)), inner.known_until + DAY)
    assert (model.name, model.known_until) == ("rate-84d", inner.known_until + DAY)
    told = model.predict(made, in_sample=True)
    assert stored(model, TYPES | FLOORS).predict(made, in_sample=True).survival.tobytes() == told.survival.tobytes()
    assert told.survival.tobytes() == model.calibration.apply(inner.predict(made, in_sample=True)).survival.tobytes()


def test_outcomes_say_who_came_and_who_was_watched():
    cutoff = np.zeros(3, np.int64)
    labels = Labels(np.array([3.0, 10.0, 28.0]), np.array([True, False, False]), np.array([28, 10, 28], np.int64) * DAY)
    came, seen = outcomes(labels, cutoff, EDGES)
    assert came.tolist() == [[True] * 3, [False] * 3, [False] * 3]
    assert seen.tolist() == [[True] * 3, [True, False, False], [True] * 3]


# ------------------------------------------------------------------------------------------------ rising curves


def bent(n=40_000, seed=2):
    """Promised rates that come true up to .05 a day and never beyond it: no straight line says that."""
    rng = np.random.default_rng(seed)
    rate = rng.gamma(1.0, 0.05, n) + 0.002
    chance = 1 - np.exp(-np.outer(rate, EDGES))
    true = 1 - np.exp(-np.outer(np.minimum(rate, 0.05), EDGES))
    return chance, 1 - np.exp(-rng.exponential(size=n))[:, None] < true, true


def test_a_bend_that_no_line_has_is_found():
    chance, came, true = bent()
    rising, line = (kind.learn(EDGES, chance, came, np.ones_like(came)) for kind in (Isotonic, Calibration))
    wrong = [np.abs(each.chances(chance) - true).mean() for each in (rising, line)]
    assert wrong[0] < 0.01 < wrong[1]


@given(
    st.lists(st.tuples(st.floats(1e-4, 0.9), st.floats(0, 5), st.booleans()), min_size=1, max_size=60),
    st.lists(st.floats(0, 0.9), min_size=1, max_size=10),
)
def test_whatever_is_learned_curves_stay_curves_and_their_order(rows, asked):
    chance = 1 - np.exp(-np.outer([-np.log1p(-p) for p, _, _ in rows], [1.0, 2.0, 4.0]))
    came = np.array([fallen for _, fallen, _ in rows])[:, None] < -np.log1p(-chance)
    seen = np.array([[watched] * 3 for _, _, watched in rows])
    found = Isotonic.learn(EDGES, chance, came, seen)
    rate = np.sort(np.array(asked))
    after = found.apply(curves(rate))  # a forecast checks itself when made
    assert (np.diff(after.survival[:, [2, 4, 5]], axis=0) <= 1e-6).all()  # who was promised more is promised no less
    assert after.probability(np.array(EDGES)) == pytest.approx(found.chances(curves(rate).probability(np.array(EDGES))), abs=1e-6)


def test_where_nobody_was_watched_no_curve_is_bent():
    chance, came, _ = world(100)
    found = Isotonic.learn(EDGES, chance, came, np.zeros_like(came))
    assert [len(knots) for knots in found.promised] == [0, 0, 0]
    assert found.chances(chance) == pytest.approx(chance)


def test_no_block_promises_with_certainty():
    chance = np.array([[0.1], [0.2], [0.3], [0.4]])
    came = np.array([[False], [False], [True], [True]])
    found = Isotonic.learn((7.0,), chance, came, np.ones_like(came))
    assert np.diff(found.chances(chance).ravel()).min() > 0
    assert 1 - np.exp(-found.came[0]) == pytest.approx([0.125, 0.875])  # half a case of four
    assert 0 < found.chances(chance).min() < found.chances(chance).max() < 1


def test_the_correction_that_helps_on_other_rows_is_kept():
    def best(made):
        chance, came, _ = made
        halves = np.flatnonzero(np.arange(len(chance)) % 2 == 0), np.flatnonzero(np.arange(len(chance)) % 2 == 1)

        def loss(told, rows):
            bounded = np.clip(told, 1e-9, 1 - 1e-9)
            return float(-np.where(came[rows], np.log(bounded), np.log1p(-bounded)).mean())

        return best_correction(EDGES, chance, came, np.ones_like(came), halves, loss)

    assert isinstance(best(bent()), Isotonic)
    assert isinstance(best(world(4_000)), Calibration)
    rng = np.random.default_rng(3)
    chance = 1 - np.exp(-np.outer(rng.gamma(1.0, 0.05, 4_000), EDGES))
    right = 1 - np.exp(-rng.exponential(size=4_000))[:, None] < chance
    corrected = best((chance, right, chance))
    assert corrected is None or corrected.chances(chance) == pytest.approx(chance, abs=0.05)  # nothing was wrong


def test_a_rising_curve_is_stored():
    chance, came, _ = bent(500)
    found = Isotonic.learn(EDGES, chance, came, np.ones_like(came))
    assert stored(found, TYPES).chances(chance).tobytes() == found.chances(chance).tobytes()


def test_a_stretch_is_learned_again_where_enough_came():
    chance, came, _ = world(3_000)
    seen = np.ones_like(came)
    few = np.array([[True, False, False]]) & seen
    for kind in (Calibration, Isotonic):
        old = kind.learn(EDGES, chance[:50], came[:50], seen[:50])
        whole, part = old.again(chance, came, seen), old.again(chance, came, few)
        first, last = (slice(0, 1), slice(1, None))
        assert told_by(whole, chance)[:, first] == pytest.approx(told_by(kind.learn(EDGES, chance, came, seen), chance)[:, first])
        assert told_by(part, chance)[:, first] == pytest.approx(told_by(whole, chance)[:, first])
        assert told_by(part, chance)[:, last] == pytest.approx(told_by(old, chance)[:, last])
        assert told_by(old.again(chance[:900], came[:900], seen[:900]), chance) == pytest.approx(told_by(old, chance))


def told_by(correction, chance):
    return correction.scaled(np.diff(-np.log1p(-chance), axis=1, prepend=0.0))
