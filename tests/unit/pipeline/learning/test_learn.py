"""Learning: what wins on later weeks answers, and what cannot be learned is said."""

from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import polars as pl
import pytest

from tests.unit.core.logs import make
from whenbuy.core.arrays import DAY, MISSING
from whenbuy.core.errors import NotEnoughDataError, UsageError
from whenbuy.core.examples import Examples
from whenbuy.core.forecast import TimeToEvent
from whenbuy.core.log import ORDERS, Column
from whenbuy.features import Holiday
from whenbuy.ingest.simulate import simulate
from whenbuy.models.how_much.amount_floors import GlobalMean, OwnMean
from whenbuy.models.how_much.spend import SpendRate
from whenbuy.models.series.promoted import NOTHING
from whenbuy.models.when.floors import BaseRate, KaplanMeier, PoissonRate
from whenbuy.pipeline.learning import choose, learn, plan
from whenbuy.pipeline.learning.learn import fit

BUY = 1


def quick(answer, grid):
    curves = PoissonRate(grid.days), BaseRate(grid.days), KaplanMeier(grid.days)
    return {"purchase": curves, "orders": curves, "amount": (GlobalMean(), OwnMean())}.get(answer, ())


@dataclass(frozen=True)
class Fixed:
    """A learner that always gives the same hazard, and remembers what it was given."""

    grid_days: tuple
    rate: float
    seen: list
    error: bool = False

    @property
    def name(self):
        return f"fixed-{self.rate:g}"

    def fit(self, train: Examples, valid=None):
        if self.error:
            raise NotEnoughDataError("Nothing.", "Something is needed.", "Bring it.")
        self.seen.append(train)
        return FixedModel(self, int(train.label("purchase").end.max()))


@dataclass(frozen=True)
class FixedModel:
    settings: Fixed
    known_until: int

    @property
    def name(self):
        return self.settings.name

    def predict(self, examples, *, in_sample=False):
        fallen = np.tile(self.settings.rate * np.array(self.settings.grid_days), (len(examples), 1))
        return TimeToEvent.of(examples.keys, np.array(self.settings.grid_days), np.exp(-fallen), fallen, self.name, in_sample=in_sample)


def chosen(forecaster):
    return {choice.answer: choice.model for choice in forecaster.choices if choice.chosen}


@pytest.fixture(scope="module")
def history():
    return simulate(120, 150, 4).history


def regular(days=100, users=20, every=5, amount=500):
    """Everybody buys every few days."""
    return make([(u, round(d * DAY), 0, BUY, amount, 1) for u in range(users) for d in range(u % every, days, every)], users, late=False)


def test_the_best_candidate_of_every_answer_is_chosen(history):
    forecaster = fit(history, candidates=quick)
    for answer in ("purchase", "orders", "amount"):
        tried = [choice for choice in forecaster.choices if choice.answer == answer]
        assert [choice.model for choice in tried] == [learner.name for learner in quick(answer, learn.Grid((1.0,), 1.0))]
        best = min(tried, key=lambda choice: choice.value)
        winner = best if best.floor or best.high < 0 else tried[0]
        assert [choice.chosen for choice in tried] == [choice is winner for choice in tried]
        assert [choice.floor for choice in tried] == [True, *[False] * (len(tried) - 1)]
        assert forecaster.models[answer].name == next(choice.model for choice in tried if choice.chosen)
        said = f"No model of the answer {answer!r} beats the floor ({tried[0].model}) beyond doubt on later weeks: the floor answers."
        assert (said in forecaster.notes) == (winner is not best)


def test_what_wins_learns_again_from_everything_that_is_known(monkeypatch):
    monkeypatch.setattr(choose, "_POOL", 1)  # no blends
    seen, told = [], []
    history = regular()
    rates = {0.18: [], 0.35: seen, 0.001: []}

    def candidates(answer, grid):
        return tuple(Fixed(grid.days, rate, where) for rate, where in rates.items()) if answer == "purchase" else quick(answer, grid)

    forecaster = fit(history, horizons=(7,), candidates=candidates, say=told.append)
    assert chosen(forecaster)["purchase"] == "fixed-0.35"
    assert [len(where) for where in rates.values()] == [1, 2, 1]
    first, last = seen
    assert last.keys.cutoff.max() == forecaster.known_until == history.end
    assert first.label("purchase").end.max() < last.label("purchase").end.max() == history.end
    assert len(last) > len(first)
    assert set(np.diff(np.unique(last.keys.cutoff)).tolist()) == {7 * DAY}
    assert told[0].startswith(f"learning from {len(first):,} examples")


def test_candidates_see_no_label_of_the_weeks_on_which_they_are_compared(history, monkeypatch):
    parts = []
    made = plan.Plan.parts
    monkeypatch.setattr(plan.Plan, "parts", lambda self, answers: parts.append(made(self, answers)) or parts[-1])
    fit(history, candidates=quick)
    train, valid = parts[0]
    for label in train.labels.values():
        assert label.end.max() <= valid.keys.cutoff.min()
    assert valid.label("orders").observed.all()
    assert not set(train.keys.cutoff[train.label("purchase").value > 0]) & set(valid.keys.cutoff)


def test_a_candidate_that_cannot_learn_is_named_with_its_reason():
    def candidates(answer, grid):
        return (Fixed(grid.days, 0.5, [], error=True), *quick(answer, grid)) if answer == "purchase" else quick(answer, grid)

    forecaster = fit(regular(), horizons=(7,), candidates=candidates)
    poor = next(choice for choice in forecaster.choices if choice.model == "fixed-0.5")
    assert (poor.chosen, poor.note) == (False, "Nothing. Something is needed. Bring it.")
    assert np.isnan(poor.value)


def test_when_no_candidate_of_the_purchase_can_learn_it_says_why():
    def candidates(answer, grid):
        return (Fixed(grid.days, 0.5, [], error=True),)

    with pytest.raises(NotEnoughDataError, match=r"No model of purchase could learn\. fixed-0\.5: Nothing\."):
        fit(regular(), horizons=(7,), candidates=candidates)


def test_the_same_seed_gives_the_same_choices_and_another_moment_others(history):
    one, same = (fit(history, "2024-05-01", candidates=quick) for _ in range(2))
    assert repr(one.choices) == repr(same.choices)
    assert one.known_until == same.known_until == history.clock.instant("2024-05-01")
    assert repr(fit(history, "2024-04-01", candidates=quick).choices) != repr(one.choices)


def test_a_moment_within_a_day_learns_from_the_days_before(history):
    forecaster = fit(history, "2024-05-01T17:30", candidates=quick)
    assert forecaster.known_until == history.clock.instant("2024-05-01")
    assert repr(forecaster.choices) == repr(fit(history, "2024-05-01", candidates=quick).choices)


def test_a_moment_beyond_the_log_is_its_end(history):
    assert fit(history, "2031-01-01", candidates=quick).known_until == history.end


@pytest.mark.parametrize(("days", "horizons", "said"), [(60, (7,), 0), (60, (28,), 1), (20, (7, 28), 1), (9, (7,), 1), (4, (7,), 1)])
def test_a_short_log_says_so(days, horizons, said):
    forecaster = fit(regular(days, every=2), horizons=horizons, candidates=quick)
    notes = [note for note in forecaster.notes if "too few" in note]
    assert len(notes) == said, forecaster.notes
    assert forecaster.horizons == tuple(map(float, horizons))
    curves = forecaster.predict(regular(days, every=2)).purchase
    assert curves.grid_days[-1] == 2 * max(horizons)


@pytest.mark.parametrize("days", [2, 3, 4, 5, 6, 8, 12])
def test_a_log_shorter_than_the_horizon_is_learned_from(days):
    history = regular(days, every=1)
    assert len(fit(history, horizons=(28,), candidates=quick).predict(history)) == 20


def test_a_log_of_one_day_is_refused_in_words():
    with pytest.raises(NotEnoughDataError, match=r"The log holds .* days; no window of 1 days closes in it"):
        fit(regular(1, every=1), horizons=(28,), candidates=quick)


def test_where_parts_do_not_fit_one_after_the_other_users_are_compared():
    notes = fit(regular(2, every=1), horizons=(28,), candidates=quick).notes
    assert any("So the split is by users" in note for note in notes)


def test_the_whole_catalogue_copes_with_a_short_log():
    history = regular(12, every=2)
    assert len(fit(history, horizons=(28,)).predict(history)) == 20


def test_no_purchase_is_not_enough(history):
    views = replace(history, log=history.log.take(np.flatnonzero(history.log.kind == history.log.code("view"))))
    with pytest.raises(NotEnoughDataError, match=r"no purchase among them.*--kind NAME=purchase"):
        fit(views)
    with pytest.raises(NotEnoughDataError, match="The log holds 0 events before"):
        fit(history, "2010-01-01")


def test_one_user_only():
    history = regular(100, users=1)
    forecaster = fit(history, horizons=(7,))
    assert forecaster.predict(history).frame().height == 1


def test_one_purchase_only():
    history = make([(0, 0, 0, 0, MISSING, 0), (1, 3 * DAY, 0, BUY, 100, 1), (2, 60 * DAY, 0, 0, MISSING, 0)], late=False)
    assert len(fit(history, horizons=(7,)).predict(history)) == 3


def test_a_log_without_amounts_has_no_amounts(history):
    bare = replace(history, log=replace(history.log, columns={ORDERS: history.log.columns[ORDERS]}))
    forecaster = fit(bare, candidates=quick)
    assert set(forecaster.models) == {"purchase", "orders"}
    outlook = forecaster.predict(bare)
    assert outlook.amount is None
    assert outlook.frame()["clv"].null_count() == len(outlook)


@pytest.mark.parametrize("amount", [MISSING, 0])
def test_amounts_that_teach_nothing_are_left_out_and_said(amount):
    history = regular(amount=amount)
    forecaster = fit(history, horizons=(7,))
    assert set(forecaster.models) == {"purchase", "orders"}
    assert "No model of the answer 'amount' could learn, so the forecast goes without it." in forecaster.notes
    assert forecaster.predict(history).frame()["amount_mean"].null_count() == 20


def test_amounts_that_were_not_seen_lately_are_not_compared():
    known = regular()
    amount = np.where(known.log.time < 60 * DAY, 700, MISSING)
    history = replace(known, log=replace(known.log, columns={**known.log.columns, "amount": Column(amount, scale=100)}))
    forecaster = fit(history, horizons=(7,), candidates=quick)
    assert chosen(forecaster)["amount"] == "mean-amount"
    assert any("nothing to compare models of the answer 'amount' by" in note for note in forecaster.notes)
    assert forecaster.predict(history).amount.mean == pytest.approx(7.0)


def test_features_of_the_shop_stand_beside_the_default_ones(history):
    holiday = Holiday(("2024-05-01",))
    forecaster = fit(history, candidates=quick, further=(holiday,))
    assert forecaster.features.spec[-1] == holiday
    assert forecaster.features.spec[:-1] == fit(history, candidates=quick).features.spec
    assert fit(history, candidates=quick, features=forecaster.features).features is forecaster.features


def test_kinds_first_seen_later_are_no_features(history):
    log = history.log
    late = (log.known_at >= history.clock.instant("2024-05-01")) & (log.kind == log.code("view"))
    kind = np.where(late, len(log.kinds), log.kind).astype(np.uint8)
    strange = replace(log, kinds=(*log.kinds, "alien"), kind=kind)
    names = [feature.name for feature in fit(replace(history, log=strange), "2024-05-01", candidates=quick).features.spec]
    assert names == [feature.name for feature in fit(history, "2024-05-01", candidates=quick).features.spec]
    assert any("alien" in feature.name for feature in fit(replace(history, log=strange), candidates=quick).features.spec)


def test_closed_days_are_kept_in_order(history):
    forecaster = fit(history, candidates=quick, closed=[date(2024, 12, 25), date(2024, 1, 1)])
    assert forecaster.closed == ((date(2024, 1, 1) - date(1970, 1, 1)).days, (date(2024, 12, 25) - date(1970, 1, 1)).days)


def test_too_many_examples_are_thinned(history, monkeypatch):
    monkeypatch.setattr(plan, "ROWS", 300)
    told = []
    forecaster = fit(history, candidates=quick, say=told.append)
    count = int(told[0].split()[2].replace(",", ""))
    assert 100 < count < 500
    assert isinstance(forecaster.predict(history).frame(), pl.DataFrame)


def test_a_refit_chooses_nothing_again_and_learns_up_to_the_later_moment(history):
    first = fit(history, "2024-04-01", candidates=quick)
    again = learn.refit(first, history, "2024-05-01")
    assert again.known_until == history.clock.instant("2024-05-01") > first.known_until
    assert repr(again.choices) == repr(first.choices)
    assert {name: model.name for name, model in again.models.items()} == {name: model.name for name, model in first.models.items()}
    assert all(model.known_until > first.models[name].known_until for name, model in again.models.items())
    assert len(again.predict(history)) == len(first.predict(history))


def test_what_past_offers_did_moves_the_curves_and_a_refit_learns_it_again():
    shop = simulate(1200, 260, 3).history  # campaigns begin on days 24, 66, 108, 150, 192 and 234
    first = fit(shop, "2024-07-30", candidates=quick)
    assert first.promoted.effects[1] < -0.3  # day 211: five campaigns with discounts
    again = learn.refit(first, shop, "2024-08-19")
    assert again.promoted.effects[1] < -0.3
    assert again.promoted.effects[1] != first.promoted.effects[1]
    usual = replace(again, promoted=NOTHING)
    told, before = (one.predict(shop, "2024-08-19").purchase for one in (again, usual))  # the one of August 22 is announced
    assert told.count_at(7.0).sum() > 1.05 * before.count_at(7.0).sum()
    assert (told.probability(7.0) > before.probability(7.0)).all()


def test_a_refit_over_longer_windows_than_were_chosen_for_is_refused(history):
    def spenders(answer, grid):
        return (SpendRate(),) if answer == "spend" else quick(answer, grid)

    short = fit(regular(12, every=2), horizons=(14,), candidates=spenders)
    with pytest.raises(UsageError, match="chosen for windows of"):
        learn.refit(short, regular(100, every=2))
