"""A marketer's way: `whenbuy plan`, `win-back`, `audience`, `predict --without-action` and `result` on a shop that sent offers."""

import hashlib
import json
from contextlib import contextmanager
from datetime import date
from functools import partial

import numpy as np
import polars as pl
import pytest

from tests.scenarios import small
from tests.scenarios.foreign import ok, refused
from whenbuy.features import Features, default_features
from whenbuy.ingest.simulate import simulate
from whenbuy.ingest.simulated.parameters import Parameters
from whenbuy.models.effect.curve import CurveUplift
from whenbuy.models.trees.boosting import Boosting
from whenbuy.pipeline.deciding import learned
from whenbuy.pipeline.deciding.effects import fit_effects

AS_OF = "2024-10-08"  # a round of offers began the day before
QUICK = CurveUplift((7.0, 14.0, 28.0), Boosting(trees=12, learning_rate=0.2, leaves=4, min_leaf=20, feature_fraction=0.5))
TOML = """
[profiles.users]
path = "../users.csv"
key = "id"
timeless = true
[budget]
margin = 0.45
[offers.discount]
discount = 0.1
valid_days = 7
[offers.gift]
kind = "gift"
cost = 2.5
valid_days = 7
[channels.email]
cost = 0.02
[channels.sms]
cost = 0.1
[channels.advertisement]
"""


LEARNED = {}


@contextmanager
def learning():
    """Effects are learned in a second; yields how often they were."""
    times = []

    def fit(history, decisions, cutoff, seed):
        times.append(1)
        before = history.log.known_at < cutoff
        same = (int(before.sum()), int(history.log.kind[before].astype(int).sum()), decisions is None, cutoff)
        if same not in LEARNED:  # the same is not learned twice here: what counts is how often it was asked for
            few = Features(default_features(history.log).spec[:8])
            LEARNED[same] = fit_effects(history, decisions, cutoff, seed=seed, learner=QUICK, features=few)
        return LEARNED[same]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learned, "fit_effects", fit)
        yield times


def write(folder, shop, *, toml=TOML, consent=0.8, **columns):
    """Write what a till and a list of customers would, and make a shop of it that has learned as of a moment."""
    shop.history.log.frame().drop("orders", "text").sort("known_at", maintain_order=True).write_csv(folder / "till.csv")
    users, rng = shop.history.users.table, np.random.default_rng(0)
    agreed = {f"consent_{name}": pl.Series(rng.random(len(users)) < consent) for name in ("email", "sms", "advertisement")}
    mail = pl.Series([f" Lady{i}@Shop.example" if i % 2 else None for i in range(len(users))])
    users.with_columns(**agreed, mail=mail, **columns).write_csv(folder / "users.csv")
    place = folder / "shop"
    ok("init", folder / "till.csv", "--shop", place, "--currency", "EUR")
    with (place / "whenbuy.toml").open("a") as file:
        file.write(toml)
    ok("init", "--shop", place)
    with small.quick():
        ok("fit", "--shop", place, "--as-of", AS_OF)
    return place


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    shop = simulate(300, 364, seed=4, parameters=Parameters.frozen("promotions"))
    with learning():
        yield write(tmp_path_factory.mktemp("deciding"), shop)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A shop that never sent anything."""
    with learning():
        yield write(tmp_path_factory.mktemp("plain"), simulate(120, 364, seed=4))


def asked(place, *words):
    return json.loads(ok(*words, "--shop", place, "--json").out)


def test_a_plan_keeps_its_budget_and_says_what_it_earned(place, tmp_path):
    told = asked(place, "plan", "--as-of", AS_OF, "--budget", "60", "--hold-out", "30%", "--out", tmp_path / "plan.csv")
    rows = pl.read_csv(tmp_path / "plan.csv")
    assert 0 < told["contacted"] == rows["offer_id"].is_not_null().sum()
    assert rows["cost"].sum() <= 60
    assert not rows.filter(pl.col("held_out"))["offer_id"].is_not_null().any()
    page = (place / "reports" / "plan.html").read_text()
    assert "What other budgets would earn" in page
    earned = asked(place, "result", told["plan"])
    assert earned["low"] <= earned["profit"] <= earned["high"]
    assert earned["horizon_days"] == 42
    assert "can be labelled only after" in refused(4, "result", told["plan"], "--shop", place, "--horizon", "200")


def test_effects_are_learned_once_and_again_when_what_they_rest_on_changed(place):
    with learning() as times:
        first = asked(place, "plan", "--as-of", AS_OF, "--budget", "50", "--relearn")
        again = asked(place, "plan", "--as-of", AS_OF, "--budget", "50")
        assert len(times) == 1
        stored = b"".join(file.read_bytes() for file in (place / learned.FOLDER).iterdir())
        assert b"shop.example" not in stored.lower(), "nobody's address is kept with what was learned"
        assert again["plan"] == first["plan"], "the same effects, the same plan"
        asked(place, "plan", "--as-of", "2024-10-09", "--budget", "50")
        assert len(times) == 2, "another moment"
        asked(place, "plan", "--as-of", AS_OF, "--budget", "50")
        asked(place, "win-back", "--as-of", AS_OF)
        assert len(times) == 3
        arrays = place / learned.FOLDER / "arrays.safetensors"
        arrays.write_bytes(arrays.read_bytes()[:-1] + b"x")
        assert "plan --relearn" in refused(3, "plan", "--as-of", AS_OF, "--shop", place)
        assert len(times) == 3
        assert asked(place, "plan", "--as-of", AS_OF, "--budget", "50", "--relearn")["plan"] == first["plan"]


def test_a_changed_log_or_champion_teaches_anew(place):
    from whenbuy.ingest.store import open_log
    from whenbuy.pipeline.keeping.shop import Shop

    shop, history = Shop.find(place), open_log(place / "log")
    cutoff = history.clock.instant(AS_OF)
    call = partial(learned.effects, shop, offers=2, seed=0, say=lambda _: None)
    with learning() as times:
        call(history, cutoff, "a")
        found, same = call(history, cutoff, "a"), call(history, cutoff, "a")
        assert len(times) == 1
        assert found.model.days.tolist() == [7, 14, 28]
        assert np.array_equal(found.predict(history, AS_OF).low, same.predict(history, AS_OF).low)
        call(history, cutoff, "b")
        assert len(times) == 2, "another champion"
        call(history.cut(history.end - 1), cutoff, "b")
        assert len(times) == 3, "another log"


def test_lapsing_customers_are_named_with_their_offers(place, tmp_path):
    told = asked(place, "win-back", "--as-of", AS_OF, "--hold-out", "30%", "--out", tmp_path / "back.parquet")
    rows = pl.read_parquet(tmp_path / "back.parquet")
    assert told["lapsing"] == len(rows) > 0
    assert (rows["expected_orders"] <= 0.5 * rows["usual_orders"]).all()
    assert rows["at_stake"].is_sorted(descending=True)
    sent = rows.filter(pl.col("offer_id").is_not_null())
    assert len(sent) == told["contacted"] > 0
    assert not sent["held_out"].any()
    assert (sent["saved"] - sent["cost"] - sent["expected_gain"]).abs().max() < 1e-9
    assert told["saved"] == pytest.approx(sent["saved"].sum())
    fewer = asked(place, "win-back", "--as-of", AS_OF, "--fallen-to", "20%")
    assert fewer["lapsing"] < told["lapsing"]


def test_a_win_back_and_a_plan_of_one_moment_do_not_contact_anybody_twice(place):
    moment = ("--as-of", "2024-10-10")
    first = asked(place, "plan", *moment, "--budget", "40", "--hold-out", "0")
    back = asked(place, "win-back", *moment, "--hold-out", "0")
    assert any(f"{first['plan']} (plan) was made for the same moment" in note for note in back["notes"])
    again = asked(place, "plan", *moment, "--budget", "40", "--hold-out", "0")
    assert again["plan"] == first["plan"], "the same question, the same plan"
    more = asked(place, "plan", *moment, "--budget", "80", "--hold-out", "0")
    assert any(f"{back['plan']} (win-back) was made for the same moment" in note for note in more["notes"])
    sent = {
        name: pl.read_parquet(place / "plans" / name / "decisions.parquet").drop_nulls("offer_id") for name in (back["plan"], more["plan"])
    }
    assert back["contacted"] > 0
    both = sent[back["plan"]].join(sent[more["plan"]], on="user_id")
    assert ((both["send_at_right"] - both["send_at"]).dt.total_days().abs() >= 7).all()


def test_without_known_effects_the_lapsing_are_named_all_the_same(plain):
    told = json.loads(ok("win-back", "--as-of", AS_OF, "--shop", plain, "--json").out)
    assert told["lapsing"] == len(told["customers"])
    assert told["lapsing"] > 0
    assert "plan" not in told
    assert "Nothing is known of what offers do" in told["notes"][0]


def test_an_audience_has_bids_days_and_hashes_only_where_asked(place, tmp_path):
    words = ("audience", "--channel", "advertisement", "--as-of", AS_OF, "--budget", "20", "--days", "10", "--hold-out", "20%")
    told = asked(place, *words, "--email", "mail", "--out", tmp_path / "people.csv")
    rows = pl.read_csv(tmp_path / "people.csv")
    assert told["customers"] == len(rows) > 20
    assert rows["value"].min() > 0
    held = rows.filter("hold_out")
    assert held["bid"].null_count() == len(held) == told["held_out"] > 0
    assert rows["bid"].sum() <= 20 + 1e-9, "one impression of everybody fits"
    days = pl.read_csv(tmp_path / "people-pacing.csv")
    assert days["budget"].to_list() == pytest.approx([2.0] * 10)
    assert date.fromisoformat(days["day"][0]) == date(2024, 10, 8)
    known = {hashlib.sha256(f"lady{i}@shop.example".encode()).hexdigest() for i in range(300)}
    assert set(rows["email_sha256"].drop_nulls()) <= known
    assert 0 < rows["email_sha256"].null_count() < len(rows)
    text = (tmp_path / "people.csv").read_text()
    assert "@" not in text
    assert "email_sha256" not in asked(place, *words)["audience"][0]
    fast = asked(place, *words, "--spent", "9", "--spent", "9")
    assert fast["pressure"] > told["pressure"]
    assert fast["left"] == 2
    assert len(fast["pacing"]) == 8
    assert fast["pacing"][0]["budget"] == 0.25
    gone = asked(place, *words, "--spent", "20")
    assert max(row["bid"] or 0 for row in gone["audience"]) == 0
    assert "is spent" in gone["notes"][0]


def test_what_an_audience_earned_is_measured_beside_those_held_out(place):
    words = ("audience", "--channel", "advertisement", "--as-of", AS_OF, "--budget", "20", "--days", "5", "--hold-out", "30%")
    told = asked(place, *words)
    assert asked(place, *words)["plan"] == told["plan"], "made again it is kept once"
    assert asked(place, *words, "--spent", "3")["plan"] is None, "bids that move are the same audience"
    found = asked(place, "result", told["plan"], "--horizon", "14")
    sides = next(row for row in found["measures"] if row["offer"] is None)
    assert sides["sent"] == told["customers"] - told["held_out"]
    assert sides["held_out"] == told["held_out"]
    assert any("impressions" in note for note in found["notes"])
    nobody = asked(place, *words[:-2], "--hold-out", "0%")
    assert nobody["plan"] is None


def test_audiences_that_cannot_be_are_refused(place):
    words = ("audience", "--as-of", AS_OF, "--shop", place)
    assert "no channel 'radio'" in refused(2, *words, "--channel", "radio", "--budget", "5")
    assert "without a budget" in refused(2, *words, "--channel", "email")
    assert "no column 'post'" in refused(3, *words, "--channel", "email", "--budget", "5", "--email", "post")
    assert "A day must be left" in refused(2, *words, "--channel", "email", "--budget", "5", "--days", "1", "--spent", "1")


def test_the_forecast_without_action_is_one_of_its_own(place, tmp_path):
    told = asked(place, "predict", "--without-action", "--as-of", AS_OF, "--out", tmp_path / "idle.parquet")
    rows = pl.read_parquet(tmp_path / "idle.parquet")
    assert told["customers"] == len(rows) == rows["user_id"].n_unique() > 200
    assert (rows["p_purchase_7d"] <= rows["p_purchase_28d"]).all()
    assert rows["running"].is_not_null().sum() == told["running"] > 60, "the round of the day before is at work"
    assert rows["running"].drop_nulls().str.contains(r"\(\d+ d\)").all()
    assert "may still be at work" in told["notes"][0]
    first, second = rows["user_id"][:2].to_list()
    some = asked(place, "predict", first, second, "--without-action", "--as-of", AS_OF)["forecasts"]
    assert [row["user_id"] for row in some] == [first, second]
    assert some[0]["p_purchase_28d"] == pytest.approx(rows["p_purchase_28d"][0])
    refused(2, "predict", "--without-action", "--hold-out", "10%", "--shop", place)


def test_where_nothing_was_ever_sent_the_usual_forecast_is_without_action(plain):
    told = asked(plain, "predict", "--without-action", "--as-of", AS_OF)
    assert "no offer that was shown" in told["notes"][0]
    assert all(row["p_purchase_28d"] == row["p_as_usual_28d"] and row["running"] is None for row in told["forecasts"])


def test_thompson_sampling_draws_by_what_plans_brought_and_policies_are_judged_on_it(place, tmp_path):
    pilot = ("plan", "--pilot", "--as-of", AS_OF, "--hold-out", "0%", "--budget", "9999")
    first = asked(place, *pilot, "--thompson", "--out", tmp_path / "pilot.csv")
    assert any("nothing is known yet" in note for note in first["notes"])
    rows = pl.read_csv(tmp_path / "pilot.csv")
    sent = rows.filter(pl.col("offer_id").is_not_null())["propensity"]
    assert 0.03 < sent.min() <= sent.max() < 0.6
    later = asked(place, "plan", "--pilot", "--thompson", "--budget", "9999", "--hold-out", "0%", "--out", tmp_path / "later.csv")
    assert any("decisions of" in note for note in later["notes"])
    assert pl.read_csv(tmp_path / "later.csv")["propensity"].n_unique() > 50, "it draws by each customer's context"
    told = asked(place, "result", first["plan"], "--policy", tmp_path / "pilot.csv", "--policy", tmp_path / "later.csv")
    table = pl.DataFrame(told["policies"])
    assert set(table["estimator"]) == {"ips", "snips", "dr"}
    assert {"pilot", "later", "nothing for anybody", "gift@email for everybody"} <= set(table["policy"])
    assert any("pilot: it agrees with the draws" in note for note in told["notes"]), "the draws themselves are no policy"
    assert (table["low"] <= table["value"]).all()
    assert (table["value"] <= table["high"]).all()
    assert "nobody is drawn by lot" in refused(2, "plan", "--thompson", "--as-of", AS_OF, "--shop", place)


def test_policies_that_cannot_be_judged_say_why(place, tmp_path):
    told = asked(place, "plan", "--as-of", AS_OF, "--budget", "30")
    made, users = told["plan"], pl.DataFrame(told["decisions"]).select("user_id")
    file = tmp_path / "other.csv"
    file.write_text(f"user_id,offer_id,channel\n{users['user_id'][0]},car,email\nnobody,gift,email\n")
    told = asked(place, "result", made, "--policy", file)
    assert "1 customers in the files are not in the plan" in told["notes"][0]
    everybody = users.with_columns(offer_id=pl.lit("car"), channel=pl.lit("email"))
    everybody.write_csv(file)
    assert "Nobody was sent what" in refused(4, "result", made, "--policy", file, "--shop", place)
    everybody.with_columns(offer_id=pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit("car"))).write_csv(file)
    assert any("could not have been drawn" in note for note in asked(place, "result", made, "--policy", file)["notes"])
    file.write_text("user_id,offer_id\nu0001,gift\n")
    assert "no column channel" in refused(3, "result", made, "--policy", file, "--shop", place)
    refused(6, "result", made, "--policy", tmp_path / "none.csv", "--shop", place)
    (tmp_path / "x.xls").write_text("")
    refused(3, "result", made, "--policy", tmp_path / "x.xls", "--shop", place)


def test_a_shop_that_never_sent_anything_learns_what_to_log_and_how_large_a_pilot_is(plain):
    said = refused(4, "plan", "--as-of", AS_OF, "--shop", plain)
    assert "Log an event of the kind 'shown'" in said
    assert "Draw " in said
    assert "equal arms of" in said
    assert "`whenbuy plan --pilot` draws it." in said
    told = asked(plain, "plan", "--pilot", "--as-of", AS_OF, "--budget", "9999")
    assert told["drawn_by_lot"] > 80


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        (TOML.replace("cost = 2.5", "cost = 250"), "it can hardly pay"),
        (TOML.replace("0.45", "0.0001").replace("advertisement]", "advertisement]\ncost = 0.05"), "no offer earns what it costs"),
        (TOML.replace('kind = "gift"', 'kind = "gift"\nends = 2024-02-01'), "Not sent, for they do not run on any day of the plan: gift"),
    ],
)  # fmt: skip
def test_offers_that_cannot_pay_or_have_ended_are_named(place, tmp_path, toml, words):
    told = _changed(place, tmp_path, toml)
    assert words in " ".join(asked(told, "plan", "--as-of", AS_OF)["notes"])


def test_a_zero_budget_sends_nothing_and_says_so(place):
    told = asked(place, "plan", "--as-of", AS_OF, "--budget", "0")
    assert told["contacted"] == 0
    assert "the budget is 0" in told["notes"][0]
    back = asked(place, "win-back", "--as-of", AS_OF, "--budget", "0")
    assert back["contacted"] == 0
    assert back["lapsing"] > 0


def test_an_unknown_time_zone_is_named(place, tmp_path):
    users = pl.read_csv(place.parent / "users.csv").with_columns(timezone=pl.lit("Mars/Olympus"))
    users.write_csv(tmp_path / "users.csv")
    told = _changed(place, tmp_path, TOML)
    ok("init", "--shop", told)
    said = refused(3, "plan", "--as-of", AS_OF, "--shop", told)
    assert "'Mars/Olympus', which is not known" in said


def test_offers_that_went_to_everybody_teach_nothing(place, tmp_path):
    """Every customer who was known was shown an offer on each of the days on which any was shown."""
    frame = pl.read_csv(place.parent / "till.csv", infer_schema=False)
    days = [f"2024-0{month}-20T00:00:00+0000" for month in (5, 6, 7)]
    users = frame["user_id"].unique().sort()
    shown = pl.concat(
        pl.DataFrame({"user_id": users}).with_columns(
            kind=pl.lit("shown"), time=pl.lit(day), known_at=pl.lit(day), offer_id=pl.lit("gift"), channel=pl.lit("email")
        )
        for day in days
    )
    kept = frame.filter(~pl.col("kind").is_in(["shown", "opened", "clicked", "redeemed"]))
    pl.concat([kept, shown], how="diagonal").sort("known_at", maintain_order=True).write_csv(tmp_path / "till.csv")
    (tmp_path / "users.csv").write_bytes((place.parent / "users.csv").read_bytes())
    told = _changed(place, tmp_path, TOML)
    ok("init", "--shop", told)
    said = refused(4, "plan", "--as-of", AS_OF, "--shop", told)
    assert "the offers went to everybody" in said
    assert "by lot" in said


def _changed(place, folder, toml):
    """Return a copy of a shop whose last sections are others."""
    import shutil

    shutil.copytree(place, folder / "shop")
    file = folder / "shop" / "whenbuy.toml"
    file.write_text(file.read_text().replace(TOML, toml).replace(str(place.parent), str(folder)))
    for name in ("users.csv", "till.csv"):
        if not (folder / name).exists():
            shutil.copy(place.parent / name, folder / name)
    return folder / "shop"
