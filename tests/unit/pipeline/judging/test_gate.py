"""The gate: the fairest weeks there are, what is refused, and what is said where nothing can be compared."""

from dataclasses import replace

import numpy as np
import pytest

from whenbuy.core.arrays import DAY
from whenbuy.core.errors import ColumnError, GateError
from whenbuy.ingest.simulate import simulate
from whenbuy.models.how_many.numbers import VisitRate
from whenbuy.models.how_much.amount_floors import GlobalMean, OwnMean
from whenbuy.models.how_much.spend import SpendRate
from whenbuy.models.when.floors import KaplanMeier, KaplanMeierModel, PoissonRate
from whenbuy.pipeline.judging import gate
from whenbuy.pipeline.judging.gate import Verdict, Weeks, beside_champion, beside_floor, judge, match
from whenbuy.pipeline.learning.forecaster import Choice, Forecaster
from whenbuy.pipeline.learning.learn import fit


def quick(answer, grid):
    curves = (PoissonRate(grid.days), KaplanMeier(grid.days))
    return {"purchase": curves, "orders": curves, "amount": (GlobalMean(), OwnMean())}.get(answer, ())


@pytest.fixture(scope="module")
def history():
    return replace(simulate(150, 240, 8).history, lateness_days=0.0)


@pytest.fixture(scope="module")
def days(history):
    """The last days of the log as instants: `days(7)` is a midnight a week before its end."""
    return lambda before: int(history.clock.midnight_before(np.array([history.end - before * DAY], np.int64))[0])


@pytest.fixture(scope="module")
def learned(history):
    """Models by the moment until which they know."""
    kept = {}

    def at(moment):
        if moment not in kept:
            kept[moment] = fit(history, moment, horizons=(7, 28), candidates=quick)
        return kept[moment]

    return at


def silly(model):
    """The same model, but everybody is about to buy three times a day: far worse than the floor."""
    grid = np.arange(1.0, 57.0)
    wrong = KaplanMeierModel("silly", "", np.empty(0), np.exp(-3.0 * grid)[None], (3.0 * grid)[None], grid, model.known_until)
    return replace(model, models={**model.models, "purchase": wrong, "orders": wrong})


def no_worse(verdict):
    return not verdict.against and "Not worse than the champion" in verdict.words


# ------------------------------------------------------------------------------------------------ which weeks


def test_weeks_that_neither_has_seen_come_first_then_longer_ones(history, days):
    found = Weeks.of(history, (days(60), days(90)), (7, 28))
    assert (found.days, found.learned) == (28, (False, False))
    assert found.cutoffs[-1] == days(28)
    assert found.cutoffs[0] >= days(60)
    assert (np.diff(found.cutoffs) == 7 * DAY).all()
    short = Weeks.of(history, (days(20), days(90)), (7, 28))
    assert (short.days, short.learned) == (7, (False, False))
    assert (short.cutoffs >= days(20)).all()
    assert len(Weeks.of(history, (days(200), days(200)), (7, 28)).cutoffs) == gate.WEEKS


def test_then_weeks_that_one_has_seen_then_any(history, days):
    assert Weeks.of(history, (days(0), days(50)), (7, 28)).learned == (True, False)
    assert Weeks.of(history, (days(50), days(0)), (7, 28)).learned == (False, True)
    one = Weeks.of(history, (days(0), days(7)), (7, 28))
    assert (one.days, one.cutoffs.tolist(), one.learned) == (7, [days(7)], (True, False))
    assert Weeks.of(history, (days(0), days(0)), (7, 28)).learned == (True, True)
    assert Weeks.of(history, (days(0), days(0)), (1000,)) is None


def test_a_window_closes_only_when_late_events_have_come(history, days):
    late = replace(history, lateness_days=10.0)
    assert Weeks.of(late, (days(200), days(200)), (7, 28)).cutoffs[-1] == days(38)


# ------------------------------------------------------------------------------------------------ beside the floor


def chosen(**changes):
    return replace(Choice("purchase", "best", "loss", 0.4, chosen=True, low=-0.2, high=-0.1), **changes)


def test_beside_the_floor():
    floor = Choice("purchase", "rate", "loss", 0.5, floor=True)
    assert beside_floor((floor, chosen())) == Verdict()
    assert beside_floor((replace(floor, chosen=True), chosen(chosen=False, high=0.3))).notes == (
        "The floor itself answers purchase (rate).",
    )
    refused = beside_floor((floor, chosen(high=0.0), chosen(answer="orders", high=0.2)))
    assert len(refused.against) == 2
    assert "best does not beat its floor" in refused.against[0]
    assert "-0.2 … +0" in refused.against[0]
    unknown = beside_floor((floor, chosen(low=np.nan, high=np.nan)))
    assert (unknown.against, "not known" in unknown.notes[0]) == ((), True)


def test_a_refusal_has_three_parts_and_names_the_next_step():
    with pytest.raises(GateError, match=r"The model new is not promoted\. worse\..*old answers as before.*promote new --force") as caught:
        Verdict(("worse.",)).require("new", "old")
    assert caught.value.exit_code == 5
    assert all((caught.value.got, caught.value.need, caught.value.do))
    Verdict((), ("fine",)).require("new", "old")


# ------------------------------------------------------------------------------------------------ beside the champion


def test_on_unseen_weeks_the_worse_model_is_refused_and_the_better_one_is_not(history, days, learned):
    good, bad = learned(days(60)), silly(learned(days(90)))
    verdict = judge(bad, good, history)
    assert any("logloss_28d is worse than the champion's on" in reason for reason in verdict.against)
    assert any("orders_rmse" in reason for reason in verdict.against)
    assert "learned" not in " ".join(verdict.against)
    better = judge(good, bad, history)
    assert better.against == ()
    assert "Not worse than the champion on 5 weekly cutoffs" in better.words
    assert no_worse(judge(learned(days(90)), good, history))


def test_a_difference_that_nobody_would_notice_refuses_nobody(history, days, learned, monkeypatch):
    one, other = learned(days(60)), learned(days(90))
    found = match(one, other, history)
    duels = [replace(duel, floor=1.0, low=gate.MARGIN * size, verdict="worse") for duel in found.comparison.rows for size in (0.9, 1.1)]
    for rows, count in ((duels[::2], 0), (duels[1::2], 3)):
        tight = gate.Match(found.weeks, replace(found.comparison, rows=tuple(rows)))
        monkeypatch.setattr(gate, "match", lambda *_, tight=tight: tight)
        assert len(beside_champion(one, other, history).against) == count


def test_a_fresh_model_is_refused_where_it_is_worse_even_on_weeks_that_it_has_seen(history, days, learned):
    champion, fresh = learned(days(60)), learned(days(0))
    assert "though it has learned" in judge(silly(fresh), champion, history).words
    passed = judge(fresh, champion, history)
    assert passed.against == ()
    assert "Only one of the two has learned from them." in passed.words
    assert "but the champion has learned" in judge(silly(champion), fresh, history).words


def test_where_both_have_seen_every_week_the_scores_of_choosing_count(history, days, learned):
    one = learned(days(0))
    assert judge(one, one, history).words.endswith("Not worse than the champion on the weeks that both were chosen by.")
    floor = next(choice for choice in one.choices if choice.answer == "purchase" and choice.floor)
    best = replace(floor, model="best", value=floor.value - 0.1, floor=False, chosen=True, low=-0.12, high=-0.08)
    champion = replace(one, choices=(replace(floor, chosen=False), best))
    worse = replace(
        one, choices=(replace(floor, chosen=False), replace(best, model="new", value=floor.value - 0.02, low=-0.04, high=-0.001))
    )
    near = replace(one, choices=(replace(floor, chosen=False), replace(best, model="new", value=floor.value - 0.08, low=-0.11, high=-0.05)))
    assert "their intervals do not touch" in judge(worse, champion, history).words
    assert judge(near, champion, history).against == judge(champion, worse, history).against == ()
    assert "do not touch" in judge(replace(one, choices=(replace(floor, chosen=True),)), champion, history).words
    other_weeks = replace(champion, choices=(replace(floor, value=0.7), best))
    assert "Not compared with the champion" in judge(worse, other_weeks, history).words


def test_every_answer_decides_and_what_was_asked_otherwise_is_named(history, days):
    def spends(answer, grid):
        return (SpendRate(),) if answer == "spend" else quick(answer, grid)

    one, other = (fit(history, days(moment), horizons=(7, 28), candidates=spends) for moment in (60, 90))
    assert no_worse(judge(one, other, history))
    model = one.models["spend"]
    inner = getattr(model, "model", model)
    wrong = replace(inner, share=50 * inner.share, known_until=inner.known_until)
    verdict = judge(replace(one, models={**one.models, "spend": wrong}), other, history)
    assert any(reason.startswith("spend_rmse is worse") for reason in verdict.against)
    elsewhere = replace(one, windows={"spend": 14.0})
    assert "Not compared: spend" in judge(elsewhere, other, history).words


def test_answers_asked_for_by_name_decide_too(history, days):
    def comes(answer, grid):
        return (VisitRate(),) if answer == "visits" else quick(answer, grid)

    one, other = (fit(history, days(moment), horizons=(7, 28), candidates=comes, ask=("purchase", "visits")) for moment in (60, 90))
    assert no_worse(judge(one, other, history))
    wrong = replace(one, further={"visits": replace(one.further["visits"], share=50 * one.further["visits"].share)})
    assert any(reason.startswith("visits_logloss is worse") for reason in judge(wrong, other, history).against)
    assert judge(replace(one, further={}), other, history).against == ("It does not answer visits, which the champion does.",)


def test_a_model_that_answers_less_is_refused(history, days, learned):
    one = learned(days(60))
    less = replace(one, models={name: model for name, model in one.models.items() if name != "amount"})
    assert judge(less, one, history).against == ("It does not answer amount, which the champion does.",)
    assert judge(one, less, history).against == ()


def test_a_champion_that_cannot_answer_any_more_is_no_obstacle(history, days, learned, monkeypatch):
    one, other = learned(days(60)), learned(days(90))
    real = Forecaster.answer

    def answer(self, *arguments, **options):
        if self is other:
            raise ColumnError("The column colour is gone.")
        return real(self, *arguments, **options)

    monkeypatch.setattr(Forecaster, "answer", answer)
    why = "The champion cannot answer on today's log, so nothing was compared: The column colour is gone."
    assert judge(one, other, history) == Verdict(notes=(*beside_floor(one.choices).notes, why))
    with pytest.raises(ColumnError):
        judge(other, one, history)


def test_many_customers_are_thinned_by_whole_users(history, days, learned, monkeypatch):
    one, other = learned(days(60)), learned(days(90))
    everybody = match(one, other, history).comparison
    monkeypatch.setattr(gate, "ROWS", everybody.keys // 2)
    some = match(one, other, history).comparison
    assert 0.3 * everybody.keys < some.keys < 0.7 * everybody.keys
    assert some.users < everybody.users
    assert beside_champion(one, other, history.cut(days(239))).notes[-1].startswith("Not compared")


def test_same_question_same_answer(history, days, learned):
    first, second = (match(learned(days(60)), learned(days(90)), history).comparison for _ in range(2))
    assert first.frame().equals(second.frame())
