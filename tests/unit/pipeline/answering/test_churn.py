"""Who is lost and why: the law of leaving against a slow twin and against a shop whose causes are known."""

from dataclasses import replace
from functools import cache

import numpy as np
import polars as pl
import pytest
from scipy.integrate import quad
from scipy.special import gammaln

from whenbuy.core.arrays import DAY
from whenbuy.core.errors import NotEnoughDataError, NotFoundError
from whenbuy.ingest.simulate import SimulatedShop, simulate
from whenbuy.ingest.simulated.parameters import Parameters
from whenbuy.pipeline.answering.churn import OWN, Churn, churn
from whenbuy.pipeline.answering.leaving import Law, Pieces, excludes_zero, learn
from whenbuy.pipeline.answering.trails import FREE, Trails


@cache
def shop() -> SimulatedShop:
    return simulate(900, 300, 5, Parameters.frozen("service"))


@cache
def found() -> Churn:
    return churn(shop().history)


LAW = Law(1.5, 12.0, 0.002, np.array([0.4, 0.3, 0.2, 0.5, 0.01]))
VALUES = np.array([np.log(1.5), np.log(12.0), np.log(0.002), 0.4, 0.3, 0.2, 0.5, 0.01])


def some() -> Trails:
    trails = Trails.of(shop().history, shop().history.end)
    return trails.take(np.arange(40))


def slow_likelihood(law: Law, trails: Trails, row: int) -> float:
    """One customer's log-likelihood, piece by piece with an adaptive integral."""
    power, since = law.shape + trails.days[row], law.scale + trails.lived[row]
    mine = np.flatnonzero(trails.owner == row)
    blows = [(trails.after[j], law.harm[trails.cause[j]] * trails.weight[j]) for j in mine]

    def silence(s: float, borne: float) -> float:
        return (1 + s / since) ** -power * np.exp(-law.hazard * s - borne)

    borne, whole, edges = 0.0, 0.0, [0.0]
    for after, blow in blows:
        whole += quad(lambda s, b=borne: law.hazard * silence(s, b), edges[-1], after)[0]
        whole += silence(after, borne) * (1 - np.exp(-blow))
        borne += blow
        edges.append(after)
    whole += quad(lambda s: law.hazard * silence(s, borne), edges[-1], trails.silent[row], limit=200)[0] + silence(
        trails.silent[row], borne
    )
    common = gammaln(power) - gammaln(law.shape) + law.shape * np.log(law.scale) - power * np.log(since)
    return common - law.hazard * trails.lived[row] - trails.forgiven[row] @ law.harm + np.log(whole)


def test_the_likelihood_equals_its_slow_twin() -> None:
    trails = some()
    ours = LAW.likelihood(Pieces.of(trails))
    slow = [slow_likelihood(LAW, trails, row) for row in range(len(trails))]
    np.testing.assert_allclose(ours, slow, atol=5e-3)  # harm jumps between the nodes of the rule


def test_the_slopes_are_those_of_the_likelihood() -> None:
    pieces = Pieces.of(some())
    for place in range(len(VALUES)):
        step = np.zeros(len(VALUES))
        step[place] = 1e-5
        numeric = (Law.of(VALUES + step).likelihood(pieces) - Law.of(VALUES - step).likelihood(pieces)) / 2e-5
        np.testing.assert_allclose(LAW.slopes(pieces)[:, place], numeric, atol=1e-4, rtol=1e-4)


def test_what_explains_a_silence_adds_up() -> None:
    shares = LAW.explain(Pieces.of(some()))
    np.testing.assert_allclose(shares.here + shares.own + shares.causes.sum(axis=1), 1.0)


def test_the_law_is_recovered() -> None:
    law, members = learn(Trails.of(shop().history, shop().history.end))
    true = -np.log1p(-np.array(shop().parameters.care.leaves))
    spread = np.std([member.harm for member in members], axis=0)
    assert (np.abs(law.harm[:4] - true) < 4 * spread[:4]).all()
    assert (spread > 0).all()


def test_harmless_events_give_no_reason() -> None:
    """Events that come by chance and drive nobody away: their interval holds zero for nearly everybody."""
    trails = Trails.of(shop().history, shop().history.end, {"chance": "price_raised"})
    rng = np.random.default_rng(1)
    share = trails.silent / (trails.silent + trails.lived + 1)
    rows = np.flatnonzero(rng.uniform(0, 1, len(trails)) < 0.5)
    at = rng.uniform(0, 1, len(rows))
    since = at < share[rows]
    forgiven = np.zeros((len(trails), 1))
    forgiven[rows[~since]] = 1.0
    after = (at / np.maximum(share[rows], 1e-9) * trails.silent[rows])[since]
    order = np.argsort(rows[since])
    made = replace(
        trails, forgiven=forgiven, owner=rows[since][order], cause=np.zeros(since.sum(), np.int64), weight=np.ones(since.sum()),
        after=after[order],
    )  # fmt: skip
    law, members = learn(made)
    harms = np.array([member.harm[0] for member in members])
    low, high = np.quantile(harms, [0.1, 0.9])
    assert not excludes_zero(np.array([low]), np.array([high]))[0] or law.harm[0] < 0.05


def test_the_top_reason_is_the_cause() -> None:
    people = shop().people
    top = dict(zip(found().trails.user.to_list(), found().top(), strict=True))
    known = people.filter(pl.col("cause").is_in(["price", "delivery", "stock", "service", "contact pressure"]))
    right = [top[user] == cause for user, cause in known.select("user_id", "cause").iter_rows() if top[user] is not None]
    assert len(right) > 0.95 * len(known)
    assert np.mean(right) > 0.85


def test_the_chance_comes_true() -> None:
    left = shop().people["left"].cast(pl.Int64).to_numpy() < shop().history.end
    assert found().chance.mean() == pytest.approx(left.mean(), abs=0.04)


def test_the_parts_add_up_to_the_chance() -> None:
    np.testing.assert_allclose(found().parts.sum(axis=1) + found().own, found().chance, atol=1e-9)
    frame = found().frame()
    assert (frame["can_change"] + frame["cannot_change"] <= frame["p_lost"] + 1e-9).all()
    assert frame["p_lost"].is_sorted(descending=True)


def test_every_reason_has_words_and_an_interval() -> None:
    reasons = found().reasons()
    shown = reasons.filter("shown", "can_change")
    assert (shown["low"] > 0).all()
    assert reasons.filter(pl.col("cause") == OWN)["can_change"].any() is False
    frame = found().frame().filter(pl.col("top_reason") == "delivery")
    assert frame["reasons"].str.contains("late deliver").all()


def test_nothing_after_the_moment_is_read() -> None:
    cutoff = shop().history.end - 60 * DAY
    early = churn(shop().history, cutoff)
    cut = churn(shop().history.cut(cutoff), cutoff)
    assert early.frame().equals(cut.frame())
    assert early.trails.last.max() < cutoff


def test_somebody_can_be_asked_about_alone() -> None:
    users = found().trails.user.to_list()[:3]
    alone = churn(shop().history, users=users)
    np.testing.assert_array_equal(alone.chance, found().chance[:3])
    with pytest.raises(NotFoundError, match="nobody-at-all"):
        churn(shop().history, users=["nobody-at-all"])


def test_a_log_without_troubles_says_who_is_lost_and_no_reasons() -> None:
    found = churn(simulate(80, 100, 2).history)
    assert found.trails.causes == ()
    assert found.chance.min() >= 0
    assert found.chance[found.trails.silent > 60].mean() > 3 * found.chance[found.trails.silent < 10].mean()
    np.testing.assert_allclose(found.own, found.chance)
    assert set(found.frame()["reasons"]) == {""}
    assert found.reasons()["cause"].unique().to_list() == [OWN]


def test_too_few_customers_are_refused_in_words() -> None:
    with pytest.raises(NotEnoughDataError, match="50"):
        churn(simulate(20, 200, 2, Parameters.frozen("service")).history)


def test_one_message_a_week_is_no_pressure() -> None:
    trails = Trails.of(shop().history, shop().history.end)
    seldom = (shop().people["plan"] == "seldom").to_numpy()
    pressure = trails.causes.index("contact pressure")
    rows = trails.rows_of(shop().people["user_id"].to_list())
    assert (trails.forgiven[rows[seldom & (rows >= 0)], pressure] == 0).all()
    assert trails.weight[trails.cause == pressure].max() <= 7 - FREE


def test_who_likelier_left_for_reasons_of_her_own_is_told_none_that_the_shop_can_change() -> None:
    told = found()
    other = told.own >= told.parts.sum(axis=1)
    assert other.any()
    assert not told.shown[other].any()
    assert told.shown[~other].any()
