"""Whom to look at first: enquiries by what an answer saves, orders and accounts by what is at stake."""

from functools import cache

import numpy as np
import pytest

from tests.unit.pipeline.quick import learn
from whenbuy.core.arrays import DAY, MISSING
from whenbuy.core.errors import NotEnoughDataError
from whenbuy.ingest.simulate import SimulatedShop, simulate
from whenbuy.ingest.simulated.parameters import Parameters
from whenbuy.pipeline.answering.churn import churn
from whenbuy.pipeline.answering.orders import QUESTION, Placed
from whenbuy.pipeline.answering.risk import risk
from whenbuy.pipeline.answering.service import OPEN_DAYS, service


@cache
def shop() -> SimulatedShop:
    return simulate(600, 300, 5, Parameters.frozen("service"), dirty=True)


@cache
def outlook():
    return learn(shop().history).predict(shop().history)


@cache
def risky():
    return risk(shop().history)


def habits():
    return dict(shop().people.select("user_id", "habit").iter_rows())


def test_open_enquiries_wait_in_the_order_of_what_an_answer_saves() -> None:
    frame = service(shop().history, outlook())
    assert len(frame) > 3
    assert frame["saved"].is_sorted(descending=True)
    assert frame["waited_hours"].is_between(0, 24 * OPEN_DAYS).all()
    assert frame["topic"].is_in(["price", "delivery", "stock", "other"]).all()
    assert frame["user_id"].is_unique().all()
    assert (frame["show"].str.len_chars() > 0).any()


def test_who_asks_after_a_late_delivery_wants_her_parcel() -> None:
    frame = service(shop().history, outlook())
    late = frame.filter(frame["show"].str.starts_with("delivered late"))
    assert (late["need"] == "where her parcel is").all()


def test_what_bad_service_costs_is_learned_where_the_log_tells() -> None:
    plain, learned = service(shop().history, outlook()), service(shop().history, outlook(), churn(shop().history))
    assert set(plain["user_id"]) == set(learned["user_id"])
    assert (
        learned["saved"].sort() > plain["saved"].sort()
    ).all()  # nearly half leave after bad service: more than one in a hundred an hour


def test_a_log_without_enquiries_is_refused_in_words() -> None:
    history = simulate(150, 150, 8).history
    with pytest.raises(NotEnoughDataError, match="enquiry"):
        service(history, learn(history).predict(history))


def test_what_is_known_of_an_order_is_known_when_it_is_placed() -> None:
    history = shop().history
    cutoff = history.end - 80 * DAY
    whole, cut = Placed.of(history), Placed.of(history.cut(cutoff))
    early = whole.time < cutoff
    assert early.sum() == len(cut)
    for name in ("orders_before", "refunds_before", "coupon", "amount_over_usual"):
        np.testing.assert_array_equal(whole.table.column(name)[early], cut.table.column(name))


def test_the_label_of_an_order_is_seen_only_when_its_window_has_closed() -> None:
    placed, history = Placed.of(shop().history), shop().history
    label = placed.examples(history, np.arange(len(placed))).label(QUESTION)
    assert (label.observed == (placed.time + 30 * DAY <= history.end)).all()
    assert label.value[placed.refunded_at == MISSING].max() == 0


def test_orders_of_those_who_return_much_are_likelier_to_come_back() -> None:
    orders = risky().frame.filter(risky().frame["what"] == "order")
    assert orders["chance"].is_between(0, 1).all()
    odd = np.array([habits()[user] != "usual" for user in orders["user_id"]])
    chance = orders["chance"].to_numpy()
    assert chance[odd].mean() > 3 * chance[~odd].mean()
    assert (orders.filter(orders["chance"] > 0.4)["reasons"].str.len_chars() > 0).all()


def test_who_stands_out_is_who_abuses() -> None:
    odd = risky().frame.filter(risky().frame["what"] == "offers")
    assert len(odd) > 5
    assert np.mean([habits()[user] != "usual" for user in odd["user_id"]]) > 0.9
    assert odd["reasons"].str.contains("are usual").all()


def test_machines_are_found_and_people_are_not() -> None:
    machines = risky().frame.filter(risky().frame["what"] == "machine")["user_id"].to_list()
    people = set(shop().people["user_id"])
    assert sorted(machines) == sorted(set(shop().history.log.users.ids) - people)


def test_without_refunds_the_rest_is_told_and_a_note_says_why() -> None:
    laws = Parameters.frozen("retailrocket")
    found = risk(simulate(300, 60, 1, laws, dirty=True).history)
    assert set(found.frame["what"]) <= {"machine"}
    assert "refund" in found.notes[0]
