"""What streams in and what is imported: the same rows, however messy, make the same log and the same forecasts."""

import random
from contextlib import closing
from datetime import timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.scenarios import small
from tests.scenarios.foreign import ok
from whenbuy.ingest.reception import Event
from whenbuy.ingest.simulate import simulate
from whenbuy.ingest.store import open_log
from whenbuy.pipeline.keeping.shop import Shop
from whenbuy.serve.bringing import bring
from whenbuy.serve.entrance import CleanEntrance, rules_of
from whenbuy.serve.sqlite_journal import SqliteJournal
from whenbuy.serve.verbs_ingest import reception_of, replay


def frame():
    """The log of a simulated shop as its till would write it: each row with an id, known when it happened."""
    found = simulate(60, 150, 5).history.log.frame().drop("orders", "text", "known_at", "event_id", "currency", strict=False)
    found = found.sort("time", maintain_order=True).with_row_index("event_id")
    return found.with_columns(pl.format("e{}", "event_id").alias("event_id"))


def messy(rows):
    """The rows of a till, among them double clicks, tests, purchases for nothing, refunds of what was bought, and a machine."""
    rng = random.Random(1)
    known = rows.to_dicts()
    dirt = []
    for row in known:
        if row["kind"] in ("view", "cart") and rng.random() < 0.1:
            dirt.append({**row, "time": row["time"] + timedelta(seconds=rng.choice((0, 1, 2, 3)))})
        if row["kind"] == "purchase" and rng.random() < 0.05:
            dirt.append({**row, "order_id": f"test-{len(dirt)}"})
        if row["kind"] == "purchase" and rng.random() < 0.05:
            dirt.append(
                {**row, "time": row["time"] + timedelta(hours=1), "amount": 0.0, "unit_price": 0.0, "order_id": f"free-{len(dirt)}"}
            )
        if row["kind"] == "purchase" and rng.random() < 0.1:
            dirt.append({**row, "kind": "refund", "time": row["time"] + timedelta(days=1)})
    last = rows["time"].max()
    dirt = [row for row in dirt if row["time"] <= last]
    view = next(row for row in reversed(known) if row["kind"] == "view")
    dirt += [{**view, "user_id": "u02", "time": last - timedelta(days=2) + timedelta(seconds=4 * i)} for i in range(700)]
    more = pl.DataFrame(dirt, schema=rows.schema).with_columns(event_id=pl.format("dirt {}", pl.int_range(len(dirt))))
    return pl.concat([rows, more]).sort("time", maintain_order=True)


OWN = """
currencies = { to = "EUR", rates = [{ currency = "USD", valid_from = "2000-01-01", worth = 0.9 }] }
rescale = { column = "quantity", factor = 0.001, above = 900 }
mixed_units = { action = "mend", least = 2 }
outliers = { column = "amount", action = "clip", by = "item_id", bound = 0.5, least = 4 }

[fill]
amount = { how = "last", by = "user_id" }
unit_price = { how = "median", every_days = 3 }
"""
"""Rules of a shop's own: what looks at a row, what learns from others, what fills gaps."""


def dirtier(rows):
    """The same with dollars, cents, thousandths and gaps."""
    rng = random.Random(2)
    found = rows.to_dicts()
    for row in found:
        if row["kind"] == "purchase":
            row["currency"] = rng.choice([None, None, "USD", "CHF"])
            for name, factor in (("unit_price", rng.choice([1, 1, 1, 100])), ("quantity", rng.choice([1, 1, 1000]))):
                row[name] = None if row[name] is None or rng.random() < 0.1 else row[name] * factor
            row["amount"] = None if rng.random() < 0.1 else row["amount"]
    return pl.DataFrame(found, schema={**rows.schema, "currency": pl.String})


def imported(folder, rows, own=""):
    folder.mkdir()
    rows.write_csv(folder / "till.csv")
    ok("init", folder / "till.csv", "--shop", folder / "shop", "--currency", "EUR")
    if own:
        settings = folder / "shop" / "whenbuy.toml"
        settings.write_text(settings.read_text().replace("[fill]\n", "").replace("[clean]\n", f"[clean]\n{own}"))
        ok("init", "--shop", folder / "shop")
    return folder / "shop"


def streamed(folder, first, later, own=""):
    """A shop that imported the first rows and was sent the later ones, each at the instant at which it happened."""
    shop = imported(folder, first, own)
    cleaning, reception = rules_of(Shop(shop)), reception_of(Shop(shop))
    entrance = CleanEntrance(cleaning.entry, open_log(shop / "log"))
    journal = SqliteJournal(shop / "live" / "journal.sqlite", entrance=entrance)
    for row in later.iter_rows(named=True):
        at = round(row["time"].timestamp() * 1e6)
        said = row | {"time": row["time"].isoformat()}
        event = reception.row(said, "http", at)
        assert isinstance(event, Event), event
        journal.take([event])
    counts = journal.counts()
    assert counts.whole
    assert counts.accepted + counts.dead == len(later)
    bring(journal, Shop(shop), cleaning)
    journal.close()
    return shop


def held(shop):
    """The rows of a log in an order of its own, ids without the name of their source."""
    rows = open_log(shop / "log").log.frame().with_columns(pl.col("event_id").str.split(":").list.last())
    return rows.select(sorted(rows.columns)).sort("event_id")


@pytest.fixture(scope="module", params=["", OWN], ids=["rules of every shop", "rules of its own"])
def two(request, tmp_path_factory):
    folder, own = tmp_path_factory.mktemp("ways"), request.param
    rows = dirtier(messy(frame())) if own else messy(frame())
    cut = rows["time"].max() - timedelta(days=10)
    first, later = rows.filter(pl.col("time") < cut), rows.filter(pl.col("time") >= cut)
    return imported(folder / "one", rows, own), streamed(folder / "other", first, later, own), len(later)


def test_the_same_rows_make_the_same_log(two):
    one, other, later = two
    assert later > 100
    assert {"user_id", "kind", "time", "known_at", "orders", "amount", "order_id", "item_id", "refund_of"} <= set(held(one).columns)
    assert_frame_equal(held(one), held(other), categorical_as_str=True)
    assert held(one)["refund_of"].drop_nulls().len() > 0
    assert (held(one)["kind"] == "bot").sum() == 1


def test_the_same_rows_make_the_same_forecasts(two, tmp_path):
    history, found = open_log(two[0] / "log"), []
    as_of = history.clock.show(int(history.log.known_at.max()))[:10]
    for shop in two[:2]:
        with small.quick():
            ok("fit", "--shop", shop, "--as-of", as_of)
        out = tmp_path / f"{len(found)}.parquet"
        ok("predict", "--shop", shop, "--as-of", as_of, "--out", out)
        found.append(pl.read_parquet(out).sort("user_id"))
    assert_frame_equal(*found, check_exact=True)


# What cleaning takes out of an import and of what streams in alike: docs/live.md says the same.
DIRT = {
    "double_clicks": [("view", 0, {"item_id": "i"}), ("view", 1, {"item_id": "i"})],
    "impossible": [("purchase", 0, {"amount": 0.0, "unit_price": 0.0, "quantity": 1}), ("view", 5, {"item_id": "i"})],
    "test_orders": [("purchase", 0, {"order_id": "test-1", "amount": 5.0}), ("view", 5, {"item_id": "i"})],
}


def with_more(sent):
    """The rows, and behind them some more of one customer: kind, second, values."""
    rows = frame()
    at = rows["time"].max() + timedelta(hours=1)
    more = pl.DataFrame(
        [
            {"event_id": f"x{n}", "user_id": "u01", "kind": kind, "time": at + timedelta(seconds=second), **values}
            for n, (kind, second, values) in enumerate(sent)
        ]
    ).with_columns(pl.col("time").cast(rows.schema["time"]))
    return rows, more, pl.concat([rows, more], how="diagonal_relaxed")


@pytest.mark.parametrize("rule", DIRT)
def test_what_an_import_takes_out_is_taken_out_where_it_streams_in(tmp_path, rule):
    rows, more, whole = with_more(DIRT[rule])
    shop = streamed(tmp_path / "other", rows, more)
    clean, live = (found.filter(pl.col("event_id").str.starts_with("x")) for found in (held(imported(tmp_path / "one", whole)), held(shop)))
    assert live["event_id"].to_list() == clean["event_id"].to_list() == ["x1" if rule != "double_clicks" else "x0"]
    with closing(SqliteJournal(shop / "live" / "journal.sqlite")) as journal:
        (aside,) = journal.dead()
    assert (aside.status, "Such events are taken out of an import too" in aside.reason) == ("cleaned", True)


def test_what_was_taken_out_comes_back_when_the_rule_goes(tmp_path):
    rows, more, _ = with_more(DIRT["test_orders"])
    shop = streamed(tmp_path / "other", rows, more)
    at = round(more["time"].max().timestamp() * 1e6) + 1
    assert replay(shop, say=str, now=lambda: at).facts["dead"] == 1
    assert "x0" not in held(shop)["event_id"].to_list()
    settings = shop / "whenbuy.toml"
    settings.write_text(settings.read_text().replace("[clean]\n", "[clean]\ntest_orders = false\n"))
    assert replay(shop, say=str, now=lambda: at).facts["accepted"] == 1
    assert "x0" in held(shop)["event_id"].to_list()


def test_a_purchase_with_a_negative_amount_is_a_refund_either_way(tmp_path):
    rows, more, whole = with_more([("purchase", 0, {"amount": -5.0, "item_id": "i1"})])
    found = [held(imported(tmp_path / "one", whole)), held(streamed(tmp_path / "other", rows, more))]
    for log in found:
        assert log.filter(pl.col("event_id") == "x0").select("kind", "amount").row(0) == ("refund", 5.0)
