"""From settings and a log to what a plan may do, whom it may reach, what is kept, and what it earned."""

import json
from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest

import whenbuy as wb
from tests.unit.decide.instances import effect, reachable
from whenbuy.config import Settings
from whenbuy.core.arrays import DAY
from whenbuy.core.errors import ColumnError, DamagedError, ImmatureError, NotEnoughDataError, NotFoundError, SettingsError, UsageError
from whenbuy.core.profile import Profile
from whenbuy.decide.campaign import Orders
from whenbuy.decide.plan import make
from whenbuy.pipeline.deciding import allowed, kept, page
from whenbuy.pipeline.deciding.outcome import outcome
from whenbuy.pipeline.deciding.planning import Planned
from whenbuy.pipeline.deciding.reach import reachable as reached
from whenbuy.pipeline.keeping.shop import Shop

TEXT = """
[offers.ten]
discount = 0.1
valid_days = 7
[offers.gift]
kind = "gift"
cost = 1.0
ends = 2030-01-01
[channels.email]
cost = 0.02
[channels.sms]
cost = 0.1
most = 30
at = "12:30"
[budget]
margin = 0.4
money = 100
[guards]
hold_out = 0.3
"""
SETTINGS = Settings.parse(TEXT)


@pytest.fixture(scope="module")
def shop():
    return wb.simulate(users=300, days=200, seed=3)


def plan_for(history, made_at, *, hold_out=0.4, money=None):
    campaign = allowed.campaign(SETTINGS, made_at, hold_out=hold_out, budget=money)
    users = history.keys(as_of=made_at)
    found = effect(len(users), [one.id for one in campaign.offers], 28, 1, cutoff=made_at)
    found = replace(found, keys=users, without=replace(found.without, keys=users))
    orders = Orders(users.ids(), np.full(len(users), 60.0), np.ones((len(users), 2)), 0.4)
    made = make(campaign, orders, [found], reachable(len(users), 2, np.random.default_rng(0), consent=1.0, zones=(None,)))
    return Planned(made, 0.4, 28.0, made.notes)


def test_settings_become_a_campaign():
    made = allowed.campaign(SETTINGS, 0, budget=50.0, explore=0.2, only=("ten",))
    assert [one.id for one in made.offers] == ["ten"]
    assert made.channels[1].at == 750
    assert (made.budget.money, made.guards.hold_out, made.guards.explore) == (50.0, 0.3, 0.2)
    assert allowed.campaign(SETTINGS, 0).offers[1].ends == date(2030, 1, 1)
    with pytest.raises(UsageError, match="no offer 'twenty'"):
        allowed.campaign(SETTINGS, 0, only=("twenty",))
    with pytest.raises(UsageError, match="no offer"):
        allowed.campaign(Settings(), 0)


def test_offers_come_from_another_file_too(tmp_path):
    path = tmp_path / "spring.toml"
    path.write_text("[offers.spring]\ndiscount = 0.2\n")
    assert set(allowed.with_offers(SETTINGS, path).offers) == {"ten", "gift", "spring"}
    path.write_text("[shop]\nname = 'x'\n")
    with pytest.raises(SettingsError, match="more than what is sent"):
        allowed.with_offers(SETTINGS, path)
    with pytest.raises(NotFoundError):
        allowed.with_offers(SETTINGS, tmp_path / "none.toml")


def consenting(history, said):
    users = history.users.table.select("id").with_columns(consent_email=pl.Series(said, dtype=pl.String))
    return replace(history, users=Profile("user", users, timeless=True))


def test_consent_is_said_by_the_profile_and_nothing_else_means_no(shop):
    campaign, none = (
        allowed.campaign(SETTINGS, shop.history.end),
        pl.DataFrame(schema={"user_id": pl.String, "send_at": pl.Datetime("us", "UTC")}),
    )
    keys = shop.history.keys()
    history = consenting(shop.history, ["yes", "No", None, "1"] * 75)
    who = reached(history, keys, campaign.channels, SETTINGS, none)
    assert who.consent[:4, 0].tolist() == [True, False, False, True]
    assert not who.consent[:, 1].any(), "nothing says that anybody agreed to sms"
    assert who.zones.null_count() == len(keys)
    with pytest.raises(ColumnError, match="says 'perhaps'"):
        reached(consenting(shop.history, ["perhaps"] * 300), keys, campaign.channels, SETTINGS, none)


def test_an_unsubscribe_after_the_profile_counts(shop):
    frame = pl.DataFrame(
        {
            "user_id": ["a", "a", "b", "b", "c"], "kind": ["purchase", "unsubscribe", "purchase", "subscribe", "shown"],
            "time": [f"2024-01-0{day}T10:00:00" for day in (1, 3, 1, 4, 5)], "channel": [None, "email", None, None, "email"],
        }
    )  # fmt: skip
    history = wb.read(frame)
    keys = history.keys()
    history = replace(
        history, users=Profile("user", pl.DataFrame({"id": ["a", "b", "c"], "consent_email": [True, False, True]}), timeless=True)
    )
    campaign = allowed.campaign(SETTINGS, history.end)
    sent = pl.DataFrame({"user_id": ["a"], "send_at": [history.clock.instant("2024-01-02")]}).with_columns(
        pl.col("send_at").cast(pl.Datetime("us", "UTC"))
    )
    who = reached(history, keys, campaign.channels, SETTINGS, sent)
    assert who.consent.tolist() == [[False, False], [True, True], [True, False]]
    assert who.owner.tolist() == [0, 2]
    assert who.contacts.tolist() == [history.clock.instant("2024-01-02"), history.clock.instant("2024-01-05T10:00")]


def test_plans_are_kept_once_and_found_again(shop, tmp_path):
    place = Shop.create(tmp_path / "shop", Settings())
    made_at = shop.history.end - 60 * DAY
    planned = plan_for(shop.history, made_at)
    id = kept.keep(place, planned.plan, 0.4, 28.0)
    assert kept.keep(place, planned.plan, 0.4, 28.0) == id
    assert kept.ids(place) == [id]
    again = kept.read(place)
    assert again.decisions.equals(planned.plan.decisions.frame())
    assert json.dumps(dict(again.about))
    before = kept.sent_before(place, made_at + 30 * DAY)
    assert len(before) == planned.plan.decisions.sent.sum()
    assert kept.sent_before(place, made_at).is_empty(), "a plan made anew replaces what was not sent yet"
    (kept.folder(place) / id / kept.DECISIONS).write_bytes(b"x")
    with pytest.raises(DamagedError):
        kept.read(place, id[:17])
    with pytest.raises(NotFoundError):
        kept.read(Shop.create(tmp_path / "other", Settings()))


def kept_as(place, planned, policy, campaign):
    """Keep a plan under a policy, as the verb that asks for it does."""
    decisions = replace(planned.plan.decisions, policy=policy)
    return kept.keep(place, replace(planned.plan, decisions=decisions), 0.4, 28.0, kept.asked(campaign, policy))


def test_plans_of_one_instant_see_each_others_contacts_money_and_stock(shop, tmp_path):
    place, made_at = Shop.create(tmp_path / "shop", Settings()), shop.history.end - 60 * DAY
    campaign = allowed.campaign(SETTINGS, made_at, hold_out=0.4)
    first, less = plan_for(shop.history, made_at), plan_for(shop.history, made_at, money=20.0)
    id, sent = kept_as(place, first, "plan", campaign), first.plan.decisions.sent
    assert kept.Beside.of(place, campaign, "plan").plans == (), "made anew it replaces itself"
    beside = kept.Beside.of(place, campaign, "win-back")
    assert [one.id for one in beside.plans] == [id]
    assert beside.sent()["user_id"].to_list() == first.plan.decisions.user_id.filter(pl.Series(sent)).to_list()
    left = beside.left(campaign, money=True)
    assert left.budget.money == pytest.approx(100 - first.plan.decisions.cost.sum())
    assert beside.left(campaign, money=False).budget.money == 100
    assert left.channels[1].most == 30 - (first.plan.decisions.channel[sent] == 1).sum()
    assert f"{sent.sum():,} contacts count here" in beside.words(money=True)[0]
    second = kept_as(place, less, "win-back", campaign)
    again = kept.Beside.of(place, campaign, "plan")
    assert (again.plans, again.later, again.own) == ((), True, id), "asked the same, it keeps its place before the one that counted it"
    assert [one.id for one in kept.Beside.of(place, campaign, "plan", anew=False).plans] == [second]
    other = replace(campaign, days=7)
    assert [one.id for one in kept.Beside.of(place, other, "plan").plans] == [second], "asked something else, it comes after it"
    newer = kept_as(place, less, "plan", other)
    assert {one.id for one in kept.in_force(place)} == {newer, second}
    assert len(kept.sent_before(place, made_at + 30 * DAY)) == 2 * less.plan.decisions.sent.sum(), "the plan that was replaced sent nothing"


def test_a_result_compares_those_sent_with_those_held_out(shop, tmp_path):
    place = Shop.create(tmp_path / "shop", Settings())
    planned = plan_for(shop.history, shop.history.end - 60 * DAY, money=1e9)
    kept.keep(place, planned.plan, 0.4, 28.0)
    found = outcome(shop.history, kept.read(place), 30.0)
    assert found.low < 0 < found.high, "nothing was sent in truth"
    everybody = found.table.filter(pl.col("offer").is_null())
    assert everybody["measure"].to_list() == ["orders in 28 days", "orders in 30 days", "amount in 30 days"]
    assert (everybody["low"] <= everybody["difference"]).all()
    assert everybody["sent"][0] == planned.plan.decisions.sent.sum()
    assert found.promised == pytest.approx(planned.plan.decisions.expected_gain.sum())
    assert found.cost > 0
    with pytest.raises(ImmatureError, match="can be labelled only after"):
        outcome(shop.history, kept.read(place), 90.0)
    nobody_held = plan_for(shop.history, shop.history.end - 61 * DAY, hold_out=0.0)
    id = kept.keep(place, nobody_held.plan, 0.4, 28.0)
    with pytest.raises(NotEnoughDataError, match="were held out"):
        outcome(shop.history, kept.read(place, id), 30.0)


def test_the_page_is_one_file_that_escapes_every_name(shop):
    planned = plan_for(shop.history, shop.history.end)
    one = planned.plan.decisions
    evil = pl.Series([f"<script>{i}" for i in range(len(one))])
    planned = replace(planned, plan=replace(planned.plan, decisions=replace(one, user_id=evil)), notes=("<b>note</b>",))
    text = page.render(planned, "20240101-000000-abc", "Käse & Co", "EUR")
    assert "<script" not in text
    assert "<b>note" not in text
    for words in (
        "Käse &amp; Co",
        "persuadables",
        "sleeping dogs",
        "What other budgets would earn",
        "When messages go out",
        "<svg",
        "prefers-color-scheme",
    ):
        assert words in text
    assert "http" not in text.replace("http-equiv", "")
    empty = plan_for(shop.history, shop.history.end, money=0.0)
    assert "Nobody is contacted" in page.render(empty, "x", "", "")
