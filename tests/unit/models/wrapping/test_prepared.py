"""A learner behind preparations: learned from training rows alone, carried along, applied everywhere."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from tests.unit.models.purchase_examples import examples, stored
from whenbuy.clean import LEARNED, Bound, Fill, Scale
from whenbuy.core.arrays import DAY
from whenbuy.core.codec import encode
from whenbuy.core.errors import LeakError
from whenbuy.core.examples import Table
from whenbuy.models.fitting.terms import TYPES as TERMS
from whenbuy.models.how_much.amount_floors import OwnMean
from whenbuy.models.when.hazard import TYPES as HAZARD
from whenbuy.models.when.hazard import PooledLogistic
from whenbuy.models.wrapping.prepared import TYPES, Prepared

GRID = (1.0, 7.0, 28.0)
ALL = {**TYPES, **HAZARD, **TERMS, **LEARNED}


@dataclass(frozen=True)
class Added:
    """Adds a number that it learned: the largest value of the first column."""

    amount: float = 0.0

    def fit(self, table):
        return Added(float(table.values[:, 0].max()))

    def apply(self, table):
        return Table(table.names, table.values + np.float32(self.amount))


@dataclass(frozen=True)
class Spy:
    """A learner that hands back the examples that it was given."""

    name: str = "spy"

    def fit(self, train, valid=None):
        return Seen(train, valid)


@dataclass(frozen=True)
class Seen:
    train: object
    valid: object
    known_until: int = 0

    def predict(self, examples, *, in_sample=False):
        raise Told(examples)


class Told(Exception):
    def __init__(self, examples):
        self.examples = examples


def drawn(n=400, seed=0, *, day=100):
    """Examples of buyers, some with gaps in their features, and the days to their next purchase."""
    rng = np.random.default_rng(seed)
    recency, more = rng.exponential(20, n), rng.exponential(40, n)
    wait = rng.exponential(5 + recency)
    columns = {
        "recency_days": recency, "tenure_days": recency + more, "frequency": rng.poisson(more / 10), "mean_amount": rng.gamma(3, 10, n),
        "event_recency_days": recency, "visits_7d": np.where(rng.random(n) < 0.2, np.nan, rng.poisson(3, n)),
    }  # fmt: skip
    labels = {
        "purchase": (np.minimum(wait, 28), wait < 28, day + 28),
        "amount": (rng.gamma(3, 10, n), wait < 28, day + 28),
    }
    return silenced(examples(columns, cutoff_day=day, labels=labels))


def silenced(made):
    """The examples with a silence that ages their recencies and tenure."""
    aging = np.array([name.endswith(("recency_days", "tenure_days")) for name in made.table.names])

    def silence(days, rows):
        return Table(made.table.names, (made.table.values[rows] + np.outer(days, aging)).astype(np.float32))

    return replace(made, silence=silence)


def learner():
    keep = dict.fromkeys(("recency_days", "tenure_days", "frequency", "mean_amount", "event_recency_days"), "keep")
    return Prepared(PooledLogistic(GRID, max_rows=5_000), (Fill(keep, "median"), Bound(keep), Scale(keep, "robust")))


def test_steps_are_fitted_one_after_the_other_on_training_rows_and_applied_to_all():
    train, valid = examples({"x": [1.0, 5.0]}), examples({"x": [100.0]})
    model = Prepared(Spy(), (Added(), Added())).fit(train, valid)
    assert [step.amount for step in model.steps] == [5.0, 10.0]
    assert model.model.train.table.values.ravel().tolist() == [16.0, 20.0]
    assert model.model.valid.table.values.ravel().tolist() == [115.0]
    assert train.table.values.ravel().tolist() == [1.0, 5.0]
    with pytest.raises(Told) as told:
        model.predict(examples({"x": [1_000.0]}))
    assert told.value.examples.table.values.item() == 1_015.0
    assert told.value.examples.silence(np.zeros(2), np.zeros(2, np.int64)).values.ravel().tolist() == [1_015.0, 1_015.0]
    assert model.model.train.silence(np.zeros(1), np.ones(1, np.int64)).values.item() == 20.0


def test_nothing_is_learned_from_validation_rows_or_from_rows_to_be_forecast():
    train, one, other = drawn(), drawn(seed=1), drawn(seed=2)
    absurd = replace(other, table=Table(other.table.names, other.table.values * np.float32(1e6)))
    plain, taught = learner().fit(train, one), learner().fit(train, absurd)
    assert written(plain) == written(taught)
    before = written(plain)
    first = plain.predict(one, in_sample=True)
    plain.predict(silenced(absurd), in_sample=True)
    again = plain.predict(one, in_sample=True)
    assert written(plain) == before
    assert first.survival.tobytes() == again.survival.tobytes()


def test_the_steps_are_those_of_the_training_table():
    train = drawn()
    fill, bound, scale = learner().fit(train).steps
    alone = learner().steps[0].fit(train.table)
    assert written(fill) == written(alone)
    assert written(bound) == written(learner().steps[1].fit(alone.apply(train.table)))
    assert not np.isnan(scale.apply(bound.apply(fill.apply(train.table))).column("visits_7d")).any()


def test_a_prepared_hazard_equals_the_hazard_of_prepared_examples():
    train, asked = drawn(), drawn(seed=3)
    model = learner().fit(train)
    fill, bound, scale = model.steps

    def prepared(made):
        def through(table):
            return scale.apply(bound.apply(fill.apply(table)))

        return replace(made, table=through(made.table), silence=lambda days, rows: through(made.silence(days, rows)))

    by_hand = learner().learner.fit(prepared(train)).predict(prepared(asked), in_sample=True)
    assert model.predict(asked, in_sample=True).survival.tobytes() == by_hand.survival.tobytes()


def test_it_refuses_cutoffs_before_what_the_model_knows():
    model = learner().fit(drawn())
    assert model.known_until == 128 * DAY
    with pytest.raises(LeakError):
        model.predict(drawn(day=127))
    assert model.predict(drawn(day=127), in_sample=True).in_sample
    assert not model.predict(drawn(day=128)).in_sample


def test_it_survives_the_codec_bit_for_bit():
    model, asked = learner().fit(drawn()), drawn(seed=4, day=128)
    again = stored(model, ALL)
    assert written(again) == written(model)
    assert again.predict(asked).survival.tobytes() == model.predict(asked).survival.tobytes()
    assert stored(learner(), ALL) == learner()


def test_the_forecast_names_learner_and_steps():
    model = learner().fit(drawn())
    assert model.name == learner().name == model.predict(drawn(day=128)).model == "logistic-rich+fill+bound+scale"
    amounts = Prepared(OwnMean(), ()).fit(drawn())
    assert amounts.predict(drawn(day=128)).model == amounts.name == "own-mean-amount"


def test_without_steps_it_is_the_learner():
    train, asked = drawn(), drawn(seed=5, day=128)
    plain, wrapped = PooledLogistic(GRID, max_rows=5_000), Prepared(PooledLogistic(GRID, max_rows=5_000), ())
    assert wrapped.fit(train).predict(asked).survival.tobytes() == plain.fit(train).predict(asked).survival.tobytes()


def written(thing):
    arrays = {}
    plain = encode(thing, arrays)
    return repr(plain), {name: array.tobytes() for name, array in arrays.items()}
