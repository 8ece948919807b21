import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whenbuy.core.arrays import DAY
from whenbuy.core.errors import NotFoundError, WhenbuyError
from whenbuy.core.forecast import Amount, Classes, Probability, TimeToEvent
from whenbuy.core.keys import Keys
from whenbuy.core.log import Dictionary
from whenbuy.core.outlook import Outlook

hazards = st.lists(st.lists(st.floats(0, 3), min_size=4, max_size=4), min_size=1, max_size=5)
GRID = np.array([0.25, 1.0, 3.0, 7.0])


def keys(n):
    return Keys("user", np.arange(n, dtype=np.int32), np.full(n, 10 * DAY, np.int64), Dictionary.of([f"u{i}" for i in range(n)]))


def curves(fallen, **rest):
    fallen = np.cumsum(np.array(fallen), axis=1)
    return TimeToEvent.of(keys(len(fallen)), GRID, np.exp(-fallen), None, "test", **rest)


@given(hazards, st.floats(0.01, 20), st.floats(0.01, 20))
def test_a_longer_horizon_is_never_less_likely(fallen, one, other):
    curve, (short, long) = curves(fallen), sorted((one, other))
    assert (curve.probability(short) <= curve.probability(long) + 1e-12).all()
    assert (curve.count_at(long) >= curve.count_at(short) - 1e-12).all()


@given(hazards, st.floats(0.02, 0.98))
def test_the_quantile_is_where_the_curve_reaches_the_level(fallen, level):
    curve = curves(fallen)
    days = curve.quantile(level)
    for row in range(len(curve)):
        if np.isfinite(days[row]):
            assert curve.take(slice(row, row + 1)).probability(float(days[row]))[0] == pytest.approx(level, abs=1e-9)
        else:
            assert 1 - curve.survival[row, -1] < level


@given(hazards, st.floats(0, 5), st.floats(0.1, 7))
def test_silence_conditions_the_curve(fallen, silence, days):
    curve = curves(fallen)
    later = curve.after_silence(np.full(len(curve), silence))
    wanted = curve.survival_at(silence + days) / curve.survival_at(silence)
    at_grid = curve.survival_at(silence + GRID) / curve.survival_at(silence)[:, None]
    assert later.survival == pytest.approx(at_grid, abs=1e-9)
    assert (later.keys.cutoff == curve.keys.cutoff + round(silence * DAY)).all()
    if any(abs(days - g) < 1e-9 for g in GRID):
        assert later.survival_at(days) == pytest.approx(wanted)


def test_the_hazard_is_constant_between_grid_days_and_beyond_the_last():
    curve = curves([[0.25, 0.75, 2.0, 4.0]])  # a hazard of one a day
    for days in (0.1, 0.6, 2.2, 6.9, 20.0):
        assert curve.survival_at(days)[0] == pytest.approx(np.exp(-days))


@pytest.mark.parametrize(
    ("survival", "count", "grid", "words"),
    [
        ([[0.5, 0.6]], [[0.5, 0.5]], [1, 2], "rises"),
        ([[0.5, 0.4]], [[0.5, 0.5]], [1, 2], "mean count"),
        ([[0.5, 0.4]], [[0.7, 0.6]], [1, 2], "mean count"),
        ([[0.5, -0.4]], [[2, 2]], [1, 2], r"leaves \[0, 1\]"),
        ([[0.5, np.nan]], [[2, 2]], [1, 2], "finite"),
        ([[0.5, 0.4]], [[2, 2]], [2, 1], "must rise"),
        ([[0.5]], [[2, 2]], [1, 2], "shape"),
    ],
)
def test_a_forecast_that_breaks_its_promise_is_never_made(survival, count, grid, words):
    with pytest.raises(WhenbuyError, match=words):
        TimeToEvent(keys(1), np.array(grid, float), np.array(survival, float), np.array(count, float), "test")


def test_the_frame_of_an_outlook_has_the_promised_columns():
    amount = Amount(keys(2), np.array([5.0, 7.0]), np.array([0.1, 0.5, 0.9]), np.array([[1.0, 4, 9], [2, 6, 12]]), "test")
    outlook = Outlook(keys(2), {"purchase": curves([[0.1, 0.2, 0.3, 0.4], [0, 0, 0, 0.01]]), "amount": amount}, (1.0, 7.0))
    frame = outlook.frame()
    assert frame.columns == [
        "user_id", "as_of", "p_purchase_1d", "p_purchase_7d", "next_purchase_p10", "next_purchase_p50", "next_purchase_p90",
        "amount_mean", "amount_p50", "expected_orders", "clv", "top_category", "model",
    ]  # fmt: skip
    assert frame["next_purchase_p50"].null_count() == 1  # beyond the grid
    assert frame["amount_p50"].to_list() == [4, 6]
    assert outlook.curve("u1").keys.ids().to_list() == ["u1"]
    with pytest.raises(NotFoundError, match="ghost"):
        outlook.curve("ghost")
    without = Outlook(keys(2), {"purchase": outlook.purchase}, (1.0, 7.0)).frame()
    assert without["clv"].null_count() == 2
    assert without.schema == frame.schema


def test_further_answers_stand_behind_the_promised_columns():
    purchase = curves([[0.1, 0.2, 0.3, 0.4], [0, 0, 0, 0.01]])
    spend = Amount(keys(2), np.array([5.0, 7.0]), np.array([0.1, 0.5, 0.9]), np.array([[0.0, 3, 9], [2, 6, 12]]), "test")
    classes = Classes(keys(2), ("MILK", "BREAD"), np.array([[0.9, 0.2], [0.1, 0.3]]), 7.0, "test")
    answers = {"purchase": purchase, "spend": spend, "redemption": Probability(keys(2), np.array([0.25, 0.5]), "test"), "classes": classes}
    outlook = Outlook(keys(2), answers, (1.0, 7.0), {"spend": 7.0, "redemption": 14.0, "classes": 7.0})
    assert outlook.frame()["top_category"].to_list() == ["MILK", "BREAD"]
    further = outlook.frame(further=True)
    assert further.columns == [*outlook.frame().columns, "spend_mean_7d", "spend_p50_7d", "p_redemption_14d"]
    assert further["spend_p50_7d"].to_list() == [3, 6]
    assert further["p_redemption_14d"].to_list() == [0.25, 0.5]
    assert outlook.take(np.array([1])).frame(further=True).equals(further[1:])


def test_nobody_buys_from_a_class_more_surely_than_at_all():
    classes = Classes(keys(1), ("MILK", "BREAD"), np.array([[0.9, 0.2]]), 7.0, "test").at_most(np.array([0.4]))
    assert classes.frame()["probability"].to_list() == [0.4, 0.2]


@pytest.mark.parametrize("chance", [-0.1, 1.1, np.nan])
def test_chances_outside_of_what_chances_can_be_are_refused(chance):
    with pytest.raises(WhenbuyError, match="outside"):
        Probability(keys(1), np.array([chance]), "test")
    with pytest.raises(WhenbuyError, match="outside"):
        Classes(keys(1), ("MILK",), np.array([[chance]]), 7.0, "test")
