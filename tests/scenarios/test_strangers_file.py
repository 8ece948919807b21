"""A stranger's file, from the command line to forecasts: nothing is edited by hand."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.scenarios.exports import CHINESE, FRENCH, GERMAN, SPANISH, Manner, export, ga4
from tests.scenarios.foreign import ok, refused, typed
from whenbuy.config import Settings
from whenbuy.core.log import EventLog
from whenbuy.ingest.store import open_log

MANNERS = {"german": GERMAN, "french": FRENCH, "spanish": SPANISH, "chinese": CHINESE}
ROWS = 1_500
QUICK = ("bg-nbd",)
"""The file is what differs between languages, not the models."""


def checked(*words: object) -> tuple[dict, dict[str, str]]:
    """Return what ``check`` says as JSON, and its remarks by topic."""
    found = json.loads(ok("check", *words, "--json").out)
    said: dict[str, str] = {}
    for remark in found["remarks"]:
        said[remark["topic"]] = said.get(remark["topic"], "") + remark["words"] + "\n"
    return found, said


def forecasts(shop: Path, *models: str) -> pl.DataFrame:
    """Fit and forecast everybody; all candidates are tried where none is named."""
    ok("fit", "--shop", shop, *(word for name in models for word in ("--models", name)))
    return pl.read_csv(ok("predict", "--shop", shop).out.encode(), schema_overrides={"user_id": pl.String})


def money(log: EventLog, kind: str) -> float:
    amounts = log.columns["amount"].numbers()[log.kind == log.code(kind)]
    return float(np.nansum(amounts))


def agrees(log: EventLog, lines: pl.DataFrame) -> None:
    """The log holds every line of the export but the ones sent twice and those in the future, with the export's money."""
    lines = lines.filter(pl.col("minute") < 10_000_000).unique(maintain_order=True)
    paid = lines.select(amount=pl.col("quantity") * pl.col("price"), back=pl.col("quantity") < 0)
    assert log.count("purchase") == len(paid.filter(~pl.col("back")))
    assert log.count("refund") == len(paid.filter("back"))
    assert money(log, "purchase") == pytest.approx(paid.filter(~pl.col("back"))["amount"].sum(), abs=1e-6)
    assert money(log, "refund") == pytest.approx(-paid.filter("back")["amount"].sum(), abs=1e-6)
    assert len(log) - log.offsets[-1] == len(lines.filter(pl.col("customer") == 0))
    assert len(log.users) == lines.filter(pl.col("customer") > 0)["customer"].n_unique()
    first = pl.datetime(2022, 1, 3) + pl.duration(minutes=pl.lit(int(lines["minute"].min())))
    assert log.frame()["time"].min() == pl.select(first.dt.replace_time_zone("UTC")).item()


def said_what_was_done(said: dict[str, str], lines: pl.DataFrame, manner: Manner) -> None:
    """Every oddity of the file is named, with its count and what became of it."""
    back, nobody = (lines["quantity"] < 0).sum(), (lines["customer"] == 0).sum()
    assert ("decimal comma" in said["writing"]) == (manner is not CHINESE)
    assert ("semicolons between fields, day before month" in said["writing"]) == (manner is not CHINESE)
    assert f"{back:,} refunds" in said["refunds"]
    assert f"begin with {manner.cancelled!r}" in said["refunds"]
    assert f"{nobody - _ahead(lines):,} rows" in said["no customer"]
    assert "count for items and the shop" in said["no customer"]
    assert "2 rows were set aside: time is in the future" in said["future dates"]
    assert "3 rows were taken out into quarantine" in said["duplicates"]
    assert "night" in said["time zone"]


def _ahead(lines: pl.DataFrame) -> int:
    return len(lines.filter((pl.col("minute") > 10_000_000) & (pl.col("customer") == 0)))


@pytest.mark.parametrize("language", MANNERS)
def test_a_retail_export_goes_to_forecasts_without_a_word(language: str, tmp_path: Path) -> None:
    manner, file, shop = MANNERS[language], tmp_path / "orders.csv", tmp_path / "shop"
    lines = export(file, ROWS, seed=1, manner=manner)
    found, said = checked(file)
    assert found["usable"]
    assert {one["role"] for one in found["columns"]} >= {"user_id", "time", "order_id", "unit_price", "quantity"}
    said_what_was_done(said, lines, manner)
    assert {path.name for path in tmp_path.iterdir()} == {"orders.csv"}  # a checkup writes nothing
    ok("init", file, "--shop", shop)
    agrees(open_log(shop / "log").log, lines)
    answers = forecasts(shop, *(() if manner is GERMAN else QUICK))
    assert len(answers) == lines.filter((pl.col("customer") > 0) & (pl.col("minute") < 10_000_000))["customer"].n_unique()
    assert answers["p_purchase_28d"].is_between(0, 1).all()
    assert (answers["amount_mean"] > 0).all()


def test_what_check_proposes_makes_the_same_shop(tmp_path: Path) -> None:
    file, shop = tmp_path / "orders.csv", tmp_path / "laden"
    lines = export(file, ROWS, seed=2, manner=FRENCH)
    said = ok("check", file, "--fix", "--shop", shop)
    assert f"Written: {shop / 'whenbuy.toml'}" in said.err
    settings = Settings.read(shop)
    assert (settings.source.separator, settings.source.decimal, settings.source.day_first) == (";", ",", True)
    ok("init", "--shop", shop)
    agrees(open_log(shop / "log").log, lines)
    before = (shop / "whenbuy.toml").read_bytes()
    assert "already says all that" in ok("check", "--fix", "--shop", shop).err
    assert (shop / "whenbuy.toml").read_bytes() == before
    assert len(forecasts(shop, *QUICK)) > 20


def leaky(path: Path, seed: int) -> pl.DataFrame:
    """Write an export with the number of orders of each customer's whole history beside every line."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(150), rng.integers(3, 12, 150))
    day = rng.uniform(0, 250, len(user))
    frame = pl.DataFrame({"customer": user, "day": day, "amount": np.round(rng.gamma(3, 10, len(user)), 2)}).sort("day")
    when = (pl.lit("2022-01-01 08:00:00").str.to_datetime() + pl.duration(minutes=(pl.col("day") * 1440).cast(pl.Int64))).dt.to_string()
    frame = frame.select("customer", time=when, amount="amount", orders_per_customer=pl.len().over("customer"))
    frame.write_csv(path)
    return frame


def test_fix_leaves_out_a_column_that_knows_the_future_and_keeps_the_old_settings(tmp_path: Path) -> None:
    file, shop = tmp_path / "orders.csv", tmp_path / "shop"
    leaky(file, 3)
    ok("init", file, "--shop", shop)
    assert "orders_per_customer" in open_log(shop / "log").log.columns
    old = (shop / "whenbuy.toml").read_bytes()
    found, _ = checked("--shop", shop)
    assert [(leak["column"], leak["certainty"]) for leak in found["leaks"]] == [("orders_per_customer", "sure")]
    assert (shop / "whenbuy.toml").read_bytes() == old
    said = ok("check", "--fix", "--shop", shop)
    assert "kept as whenbuy.1.toml" in said.err
    assert (shop / "whenbuy.1.toml").read_bytes() == old
    assert Settings.read(shop).columns["orders_per_customer"] == ""
    ok("init", "--shop", shop)
    assert "orders_per_customer" not in open_log(shop / "log").log.columns
    assert checked("--shop", shop)[0]["leaks"] == []


def test_a_log_of_web_events(tmp_path: Path) -> None:
    bought = ga4(tmp_path / "events.jsonl", 60, 1)
    found, said = checked(tmp_path / "events.jsonl")
    roles = {one["name"]: one["role"] for one in found["columns"]}
    assert roles["user_pseudo_id"] == "user_id"
    assert roles["event_name"] == "kind"
    assert "USD" in said["currencies"]
    ok("init", tmp_path / "events.jsonl", "--shop", tmp_path / "shop")
    assert open_log(tmp_path / "shop" / "log").log.count("purchase") == bought
    assert forecasts(tmp_path / "shop", *QUICK)["p_purchase_7d"].is_between(0, 1).all()


def test_columns_and_kinds_of_the_settings_steer_an_import(tmp_path: Path) -> None:
    lines = ["wer;wann;was;Betrag;Wert"] + [f"k{i % 9};2023-01-{1 + i % 28:02d};{'A' if i % 3 else 'B'};1,50;{i},25" for i in range(90)]
    (tmp_path / "x.csv").write_text("\n".join(lines))
    toml = '[source]\npaths = ["../x.csv"]\n[columns]\nuser_id = "wer"\ntime = "wann"\nkind = "was"\namount = "Wert"\nBetrag = ""\n'
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "whenbuy.toml").write_text(toml + '[kinds]\nA = "purchase"\nB = "view"\n')
    ok("init", "--shop", tmp_path / "shop")
    log = open_log(tmp_path / "shop" / "log").log
    assert (log.count("purchase"), log.count("view")) == (60, 30)
    assert "Betrag" not in log.columns
    assert log.columns["amount"].numbers().max() == 89.25


def test_a_shop_whose_sources_have_gone_is_examined_by_its_log(tmp_path: Path) -> None:
    leaky(tmp_path / "orders.csv", 4)
    ok("init", tmp_path / "orders.csv", "--shop", tmp_path / "shop")
    (tmp_path / "orders.csv").unlink()
    said = ok("check", "--shop", tmp_path / "shop")
    assert "stored log" in said.err
    assert pl.read_csv(said.out.encode()).filter(pl.col("part") == "leak")["name"].to_list() == ["orders_per_customer"]


def test_exit_codes(tmp_path: Path) -> None:
    (tmp_path / "views.csv").write_text("user_id,time,event\na,2023-01-01 10:00,view\nb,2023-01-09 11:00,view\n")
    said = typed("check", tmp_path / "views.csv")
    assert said.code == 4  # it can be read, and nothing can be answered
    assert "Not possible" in said.err
    (tmp_path / "letter.csv").write_text("a,b\n1,2\n")
    refused(3, "check", tmp_path / "letter.csv")
    refused(6, "check", tmp_path / "nosuch.csv")
    refused(6, "check", "--shop", tmp_path / "nosuch")


@pytest.mark.nightly
def test_half_a_million_lines(tmp_path: Path) -> None:
    lines = export(tmp_path / "orders.csv", 540_000, seed=1, manner=GERMAN)
    assert len(lines) >= 540_000
    _, said = checked(tmp_path / "orders.csv")
    said_what_was_done(said, lines, GERMAN)
    ok("init", tmp_path / "orders.csv", "--shop", tmp_path / "shop")
    agrees(open_log(tmp_path / "shop" / "log").log, lines)
    assert forecasts(tmp_path / "shop")["p_purchase_28d"].is_between(0, 1).all()
