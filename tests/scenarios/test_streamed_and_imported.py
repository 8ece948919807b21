"""What streams in and what is imported: the same rows make the same log and the same forecasts, but for what cleaning does to an import."""

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
from whenbuy.serve.compaction import compact
from whenbuy.serve.sqlite_journal import SqliteJournal
from whenbuy.serve.verbs_ingest import reception_of


def frame():
    """The log of a simulated shop as its till would write it: each row with an id, known when it happened."""
    found = simulate(60, 150, 5).history.log.frame().drop("orders", "text", "known_at", "event_id", "currency", strict=False)
    found = found.sort("time", maintain_order=True).with_row_index("event_id")
    return found.with_columns(pl.format("e{}", "event_id").alias("event_id"))


def imported(folder, rows):
    folder.mkdir()
    rows.write_csv(folder / "till.csv")
    ok("init", folder / "till.csv", "--shop", folder / "shop", "--currency", "EUR")
    return folder / "shop"


def streamed(folder, first, later):
    """A shop that imported the first rows and was sent the later ones, each at the instant at which it happened."""
    shop = imported(folder, first)
    reception = reception_of(Shop(shop))
    journal = SqliteJournal(shop / "live" / "journal.sqlite")
    for row in later.iter_rows(named=True):
        at = round(row["time"].timestamp() * 1e6)
        said = {name: cell for name, cell in row.items() if cell is not None} | {"time": row["time"].isoformat()}
        event = reception.row(said, "http", at)
        assert isinstance(event, Event), event
        journal.take([event])
    assert journal.counts().accepted == len(later)
    compact(journal, shop / "log")
    journal.close()
    return shop


def held(shop):
    """The rows of a log in an order of its own, ids without the name of their source."""
    rows = open_log(shop / "log").log.frame().with_columns(pl.col("event_id").str.split(":").list.last())
    return rows.select(sorted(rows.columns)).sort("event_id")


def untouched(rows):
    """The rows of which an import takes none out and changes none."""
    near = pl.col("time").diff().over("user_id", "kind", "item_id") < timedelta(seconds=3)
    return rows.filter(~near.fill_null(False) & (pl.col("kind") != "refund"))


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ways")
    rows = untouched(frame())
    cut = rows["time"].max() - timedelta(days=10)
    later = rows.filter(pl.col("time") >= cut)
    return imported(folder / "one", rows), streamed(folder / "other", rows.filter(pl.col("time") < cut), later), len(later)


def test_the_same_rows_make_the_same_log(two):
    one, other, later = two
    assert later > 100
    common = [name for name in held(one).columns if name in held(other).columns and name != "refund_of"]
    assert {"user_id", "kind", "time", "known_at", "orders", "amount", "order_id", "item_id"} <= set(common)
    assert_frame_equal(held(one).select(common), held(other).select(common), categorical_as_str=True)


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


# What cleaning does to an import and not to what streams in: docs/live.md says the same.
DIRT = {
    "double_clicks": [("view", 0, {"item_id": "i"}), ("view", 1, {"item_id": "i"})],
    "impossible": [("purchase", 0, {"amount": 0.0, "unit_price": 0.0, "quantity": 1})],
    "test_orders": [("purchase", 0, {"order_id": "test-1", "amount": 5.0})],
}


def with_more(sent):
    """The rows, and behind them some more of one customer: kind, second, values."""
    rows = untouched(frame())
    at = rows["time"].max() + timedelta(hours=1)
    more = pl.DataFrame(
        [
            {"event_id": f"x{n}", "user_id": "u01", "kind": kind, "time": at + timedelta(seconds=second), **values}
            for n, (kind, second, values) in enumerate(sent)
        ]
    ).with_columns(pl.col("time").cast(rows.schema["time"]))
    return rows, more, pl.concat([rows, more], how="diagonal_relaxed")


@pytest.mark.parametrize("rule", DIRT)
def test_what_an_import_takes_out_stays_where_it_streams_in(two, tmp_path, rule):
    rows, more, whole = with_more(DIRT[rule])
    clean, live = held(imported(tmp_path / "one", whole)), held(streamed(tmp_path / "other", rows, more))
    assert len(live.filter(pl.col("event_id").str.starts_with("x"))) == len(more)
    assert len(clean.filter(pl.col("event_id").str.starts_with("x"))) == len(more) - 1


def test_a_purchase_with_a_negative_amount_is_a_refund_either_way(tmp_path):
    rows, more, whole = with_more([("purchase", 0, {"amount": -5.0, "item_id": "i1"})])
    found = [held(imported(tmp_path / "one", whole)), held(streamed(tmp_path / "other", rows, more))]
    for log in found:
        assert log.filter(pl.col("event_id") == "x0").select("kind", "amount").row(0) == ("refund", 5.0)
