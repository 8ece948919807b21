"""Chances: what each learner makes of labels of 0 and 1, of poor data, and of people of whom nothing is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.models.purchase_examples import examples, stored
from whenbuy.core.arrays import DAY
from whenbuy.core.errors import ColumnError, LeakError, NotEnoughDataError, SettingsError
from whenbuy.core.examples import Table
from whenbuy.evaluate.probability import Ranked, logloss
from whenbuy.models.fitting.bends import Bends
from whenbuy.models.trees import Boosting, Forest
from whenbuy.models.whether.chance import TYPES, BaseChance, LogisticChance, TreesChance

LEARNERS = {
    learner.name: learner
    for learner in (BaseChance("q"), LogisticChance("q"), LogisticChance("q", crossed=0), TreesChance("q", Boosting(trees=40)),
                    TreesChance("q", Forest(trees=20)))
}  # fmt: skip
every = pytest.mark.parametrize("name", LEARNERS)
TELLING = [name for name in LEARNERS if name != "base-chance"]


def drawn(n=1200, seed=0, *, day=100):
    """Rows whose chance depends on two columns together; a third has gaps."""
    rng = np.random.default_rng(seed)
    a, b, c = rng.gamma(1, 10, n), rng.normal(size=n), rng.normal(size=n)
    came = rng.random(n) < 1 / (1 + np.exp(-(np.log1p(a) - 3 + 1.5 * b * (a > 5))))
    columns = {"a": np.where(rng.random(n) < 0.3, 0, a), "b": b, "c": np.where(rng.random(n) < 0.2, np.nan, c)}
    return examples(columns, cutoff_day=day, labels={"q": (came, np.ones(n, bool), day + 28)})


def auc(came, chance):
    return Ranked.of(np.asarray(came, float), chance).auc(np.ones(len(came)))


def test_names_say_what_learns():
    assert [*LEARNERS] == ["base-chance", "logistic-chance", "additive-chance", "boosting-chance", "forest-chance"]


@pytest.mark.parametrize("name", TELLING)
def test_it_tells_who_from_who(name):
    asked = drawn(4000, 1, day=200)
    answer = LEARNERS[name].fit(drawn(4000)).predict(asked)
    came = asked.label("q").value > 0
    assert auc(came, answer.chance) > 0.74
    assert logloss(came, answer.chance).mean() < 0.9 * logloss(came, np.full(4000, came.mean())).mean()
    assert abs(answer.chance.mean() - came.mean()) < 0.03


def test_crossing_pays_where_effects_depend_on_each_other():
    train, asked = drawn(4000), drawn(4000, 1, day=200)
    came = asked.label("q").value
    plain, crossed = (LogisticChance("q", crossed).fit(train).predict(asked).chance for crossed in (0, 2))
    assert auc(came, crossed) > auc(came, plain) + 0.005


def test_the_base_is_the_share_with_half_a_case_of_each_kind_lent():
    train = examples({"x": np.zeros(4)}, labels={"q": ([1, 0, 0, 1], [True, True, True, False], 128)})
    assert BaseChance("q").fit(train).chance == pytest.approx(1.5 / 4)
    never = examples({"x": np.zeros(9)}, labels={"q": (np.zeros(9), np.ones(9, bool), 128)})
    assert BaseChance("q").fit(never).predict(never, in_sample=True).chance.tolist() == [0.05] * 9


@every
def test_unseen_labels_and_rows_of_no_weight_teach_nothing(name):
    train = drawn(600)
    label = train.label("q")
    half = np.arange(600) < 300
    hidden = examples(
        dict(zip(train.table.names, train.table.values.T, strict=True)),
        labels={"q": (np.where(half, label.value, 1 - label.value), half, 128)},
    )
    weighted = examples(
        dict(zip(train.table.names, train.table.values.T, strict=True)),
        labels={"q": (np.where(half, label.value, 1 - label.value), np.ones(600, bool), 128)}, weight=half * 1.0,
    )  # fmt: skip
    asked = drawn(50, 3, day=200)
    told = [LEARNERS[name].fit(made).predict(asked).chance.tolist() for made in (train.take(np.flatnonzero(half)), hidden, weighted)]
    assert told[0] == told[1] == told[2]


@every
def test_one_class_is_the_base_rate_or_not_enough(name):
    n = 100
    for value in (0.0, 1.0):
        train = examples({"x": np.arange(n)}, labels={"q": (np.full(n, value), np.ones(n, bool), 128)})
        if name == "base-chance":
            assert LEARNERS[name].fit(train).chance == pytest.approx((100 * value + 0.5) / 101)
            continue
        with pytest.raises(NotEnoughDataError) as told:
            LEARNERS[name].fit(train)
        assert all((told.value.got, told.value.need, told.value.do))


@every
def test_no_seen_label_is_not_enough(name):
    for train in (drawn(20).take(slice(0, 0)), examples({"x": np.zeros(3)}, labels={"q": ([0, 1, 0], np.zeros(3, bool), 128)})):
        with pytest.raises(NotEnoughDataError, match="seen label"):
            LEARNERS[name].fit(train)


@every
@pytest.mark.parametrize("columns", [{"x": np.ones(200)}, {"x": np.ones(200), "y": np.full(200, np.inf)}])
def test_features_that_are_all_the_same_give_about_the_base_rate(name, columns):
    came = np.arange(200) % 4 == 0
    train = examples(columns, labels={"q": (came, np.ones(200, bool), 128)})
    chance = LEARNERS[name].fit(train).predict(train, in_sample=True).chance
    assert np.ptp(chance) == 0
    assert chance[0] == pytest.approx(0.25, abs=0.02)


@every
def test_strangers_get_the_base_rate_marked_prior(name):
    train = drawn(500)
    model = LEARNERS[name].fit(train)
    asked = examples({"a": [1, np.nan], "b": [1, np.nan], "c": [1, np.nan]}, cutoff_day=200)
    answer = model.predict(asked)
    assert answer.prior.tolist() == [False, True]
    assert answer.chance[1] == pytest.approx(BaseChance("q").fit(train).chance)


@every
def test_it_refuses_a_cutoff_before_what_it_knows(name):
    model = LEARNERS[name].fit(drawn(300))
    assert model.known_until == 128 * DAY
    with pytest.raises(LeakError):
        model.predict(drawn(5, day=127))
    assert model.predict(drawn(5, day=127), in_sample=True).in_sample


def test_boosting_stops_by_validation_rows_and_then_knows_their_windows():
    train, valid = drawn(300), drawn(300, 2, day=150)
    grow = Boosting(trees=400, learning_rate=0.3, feature_fraction=1.0, min_leaf=5)
    alone, stopped = TreesChance("q", grow).fit(train), TreesChance("q", grow).fit(train, valid)
    assert len(stopped.trees) < len(alone.trees) == 400
    assert stopped.known_until == 178 * DAY
    one_class = valid.take(np.flatnonzero(valid.label("q").value > 0))
    assert len(TreesChance("q", grow).fit(train, one_class).trees) == 400


@every
def test_it_survives_the_codec_bit_for_bit(name):
    model, asked = LEARNERS[name].fit(drawn()), drawn(30, 4, day=200)
    assert stored(model, TYPES).predict(asked).chance.tobytes() == model.predict(asked).chance.tobytes()
    assert stored(LEARNERS[name], TYPES) == LEARNERS[name]


@pytest.mark.parametrize("name", TELLING)
def test_other_features_are_refused(name):
    model = LEARNERS[name].fit(drawn(300))
    with pytest.raises(ColumnError, match="lacks c"):
        model.predict(examples({"a": [1.0], "b": [2.0]}, cutoff_day=200))
    with pytest.raises(ColumnError, match="another order"):
        model.predict(examples({"b": [1.0], "a": [2.0], "c": [2.0]}, cutoff_day=200))


def test_contributions_add_up_to_the_raw_score():
    train = drawn(400)
    model = TreesChance("q", Boosting(trees=30)).fit(train)
    parts = model.contributions(train)
    assert parts.shape == (400, 4)
    chance = 1 / (1 + np.exp(-parts.sum(axis=1)))
    assert chance == pytest.approx(model.predict(train, in_sample=True).chance, abs=1e-9)


def test_a_sample_keeps_the_rare_and_stands_for_all():
    n = 6000
    rng = np.random.default_rng(0)
    x = rng.normal(size=n)
    came = rng.random(n) < 1 / (1 + np.exp(4 - x))
    train = examples({"x": x}, labels={"q": (came, np.ones(n, bool), 128)})
    all_rows, some = (LogisticChance("q", most=most).fit(train).predict(train, in_sample=True).chance for most in (n, 1000))
    assert some.mean() == pytest.approx(came.mean(), rel=0.1)
    assert auc(came, some) > auc(came, all_rows) - 0.02


def test_settings_are_checked():
    for wrong in ({"crossed": -1}, {"ridge": 0.0}, {"most": 1}):
        with pytest.raises(SettingsError):
            LogisticChance("q", **wrong)


# ----------------------------------------------------------------------------------------------------------- bends


def slow_terms(bends, table):
    """The terms by a plain loop."""
    found = np.empty((len(table), len(bends.kind)))
    for i, row in enumerate(table.values.astype(float)):
        for j, (kind, feature, at) in enumerate(zip(bends.kind, bends.feature, bends.at, strict=True)):
            x = row[feature] if np.isfinite(row[feature]) else np.nan
            gap = np.isnan(x)
            level = bends.fill[feature] if gap else np.sign(x) * np.log1p(abs(x) / bends.offset[feature])
            level = min(max(level, bends.low[feature]), bends.high[feature])
            found[i, j] = (level, level == at, max(level - at, 0), gap)[kind]
    return found


def test_terms_equal_a_plain_loop():
    made = drawn(300)
    bends = Bends.of(made.table)
    other = Table(made.table.names, np.vstack([made.table.values[:5] * 50, np.full((1, 3), np.inf)]).astype(np.float32))
    for table in (made.table, other):
        assert bends.matrix(table) == pytest.approx(slow_terms(bends, table), abs=1e-12)
    kinds = {name: bends.kind[bends.feature == place].tolist() for place, name in enumerate(bends.names)}
    assert kinds["a"][:2] == [0, 1]  # a third of the rows is 0: a case of its own
    assert kinds["b"] == [0, 2, 2, 2, 2, 2]
    assert kinds["c"][0] == 3


@given(st.lists(st.lists(st.floats(width=32), min_size=3, max_size=3), min_size=1, max_size=20))
def test_terms_are_numbers_whatever_the_features(rows):
    table = Table(("a", "b", "c"), np.array(rows, np.float32))
    assert np.isfinite(Bends.of(table).matrix(table)).all()
