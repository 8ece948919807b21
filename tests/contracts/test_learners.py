"""What every learner of the catalogue promises, whatever it is made of."""

import importlib
import pkgutil
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import whenbuy.models
from tests.contracts.shops import GRID, ask, asked, bits, blocks, boundary, buyer, kept, later, questions, shop, spec, train
from whenbuy.clean import Bound, Fill
from whenbuy.core.arrays import DAY
from whenbuy.core.codec import decode, encode
from whenbuy.core.errors import ImmatureError, LeakError, NotEnoughDataError, UsageError
from whenbuy.core.examples import Examples, Labels, Table
from whenbuy.core.forecast import Amount, Classes, Probability, TimeToEvent
from whenbuy.core.learner import can_learn_on
from whenbuy.core.number import Number
from whenbuy.evaluate.scores import compare
from whenbuy.models.how_much.amount_floors import OwnMean
from whenbuy.models.how_much.spend import CountTimesAmount
from whenbuy.models.neural.amount import NeuralAmount
from whenbuy.models.neural.classes import NeuralClasses
from whenbuy.models.neural.curve import NeuralCurve
from whenbuy.models.neural.days import NeuralDays
from whenbuy.models.neural.linear_recurrence import LinearRecurrence
from whenbuy.models.neural.mlp import Mlp
from whenbuy.models.neural.next_act import NeuralActs
from whenbuy.models.neural.training import Training
from whenbuy.models.trees.boosting import Boosting
from whenbuy.models.trees.forest import Forest
from whenbuy.models.when.boosted_curve import DirectHorizons
from whenbuy.models.when.buy_till_you_die import ParetoNbd
from whenbuy.models.when.floors import BaseRate, PoissonRate
from whenbuy.models.when.hazard import PooledLogistic
from whenbuy.models.when.hazard_trees import BoostedHazard
from whenbuy.models.when.renewal import Renewal
from whenbuy.models.when.rhythm import Rhythm
from whenbuy.models.when.survival_regression import SurvivalRegression
from whenbuy.models.whether.chance import LogisticChance
from whenbuy.models.whether.last_act import LastAct
from whenbuy.models.wrapping.blend import BlendModel
from whenbuy.models.wrapping.calibrate import CalibratedModel, Calibration
from whenbuy.models.wrapping.cut_short import CutShort
from whenbuy.models.wrapping.prepared import Prepared
from whenbuy.pipeline.keeping import bundle
from whenbuy.pipeline.learning.build import panel
from whenbuy.pipeline.learning.catalogue import floors, learners, types
from whenbuy.pipeline.learning.further import activity, next_acts, visits
from whenbuy.questions import NextPurchase

ANSWERS = ("purchase", "orders", "amount", "spend", "quantity", "redemption", "classes")
BUYER = buyer()
ROOT = Path(__file__).resolve().parents[2]
SMALL = 6_000
"""The most person-periods that a hazard learns from here."""
BRIEF = Training(epochs=2)
"""How long nets learn here."""


def frugal(learner):
    return replace(learner, max_rows=SMALL) if isinstance(learner, PooledLogistic) else learner


def known():
    """Every distinct learner of the catalogue by name, and those that it does not list."""
    listed = [frugal(learner) for answer in ANSWERS for learner in learners(answer, GRID)]
    listed = [learner for place, learner in enumerate(listed) if learner not in listed[:place]]
    prepared = Prepared(PooledLogistic(GRID.days, max_rows=SMALL), (Fill(default="keep"), Bound()))
    forest = DirectHorizons(GRID.days, Forest(trees=20), horizons=3)
    further = (
        BaseRate(GRID.days), ParetoNbd(GRID.days, ("first_amount",)), prepared, BoostedHazard(GRID.days, Boosting(trees=30)), forest,
        LogisticChance("redemption", most=2_000), CountTimesAmount(PoissonRate(GRID.days), OwnMean()),
        SurvivalRegression(GRID.days, max_rows=500), SurvivalRegression(GRID.days, "weibull", max_rows=500),
        *activity(GRID), *visits(GRID), *next_acts(GRID), NeuralActs(7.0, replace(NeuralActs(7.0).learning, training=BRIEF)),
        NeuralCurve(GRID.days, Mlp(), training=BRIEF), NeuralAmount(Mlp(), training=BRIEF), NeuralClasses(7.0, Mlp(), training=BRIEF),
        NeuralDays(GRID.days, LinearRecurrence(16, 1, decay=False), hidden=16, training=BRIEF),
    )  # fmt: skip
    named = {learner.name: learner for learner in (*listed, *further)}
    assert len(named) == len(listed) + len(further)
    return named


KNOWN = known()
ELSEWHERE = {
    "ranking": "tests/contracts/test_rankers.py",
    "effect": "tests/unit/models/effect/test_learners.py",
    "series": "tests/unit/models/series",
    "segment": "tests/unit/models/segment",
    "text": "tests/unit/models/text",
}
"""Learners that do not learn from customers at cutoffs (from baskets, trials, series, texts), and where their promises are tested."""
every = pytest.mark.parametrize("name", KNOWN)


@cache
def fitted(name):
    return KNOWN[name].fit(train())


def test_no_learner_escapes():
    for answer in ANSWERS:
        assert all(frugal(learner) in KNOWN.values() for learner in (*learners(answer, GRID), *floors(answer, GRID)))
        assert floors(answer, GRID) == learners(answer, GRID)[:1]
    assert all((ROOT / place).exists() for place in ELSEWHERE.values())
    found = set()
    for place in pkgutil.walk_packages(whenbuy.models.__path__, "whenbuy.models."):
        if place.name.split(".")[2] in ELSEWHERE:
            continue
        module = importlib.import_module(place.name)
        found |= {
            kind for kind in vars(module).values() if isinstance(kind, type) and kind.__module__ == place.name and hasattr(kind, "fit")
        }
    others = {Rhythm, Renewal, LastAct, CutShort}  # preparations, and weights for a learner (tests/unit/models/wrapping/test_cut_short.py)
    assert found - others == {type(learner) for learner in KNOWN.values()}


@every
def test_a_learner_has_no_predict_and_a_model_no_fit(name):
    assert not hasattr(KNOWN[name], "predict")
    assert not hasattr(fitted(name), "fit")
    assert fitted(name).name == name


@every
def test_it_never_changes_its_inputs(name):
    learns, asks = train(), asked()
    before = kept(learns), kept(asks)
    KNOWN[name].fit(learns, learns).predict(asks)
    assert (kept(learns), kept(asks)) == before


@every
def test_the_same_seed_gives_the_same_bytes(name, tmp_path):
    for folder, model in (("one", fitted(name)), ("other", KNOWN[name].fit(train()))):
        bundle.save(tmp_path / folder, model, {})
    for file in (bundle.MANIFEST, bundle.MODEL, bundle.ARRAYS):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes()


@every
def test_a_bundle_gives_back_the_same_model(name, tmp_path):
    bundle.save(tmp_path / "model", fitted(name), {"name": name})
    model, about = bundle.load(tmp_path / "model", types())
    assert about == {"name": name}
    assert (model.name, model.known_until) == (name, fitted(name).known_until)
    assert bits(model.predict(asked(days=7))) == bits(fitted(name).predict(asked(days=7)))
    settings = encode(KNOWN[name], {})
    assert decode(settings, {}, types()) == KNOWN[name]


@every
def test_it_answers_in_the_order_of_the_caller(name):
    keys = shop().panel(boundary() + np.array([0, 7, 14]) * DAY)
    keys = keys.take(np.arange(0, len(keys), 4))
    order = np.random.default_rng(1).permutation(len(keys))
    plain, permuted = fitted(name).predict(ask(keys)), fitted(name).predict(ask(keys.take(order)))
    assert plain.keys.ids().to_list() == keys.ids().to_list()
    assert permuted.keys.ids().to_list() == keys.ids().gather(order).to_list()
    assert permuted.keys.cutoff.tolist() == keys.cutoff[order].tolist()
    assert bits(plain.take(order)) == bits(permuted)


@every
def test_rows_in_chunks_equal_rows_at_once(name):
    whole = asked()
    at_once = fitted(name).predict(whole)
    for size in (1, 7, 64):
        parts = [fitted(name).predict(whole.take(slice(i, min(i + size, 70)))) for i in range(0, 70, size)]
        for place, part in enumerate(parts):
            assert bits(part) == bits(at_once.take(slice(place * size, min((place + 1) * size, 70))))


@every
def test_a_user_named_twice_gets_the_same_answer_twice(name):
    twice = asked([BUYER, "u002", BUYER])
    answer = fitted(name).predict(twice)
    assert bits(answer.take(np.array([0]))) == bits(answer.take(np.array([2])))


@every
def test_a_stranger_gets_an_answer_marked_prior(name):
    answer = fitted(name).predict(asked([BUYER, "nobody", "no one"]))
    if isinstance(answer, Amount):
        assert (answer.mean[1:] >= 0).all()
        assert bits(answer.take(np.array([1]))) == bits(answer.take(np.array([2])))
        return
    assert isinstance(answer, TimeToEvent | Probability | Classes | Number)
    assert answer.prior is not None
    assert answer.prior.tolist() == [False, True, True]
    assert bits(answer.take(np.array([1]))) == bits(answer.take(np.array([2])))


@every
def test_nobody_asked_is_nobody_answered(name):
    assert len(fitted(name).predict(asked([]))) == 0


@every
def test_it_refuses_a_cutoff_before_what_it_knows(name):
    model = fitted(name)
    assert int(train().keys.cutoff.max()) <= model.known_until <= boundary()
    earlier = ask(shop().keys(as_of=model.known_until - 1))
    with pytest.raises(LeakError, match="seen labels"):
        model.predict(earlier)
    assert model.predict(earlier, in_sample=True).in_sample
    assert not model.predict(asked()).in_sample


@every
def test_no_forecast_depends_on_how_much_is_known_of_others(name):
    alone = fitted(name).predict(asked([BUYER]))
    among = fitted(name).predict(asked())
    row = np.flatnonzero((among.keys.ids() == BUYER).to_numpy())
    assert bits(alone) == bits(among.take(row))


# ------------------------------------------------------------------------------------------- too little to learn from


def no_repeat(made: Examples) -> Examples:
    """Everybody has bought once, and nobody comes back."""
    columns = {"frequency": 0.0, "gap_mean_days": np.nan, "gap_last_days": np.nan, "gap_deviation_days": np.nan}
    made = with_columns(made, columns | {"recency_days": made.table.column("tenure_days")})
    return replace(made, labels={name: nothing(label) for name, label in made.labels.items()})


def one_user(made: Examples) -> Examples:
    most = np.bincount(made.keys.code, made.table.column("frequency")).argmax()
    return made.take(np.flatnonzero(made.keys.code == most))


def one_row(made: Examples) -> Examples:
    return one_user(made).take(slice(0, 1))


def constant(made: Examples) -> Examples:
    """Everybody looks the same; what they do differs."""
    return with_values(made, np.broadcast_to(made.table.values[len(made) // 2], made.table.values.shape))


def unknown(made: Examples) -> Examples:
    """Nothing is known of anybody."""
    return with_columns(made, dict.fromkeys(made.table.names, np.nan))


def never_bought(made: Examples) -> Examples:
    return replace(made, labels={name: nothing(label) for name, label in made.labels.items()})


def all_at_once(made: Examples) -> Examples:
    """Everybody buys in the very first moment."""
    label = made.label("purchase")
    at_once = Labels(np.zeros(len(label)), np.ones(len(label), bool), label.end)
    return replace(made, labels={**made.labels, "purchase": at_once})


def absurd(made: Examples) -> Examples:
    """Some numbers are as large as a float can be."""
    rows = np.arange(0, len(made), 50)
    values = made.table.values.copy()
    values[rows] = np.float32(3e38)
    return with_values(made, values)


def nothing(label: Labels) -> Labels:
    seen = label.observed if label.value.ndim == 1 else label.observed[:, None]
    return Labels(np.where(seen, 0.0, label.value), np.zeros(len(label), bool), label.end)


def with_columns(made: Examples, columns) -> Examples:
    values = made.table.values.copy()
    for name, column in columns.items():
        values[:, made.table.names.index(name)] = column
    return with_values(made, values)


def with_values(made: Examples, values) -> Examples:
    """The examples with other features, which do not age."""
    table = Table(made.table.names, values.astype(np.float32))
    return replace(made, table=table, silence=lambda days, rows: table.take(rows))


POOR = (no_repeat, one_user, one_row, constant, unknown, never_bought, all_at_once, absurd)


@every
@pytest.mark.parametrize("poor", POOR, ids=lambda poor: poor.__name__)
def test_poor_data_end_in_a_clear_error_or_a_finite_answer(name, poor):
    made = poor(train().take(np.arange(0, len(train()), 3)))
    found = learned(KNOWN[name], made)
    if isinstance(found, NotEnoughDataError):
        assert all((found.got, found.need, found.do))
        return
    for asks in (asked([BUYER, "u002", "nobody"]), made):
        assert len(found.predict(asks, in_sample=True)) == len(asks)  # a forecast refuses numbers that are not finite


def learned(learner, made):
    """What a learner makes of examples: a model, or the error that says why there is none."""
    try:
        return learner.fit(made)
    except NotEnoughDataError as error:
        return error


@every
def test_no_examples_are_not_enough(name):
    if name == "rate-84d":
        assert len(KNOWN[name].fit(train().take(slice(0, 0))).predict(asked())) == len(asked())  # it learns nothing
        return
    with pytest.raises(NotEnoughDataError):
        KNOWN[name].fit(train().take(slice(0, 0)))


# ------------------------------------------------------------------------------------------- learning on


CALIBRATION = Calibration((7.0, 28.0), (0.9, 1.1), (0.1, -0.1))


@cache
def updatable():
    """Every model that can learn on, and models that stand on others."""
    found = {name: fitted(name) for name in KNOWN if can_learn_on(fitted(name))}
    lean, rate = fitted("kaplan-meier-recency"), fitted("rate-84d")
    unable = fitted("pareto-nbd")
    found["calibrated"] = CalibratedModel(lean, CALIBRATION, lean.known_until)
    found["blend"] = BlendModel("blend", (lean, unable, rate), (0.4, 0.3, 0.3))
    return found


LEARNS_ON = (
    "rate-84d", "kaplan-meier-recency", "base-rate", "logistic", "logistic-rich", "boosted+rhythm", "base-chance", "class-rate",
    "calibrated", "blend",
)  # fmt: skip
learning_on = pytest.mark.parametrize("name", LEARNS_ON)


@cache
def updated(name):
    return updatable()[name].update(later())


def test_no_model_that_learns_on_escapes():
    assert set(LEARNS_ON) <= set(updatable())
    assert all(hasattr(model, "update") for model in updatable().values())
    assert not can_learn_on(fitted("forest"))
    assert not can_learn_on(fitted("pareto-nbd"))
    others = set(updatable()) - set(LEARNS_ON)
    assert all(type(updatable()[name]) in {type(updatable()[known]) for known in LEARNS_ON} for name in others)


@learning_on
def test_learning_on_raises_what_is_known_and_leaves_the_old_model_alone(name):
    old = updatable()[name]
    before = encode(old, {})
    new = updated(name)
    assert encode(old, {}) == before
    assert type(new) is type(old)
    assert new.name == old.name
    assert old.known_until < new.known_until <= boundary() + 28 * DAY
    with pytest.raises(LeakError):
        new.predict(ask(shop().keys(as_of=new.known_until - 1)))


@learning_on
def test_after_learning_on_answers_keep_their_promises(name):
    keys = shop().keys([BUYER, "u002", "nobody", BUYER], boundary() + 28 * DAY)
    answer = updated(name).predict(ask(keys))  # a forecast checks itself when made
    assert bits(answer.take(np.array([0]))) == bits(answer.take(np.array([3])))
    assert answer.prior is None or bool(answer.prior[2]) or name == "blend"
    whole = updated(name).predict(ask(shop().keys(as_of=boundary() + 28 * DAY)))
    assert bits(whole) != bits(updatable()[name].predict(ask(whole.keys))) or name == "rate-84d"


@learning_on
def test_learning_on_gives_the_same_bytes_which_are_kept(name, tmp_path):
    for folder, model in (("one", updated(name)), ("other", updatable()[name].update(later()))):
        bundle.save(tmp_path / folder, model, {})
    for file in (bundle.MANIFEST, bundle.MODEL, bundle.ARRAYS):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes()
    model, _ = bundle.load(tmp_path / "one", types())
    asks = ask(shop().keys(as_of=boundary() + 28 * DAY))
    assert bits(model.predict(asks)) == bits(updated(name).predict(asks))
    assert can_learn_on(model)


@learning_on
def test_what_was_learned_from_is_refused(name):
    with pytest.raises(UsageError, match="must not count twice"):
        updatable()[name].update(train())
    if name != "rate-84d":  # it learns nothing
        with pytest.raises(UsageError, match="must not count twice"):
            updated(name).update(later())


@learning_on
def test_what_says_nothing_yet_is_refused(name):
    moment = boundary() + DAY // 48
    unripe = panel(shop().cut(moment), spec(), np.array([boundary()]), questions(), blocks())
    if name in ("rate-84d", "blend"):
        return  # the rate learns nothing, and the blend has it
    with pytest.raises(ImmatureError, match="says anything yet"):
        updatable()[name].update(unripe)


@learning_on
def test_on_later_weeks_it_is_not_worse_than_before_beyond_noise(name):
    """Of the log-loss over some days, or of the chances, the paired bootstrap interval of new minus old does not lie above 0."""
    moment = boundary() + 28 * DAY
    keys = shop().panel(moment + np.array([0, 7, 14]) * DAY)
    examples = ask(keys)
    old, new = (model.predict(examples) for model in (updatable()[name], updated(name)))
    question = {Probability: "redemption", Classes: "classes"}.get(type(new), "purchase")
    asked_for = next(one for one in questions() if one.name == question)
    asked_for = NextPurchase(7.0) if question == "purchase" else replace(asked_for, horizon_days=7.0)
    truth = asked_for.label(shop().before(keys), shop().within(keys, 7.0))
    score = {"purchase": "logloss_7d"}.get(question, "logloss")
    duel = compare(new, old, truth, [7.0], names=[score], rounds=200)[score]
    assert duel.low <= 0 or duel.difference < 0.001, duel
