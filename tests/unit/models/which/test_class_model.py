"""Which classes she buys from: the floors by their formulas, one model for all classes, and what it does with poor classes."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from tests.unit.models.purchase_examples import examples, stored
from whenbuy.core.arrays import DAY
from whenbuy.core.blocks import Interactions
from whenbuy.core.errors import ColumnError, LeakError, NotEnoughDataError, UsageError, WhenbuyError
from whenbuy.core.examples import Labels
from whenbuy.core.history import History
from whenbuy.features import default_features
from whenbuy.features.interactions import ByClass, most_bought
from whenbuy.ingest.simulate import simulate
from whenbuy.models.trees import Boosting
from whenbuy.models.which.class_model import TYPES, ClassTrees
from whenbuy.models.which.class_rates import ClassRate, OwnClassRate, aligned
from whenbuy.pipeline.learning.build import examples as ask
from whenbuy.pipeline.learning.build import panel
from whenbuy.questions import NextPurchase
from whenbuy.questions.category import NextClasses

DAYS = 14.0
SMALL = Boosting(trees=40, learning_rate=0.1, leaves=7, min_leaf=30)
LEARNER = ClassTrees(DAYS, grow=SMALL, buys=SMALL)


@cache
def shop() -> History:
    return simulate(users=500, days=240, seed=5).history


@cache
def boundary() -> int:
    return int(shop().clock.midnight_before(np.array([shop().end - 56 * DAY]))[0])


@cache
def classes(most=9):
    return most_bought(shop().log.cut(boundary()), most=most)


def made(cutoffs, history, names, context=()):
    found = panel(history, default_features(shop().log), cutoffs, (NextPurchase(28.0), NextClasses(DAYS, names)))
    return replace(found, blocks={"interactions": ByClass((*names, *context)).block(history.before(found.keys))})


@cache
def train(names=None, context=()):
    cutoffs = boundary() - np.arange(14, 127, 14)[::-1] * DAY
    return made(cutoffs, shop().cut(boundary()), names or classes(), context)


@cache
def later(names=None, context=()):
    return made(boundary() + np.array([0, 14, 28]) * DAY, shop(), names or classes(), context)


@cache
def fitted():
    return LEARNER.fit(train())


def log_loss(answer, asked):
    label, chance = asked.label("classes"), np.clip(answer.chance, 1e-6, 1 - 1e-6)
    return float(-np.where(label.value > 0, np.log(chance), np.log1p(-chance))[label.observed].mean())


def toy(orders, value, tenure=70.0, frequency=9.0):
    """Rows with so many orders of each class (n x k), and what came of each."""
    orders, value = np.asarray(orders, np.float32), np.asarray(value, float)
    n, k = orders.shape
    told = Interactions("category", tuple("abcdefg"[:k]), ("orders",), orders[:, :, None])
    columns = {"tenure_days": np.full(n, tenure), "frequency": np.full(n, frequency)}
    return replace(
        examples(columns), blocks={"interactions": told}, labels={"classes": Labels(value, np.ones(n, bool), np.full(n, 114 * DAY))}
    )


# ------------------------------------------------------------------------------------------------------------ the floors


def test_the_class_rate_is_the_share_with_half_a_case_of_each_kind_lent():
    model = ClassRate(DAYS).fit(toy(np.zeros((4, 2)), [[1, 0], [1, 0], [0, 0], [0, 0]]))
    assert model.predict(toy(np.zeros((1, 2)), [[0, 0]]), in_sample=True).chance[0].tolist() == pytest.approx([2.5 / 5, 0.5 / 5])


def test_the_own_class_rate_is_a_poisson_process_at_the_mean_of_a_gamma_posterior():
    learns = toy([[4, 0], [0, 1], [2, 0], [0, 0]], [[1, 0], [0, 1], [0, 0], [0, 0]])
    model = OwnClassRate(DAYS).fit(learns)
    weekly = (np.array([6, 1]) + 0.5) / 40
    lent = model.rates.lent_weeks
    expected = 1 - np.exp(-(np.array([[4, 0], [0, 1]]) + lent * weekly) / (10 + lent) * 2)
    np.testing.assert_allclose(model.predict(learns, in_sample=True).chance[:2], expected)
    assert lent in {2.0**i for i in range(8)}


def test_lent_weeks_follow_how_much_customers_differ():
    rng = np.random.default_rng(0)
    rate = {"alike": np.full(4000, 0.2), "apart": rng.gamma(0.3, 0.2 / 0.3, 4000)}
    lent = {}
    for name, weekly in rate.items():
        learns = toy(rng.poisson(weekly * 10)[:, None], (rng.random(4000) < 1 - np.exp(-2 * weekly))[:, None])
        lent[name] = OwnClassRate(DAYS).fit(learns).rates.lent_weeks
    assert lent["apart"] <= 4.0
    assert lent["alike"] >= 32.0


# ------------------------------------------------------------------------------------------------------- one model for all


def test_it_beats_the_floors_on_later_weeks():
    losses = [log_loss(learner.fit(train()).predict(later()), later()) for learner in (ClassRate(DAYS), OwnClassRate(DAYS))]
    losses.append(log_loss(fitted().predict(later()), later()))
    assert losses[2] < losses[1] < losses[0]


def test_no_class_is_likelier_than_a_purchase():
    asked = later()
    answer = fitted().predict(asked)
    buys = fitted().buys.predict(asked.table.values)
    assert (answer.chance <= buys[:, None]).all()
    np.testing.assert_allclose(answer.chance, buys[:, None] * fitted().given_purchase(asked))


def test_given_a_purchase_the_chances_are_calibrated():
    asked = later()
    label = asked.label("purchase")
    bought = label.observed & (label.value < DAYS) & asked.label("classes").observed
    told, came = fitted().given_purchase(asked)[bought].mean(), asked.label("classes").value[bought].mean()
    assert told == pytest.approx(came, rel=0.12)


def test_further_classes_tell_of_taste_and_are_not_answered_for():
    names = classes()[:5]
    model = LEARNER.fit(train(names, classes()[5:]))
    answer = model.predict(later(names, classes()[5:]))
    assert answer.classes == names
    assert len(model.views.told) == len(classes())
    assert log_loss(answer, later(names)) < log_loss(ClassRate(DAYS).fit(train(names)).predict(later(names)), later(names))


def test_classes_are_found_by_name():
    asked = later()
    told = asked.block("interactions", Interactions)
    turned = Interactions(told.column, told.classes[::-1], told.names, told.values[:, ::-1])
    assert aligned(told, told.classes) is told
    other = replace(asked, blocks={"interactions": turned})
    np.testing.assert_array_equal(fitted().predict(other).chance, fitted().predict(asked).chance)
    fewer = replace(asked, blocks={"interactions": aligned(told, told.classes[:3])})
    for model in (fitted(), OwnClassRate(DAYS).fit(train())):
        with pytest.raises(ColumnError, match="tell nothing of the class"):
            model.predict(fewer)


def test_pairs_above_the_limit_leave_out_whole_customers():
    learner = replace(LEARNER, most=3_000)
    assert (learner.fit(train()).pairs.cover[:1] <= 3_000).all()
    assert log_loss(learner.fit(train()).predict(later()), later()) < log_loss(ClassRate(DAYS).fit(train()).predict(later()), later())
    assert LEARNER.fit(train()).predict(later()).chance.tobytes() == fitted().predict(later()).chance.tobytes()


def test_a_stranger_gets_the_share_of_each_class():
    keys = shop().keys(["nobody", "no one"], boundary())
    asked = ask(shop(), default_features(shop().log), keys)
    asked = replace(asked, blocks={"interactions": ByClass(classes()).block(shop().before(keys))})
    for learner in (ClassRate(DAYS), OwnClassRate(DAYS), LEARNER):
        model = learner.fit(train())
        np.testing.assert_array_equal(model.predict(asked).chance, np.tile(model.base, (2, 1)))


def test_models_and_settings_can_be_stored():
    for learner in (ClassRate(DAYS), OwnClassRate(DAYS), LEARNER):
        assert stored(learner, TYPES) == learner
        model = learner.fit(train())
        assert stored(model, TYPES).predict(later()).chance.tobytes() == model.predict(later()).chance.tobytes()
        assert model.known_until == train().label("classes").end.max()
        with pytest.raises(LeakError):
            model.predict(train())


# ------------------------------------------------------------------------------------------------------------ poor classes


def test_one_class_alone_can_be_asked_about():
    names = classes()[:1]
    answer = LEARNER.fit(train(names)).predict(later(names))
    assert answer.chance.shape[1] == 1
    assert log_loss(answer, later(names)) < log_loss(ClassRate(DAYS).fit(train(names)).predict(later(names)), later(names))


def test_a_class_that_nobody_ever_bought_is_unlikely_and_harms_no_other():
    names = (*classes(), "unheard of")
    answer = LEARNER.fit(train(names)).predict(later(names))
    assert (answer.chance[:, -1] > 0).all()
    assert answer.chance[:, -1].max() < 0.05
    known = replace(answer, classes=classes(), chance=answer.chance[:, :-1])
    assert log_loss(known, later()) < log_loss(fitted().predict(later()), later()) + 0.005


def test_a_class_first_bought_after_training_is_judged_by_what_is_known_of_the_others():
    """A model that has seen a class without any buyer still reads a customer's own orders of it."""
    asked = later()
    told = asked.block("interactions", Interactions)
    names = (*classes()[:-1], "new")
    learns = train(names)
    model = LEARNER.fit(learns)
    swapped = replace(asked, blocks={"interactions": Interactions(told.column, names, told.names, told.values)})
    chance = model.predict(swapped).chance[:, -1]
    bought = told.feature("orders")[:, -1] > 2
    assert chance[bought].mean() > 2 * chance[told.feature("orders")[:, -1] == 0].mean()


def test_everybody_buying_everything_cannot_be_told_apart():
    learns = train()
    label = learns.label("classes")
    always = replace(learns, labels={**learns.labels, "classes": Labels(np.ones_like(label.value), label.observed, label.end)})
    with pytest.raises(NotEnoughDataError) as error:
        LEARNER.fit(always)
    assert all((error.value.got, error.value.need, error.value.do))


def test_where_everybody_buys_only_the_class_is_in_question():
    learns = train()
    value, purchase = learns.label("classes").value.copy(), learns.label("purchase")
    at_once = Labels(np.zeros(len(learns)), np.ones(len(learns), bool), purchase.end)
    model = LEARNER.fit(replace(learns, labels={"classes": replace(learns.label("classes"), value=value), "purchase": at_once}))
    assert model.buys is None
    assert model.share > 0.99


@pytest.mark.parametrize("learner", [ClassRate(DAYS), OwnClassRate(DAYS), LEARNER], ids=lambda learner: learner.name)
def test_nothing_bought_or_nothing_seen_is_not_enough(learner):
    learns = train()
    label = learns.label("classes")
    for value, observed in ((np.zeros_like(label.value), label.observed), (label.value, np.zeros(len(label), bool))):
        poor = replace(learns, labels={**learns.labels, "classes": Labels(value, observed, label.end)})
        with pytest.raises(NotEnoughDataError) as error:
            learner.fit(poor)
        assert error.value.do


def test_labels_of_more_classes_than_the_interactions_tell_of_are_refused():
    with pytest.raises(WhenbuyError, match="interactions of"):
        ClassRate(DAYS).fit(replace(train(), labels={"classes": replace_width(train().label("classes"), 12)}))


def replace_width(label, k):
    return Labels(np.ones((len(label), k)), label.observed, label.end)


def test_pairs_that_are_left_out_leave_the_chances_as_they_were():
    asked = later()
    came = asked.label("classes").value > 0
    told = [replace(LEARNER, others=share).fit(train()).predict(asked).chance for share in (1.0, 0.25)]
    assert told[1].mean(axis=0) == pytest.approx(told[0].mean(axis=0), abs=0.02)
    losses = [-np.where(came, np.log(chance), np.log1p(-chance)).mean() for chance in told]
    assert losses[1] < losses[0] * 1.05


@pytest.mark.parametrize("wrong", [{"others": 0.0}, {"others": 1.5}, {"most": 0}])
def test_impossible_settings_of_classes_are_refused(wrong):
    with pytest.raises(UsageError, match="pair"):
        ClassTrees(DAYS, **wrong)
