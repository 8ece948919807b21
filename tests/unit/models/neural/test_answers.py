"""How much and from which classes, as nets answer it: what the curve promises holds here too."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from tests.unit.models.neural.small import QUICK, ask, classes, train
from whenbuy.core.errors import LeakError, NotEnoughDataError
from whenbuy.core.examples import Labels
from whenbuy.models.neural.amount import NeuralAmount
from whenbuy.models.neural.classes import NeuralClasses
from whenbuy.models.neural.heads import AmountHead, ClassesHead, CountHead
from whenbuy.models.neural.linear_recurrence import LinearRecurrence
from whenbuy.models.neural.mlp import Mlp
from whenbuy.pipeline.keeping import bundle
from whenbuy.pipeline.learning.catalogue import types

AMOUNT = NeuralAmount(LinearRecurrence(8, 1), further=(CountHead(),), hidden=(16,), training=QUICK)
CLASSES = NeuralClasses(14.0, LinearRecurrence(8, 1), hidden=(16,), training=QUICK)
BALANCED = replace(CLASSES, encoder=Mlp(), balanced=True)
LEARNERS = {learner.name: learner for learner in (AMOUNT, replace(AMOUNT, encoder=Mlp()), CLASSES, BALANCED)}
every = pytest.mark.parametrize("name", LEARNERS)


@cache
def fitted(name):
    return LEARNERS[name].fit(train())


def told(answer):
    return answer.chance if hasattr(answer, "chance") else np.hstack([answer.mean[:, None], answer.quantiles])


@every
def test_a_bundle_gives_back_the_same_net_and_no_bit_depends_on_who_else_is_asked(name, tmp_path):
    bundle.save(tmp_path / "net", fitted(name), {})
    model, _ = bundle.load(tmp_path / "net", types())
    whole = told(fitted(name).predict(ask()))
    assert np.array_equal(told(model.predict(ask())), whole)
    assert np.array_equal(told(model.predict(ask().take(slice(4, 9)))), whole[4:9])
    assert model.settings == LEARNERS[name]


@every
def test_strangers_get_the_answer_of_everybody_and_the_past_is_refused(name):
    model = fitted(name)
    answer = told(model.predict(ask(["u001", "nobody", "no one"])))
    assert np.array_equal(answer[1], answer[2])
    assert (answer[1] > 0).all()
    with pytest.raises(LeakError):
        model.predict(train())
    assert model.predict(train(), in_sample=True).in_sample


def test_amounts_are_about_right_and_their_median_lies_below_their_mean():
    label, answer = train().label("amount"), fitted(AMOUNT.name).predict(train(), in_sample=True)
    seen = label.observed & (label.value > 0)
    assert answer.mean[seen].mean() == pytest.approx(label.value[seen].mean(), rel=0.25)
    assert np.mean(answer.quantile(0.5)[seen] > label.value[seen]) == pytest.approx(0.5, abs=0.15)
    inside = (answer.quantiles[seen, 0] < label.value[seen]) & (label.value[seen] < answer.quantiles[seen, 4])
    assert inside.mean() == pytest.approx(0.8, abs=0.1)


@pytest.mark.parametrize("learner", [CLASSES, BALANCED], ids=["plain", "balanced"])
def test_chances_of_classes_are_about_right_and_never_exceed_the_chance_to_buy(learner):
    model, label = fitted(learner.name), train().label("classes")
    answer = model.predict(train(), in_sample=True)
    assert answer.classes == classes()
    assert answer.chance[label.observed].mean(axis=0) == pytest.approx(label.value[label.observed].mean(axis=0), abs=0.08)
    given = model.given_purchase(train())
    assert (answer.chance <= given + 1e-12).all()
    assert answer.chance / given == pytest.approx(np.tile((answer.chance / given)[:, :1], (1, 3)))


def test_labels_that_say_nothing_are_not_enough():
    for learner, question in ((AMOUNT, "amount"), (CLASSES, "classes")):
        label = train().label(question)
        nothing = Labels(np.zeros_like(label.value), np.zeros(len(label), bool), label.end)
        with pytest.raises(NotEnoughDataError):
            learner.fit(replace(train(), labels={**train().labels, question: nothing}))


def test_first_answers_are_what_everybody_does():
    made = train()
    label = made.label("amount")
    seen = label.observed & (label.value > 0)
    head = AmountHead()
    assert np.exp(head.first(head.targets(made))) == pytest.approx([label.value[seen].mean(), np.median(label.value[seen])], rel=1e-5)
    label, head = made.label("classes"), ClassesHead(3)
    bought = label.observed & (label.value > 0).any(axis=1)
    assert 1 / (1 + np.exp(-head.first(head.targets(made)))) == pytest.approx(label.value[bought].mean(axis=0), abs=1e-3)
    head = CountHead()
    assert np.exp(head.first(head.targets(made))) == pytest.approx(
        made.label("orders").value[made.label("orders").observed].mean(), rel=1e-5
    )


def test_rows_weigh_what_they_are_given():
    weight = np.ones(len(train()))
    weight[::2] = 0.0
    half = replace(AMOUNT, encoder=Mlp()).fit(replace(train(), weight=weight))
    head = AmountHead()
    assert half.everybody[:2] == pytest.approx(head.first(head.targets(train().take(np.arange(1, len(train()), 2)))), rel=1e-5)
