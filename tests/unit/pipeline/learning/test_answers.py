"""The table of answers: what can be asked, what is refused in words, and that all that is learned answers."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.core.logs import make
from whenbuy.core.arrays import DAY
from whenbuy.core.errors import UsageError
from whenbuy.core.forecast import Amount, Classes, Probability, TimeToEvent
from whenbuy.core.lapse import Lapse
from whenbuy.core.number import Number
from whenbuy.ingest.simulate import simulate
from whenbuy.models.when.floors import KaplanMeier, PoissonRate
from whenbuy.pipeline.deciding.bids import response_bids
from whenbuy.pipeline.judging.trial import Trial
from whenbuy.pipeline.keeping import bundle
from whenbuy.pipeline.learning.answers import ANSWERS, rooms, wanted
from whenbuy.pipeline.learning.catalogue import types
from whenbuy.pipeline.learning.grid import Grid
from whenbuy.pipeline.learning.learn import fit, refit
from whenbuy.pipeline.learning.update import update
from whenbuy.serve.live import LiveState

GRID = Grid((1.0, 7.0, 14.0, 28.0), 1.0, (7.0, 14.0, 28.0))
BUY = 1
ASKED = ("activity", "visits", "dwell", "viewed", "review", "rating", "contact", "about", "refund", "in_session", "response", "conversion")


def candidates(answer, grid):
    """The floors, and of the further answers the second candidate as well."""
    if answer in ("purchase", "orders"):
        return PoissonRate(grid.days), KaplanMeier(grid.days)
    return ANSWERS[answer].candidates(grid)[:2]


@pytest.fixture(scope="module")
def history():
    """A shop with messages, clicks and enquiries laid over it: some of its views are these."""
    found = simulate(150, 200, 4).history
    log, rng = found.log, np.random.default_rng(1)
    kinds, kind = list(log.kinds), log.kind.copy()
    rows = np.flatnonzero(log.kind == log.code("view"))
    for name, share in (("shown", 0.3), ("clicked", 0.2), ("enquiry", 0.1), ("opened", 0.1), ("unsubscribe", 0.05)):
        some = rows[rng.random(len(rows)) < share]
        kind[some] = kinds.index(name)
        rows = np.setdiff1d(rows, some)
    topic = replace(log.columns["category"])
    return replace(found, log=replace(log, kinds=tuple(kinds), kind=kind, columns={**log.columns, "topic": topic}))


@pytest.fixture(scope="module")
def everything(history):
    return fit(history, history.end - 40 * DAY, horizons=(7, 14), candidates=candidates, ask="all")


def test_every_answer_has_words_needs_and_candidates_the_floor_first():
    for name, answer in ANSWERS.items():
        assert answer.name == name
        assert all((answer.words.endswith("?"), answer.asks.endswith("?"), answer.needs))
        listed = answer.candidates(GRID)
        assert bool(listed) != bool(answer.rests)
        assert len({learner.name for learner in listed}) == len(listed)
        question = answer.question(7.0, ("a", "b"))
        assert question.name == name
        assert question.horizon_days <= 7.0


def test_what_is_asked_for_is_found_by_name():
    usual = tuple(name for name, answer in ANSWERS.items() if answer.usual)
    assert wanted() == usual == wanted("usual")
    assert wanted("all") == tuple(ANSWERS)
    assert wanted(("visits",)) == ("purchase", "visits")
    assert wanted(("churn",)) == ("purchase", "activity", "churn")
    assert set(wanted(("usual", "visits"))) == {*usual, "visits"}
    with pytest.raises(UsageError, match=r"no answer 'vists'\. Did you mean 'visits'\?"):
        wanted(("vists",))


def test_answers_of_one_room_stand_together():
    assert rooms(("purchase", "orders", "visits", "classes", "viewed")) == (
        ("purchase",), ("orders", "visits"), ("classes",), ("viewed",),
    )  # fmt: skip


def test_everything_that_can_be_asked_is_answered(history, everything):
    assert set(ASKED) | {"churn"} <= set(everything.answers), everything.notes
    outlook = everything.predict(history, history.end - 20 * DAY)
    kinds = {
        "activity": TimeToEvent, "churn": Lapse, "visits": Number, "dwell": Amount, "viewed": Classes, "about": Classes, "rating": Amount,
        "contact": Probability, "review": Probability, "in_session": Probability, "response": Probability,
    }  # fmt: skip
    assert all(isinstance(outlook.answers[name], kind) for name, kind in kinds.items())
    frame = outlook.frame()
    assert {
        "p_activity_7d", "next_activity_p50", "p_churn", "churn_days", "p_churn_28d", "visits_mean_14d", "visits_p90_14d", "dwell_p50",
        "top_viewed", "top_about", "p_contact_14d", "p_review_14d", "rating_mean", "p_in_session", "p_opened_14d", "p_unsubscribe_14d",
        "value_per_message",
    } <= set(frame.columns)  # fmt: skip
    some = outlook.take(np.array([3, 1]))
    assert some.frame().equals(frame[[3, 1]])
    alone = everything.predict(history, history.end - 20 * DAY, [frame["user_id"][3]])
    assert alone.frame().equals(frame[3:4])


def test_each_is_judged_over_its_own_window(history, everything):
    trial = Trial.of(history, weeks=2, horizon_days=14.0)
    labels = trial.labels(everything)
    assert {"activity", "churn", "visits", "dwell", "viewed", "about", "contact", "refund", "conversion"} <= set(labels)
    names = {measure.name for measure in trial.measured(everything, history, labels, ())}
    assert {"activity_logloss_7d", "churn_logloss", "visits_logloss", "dwell_mae", "viewed_logloss", "contact_ece"} <= names


def test_what_is_lacking_is_said_while_the_others_go_on(history):
    bare = replace(history, log=replace(history.log, columns={name: history.log.columns[name] for name in ("orders", "amount")}))
    found = fit(bare, horizons=(7, 14), candidates=candidates, ask=("dwell", "about", "visits"))
    assert set(found.answers) == {"purchase", "visits"}
    assert (
        "'dwell' was asked for, but the log has no column dwell_s. It needs the column dwell_s, the seconds spent on events. "
        "The other answers go on without it."
    ) in found.notes
    assert sum("about" in note for note in found.notes) == 1


def test_where_only_purchases_are_known_activity_is_the_purchase_and_learned_once():
    shop = make([(u, round(d * DAY), 0, BUY, 500, 1) for u in range(20) for d in range(u % 5, 100, 5)], 20, late=False)
    found = fit(shop, horizons=(7,), candidates=candidates, ask=("churn",))
    assert found.same == ("activity",)
    assert set(found.every) == {"purchase"}
    outlook = found.predict(shop)
    assert outlook.answers["activity"].survival is outlook.purchase.survival
    assert {"p_churn", "p_activity_7d"} <= set(outlook.frame().columns)


def test_who_is_on_no_visit_buys_on_none(history, everything):
    moment = history.end - 20 * DAY
    log, acts = history.log, ("view", "cart")
    rows = np.flatnonzero(np.isin(log.kind, [log.code(kind) for kind in acts]) & (log.known_at > moment))[:40]
    names = log.users.ids.gather((np.searchsorted(log.offsets, rows, side="right") - 1).astype(np.int64)).to_list()
    chances = [
        everything.predict(history, int(log.known_at[row]) + 1, [name]).answers["in_session"].chance[0]
        for row, name in zip(rows[:5].tolist(), names, strict=False)
    ]
    assert min(chances) > 0
    later = everything.predict(history, moment).answers["in_session"].chance
    assert (later == 0).mean() > 0.9


def test_it_is_kept_and_learned_again(tmp_path, history, everything):
    bundle.save(tmp_path / "model", everything, {})
    kept = bundle.load(tmp_path / "model", types())[0]
    moment = history.end - 20 * DAY
    assert kept.predict(history, moment).frame().equals(everything.predict(history, moment).frame())
    again = refit(kept, history, moment)
    assert set(again.answers) == set(everything.answers)
    assert again.known_until > everything.known_until
    assert all(again.every[name].known_until > model.known_until for name, model in everything.every.items())
    on = update(kept, history, moment)
    assert set(on.answers) == set(everything.answers)
    assert on.known_until > everything.known_until


def test_a_bid_is_the_chance_of_a_click_times_that_of_a_purchase_times_the_margin(history, everything):
    outlook = everything.predict(history, history.end - 20 * DAY)
    table = response_bids(outlook, 0.3)
    row = table.row(0, named=True)
    place = outlook.keys.ids().to_list().index(row["user_id"])
    click, buys = (outlook.answers[name].chance[place] for name in ("response", "conversion"))
    assert row["bid"] == pytest.approx(click * buys * 0.3 * outlook.amount.mean[place])
    assert row["bid_click"] == pytest.approx(row["bid"] / click)
    assert outlook.frame()["value_per_message"][place] == pytest.approx(row["value"] / 0.3)
    with pytest.raises(UsageError, match="response, conversion and amount"):
        response_bids(replace(outlook, answers={"purchase": outlook.purchase}), 0.3)
    with pytest.raises(UsageError, match="margin is 30"):
        response_bids(outlook, 30)


def test_chances_that_are_asked_for_are_answered_live_and_batch_answers_are_not_missed(history):
    found = fit(history, history.end - 40 * DAY, horizons=(7, 14), candidates=candidates, ask=("amount", "review", "refund", "visits"))
    state, at = LiveState.of(history, found), history.end
    users = history.log.users.ids.to_list()[:20]
    frame = found.answer(history, history.keys(users, at)).frame()
    for row, told in zip(frame.iter_rows(named=True), state.forecasts(users, at), strict=True):
        for name in ("p_purchase_14d", "amount_mean", "p_review_14d", "p_refund_14d"):
            assert getattr(told, name) == pytest.approx(row[name], rel=1e-6)
