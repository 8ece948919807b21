"""Rows of a shop's quarantine go back into its log, and rows that reading rejected are read again by mended settings."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from whenbuy.core.errors import EmptyError, UsageError
from whenbuy.ingest.store import open_log, write_log
from whenbuy.pipeline.verbs.init import init, read_again
from whenbuy.pipeline.verbs.replay import replay

NOW = datetime(2024, 6, 1, tzinfo=UTC)


def quiet(_: str) -> None: ...


ROWS = [
    "e1,u1,2024-01-05 10:00:00,purchase,10,o1",
    "e1,u1,2024-01-05 10:00:00,purchase,10,o1",
    "e2,test-7,2024-01-06 10:00:00,purchase,12,o2",
    "e3,u2,2024-01-07 10:00:00,purchase,14,o3",
    "e4,u2,2024-01-08 10:00:00,purchase,zwölf,o4",
    "e5,u3,not yet,purchase,9,o5",
    "e6,u3,2024-01-09 10:00:00,purchase,9,o6,extra",
]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "e.csv").write_text("event_id,user_id,time,event,amount,order_id\n" + "\n".join(ROWS) + "\n", encoding="utf-8")
    init(tmp_path / "shop", [tmp_path / "e.csv"], columns={}, kinds={}, say=quiet, now=NOW)
    return tmp_path / "shop"


def counts(shop: Path) -> dict[str, int]:
    told: dict[str, int] = json.loads((shop / "quarantine" / "found.json").read_text("utf-8"))["counts"]
    return told


def users(shop: Path) -> list[str]:
    return open_log(shop / "log", verify=True).log.frame().sort("time")["user_id"].to_list()


def test_a_rule_is_put_back_and_the_rest_can_follow(shop: Path) -> None:
    assert users(shop) == ["u1", "u2"]
    assert (counts(shop)["removed"], counts(shop)["rejected"]) == (2, 3)
    result = replay(shop, "test_orders", say=quiet, now=NOW)
    assert users(shop) == ["u1", "test-7", "u2"]
    assert result.facts == {**counts(shop), "removed": 1, "events": 3}
    replay(shop, reason="same event_id", say=quiet, now=NOW)
    assert users(shop) == ["u1", "u1", "test-7", "u2"]
    assert counts(shop) == {"rows": 7, "events": 4, "rejected": 3, "removed": 0, "changed": 0, "added": 0}
    with pytest.raises(UsageError, match="no row of any rule"):
        replay(shop, say=quiet, now=NOW)
    read_again(shop, quiet, NOW)  # the next import cleans as the settings say
    assert users(shop) == ["u1", "u2"]


def test_what_the_quarantine_does_not_hold_is_refused(shop: Path) -> None:
    before = open_log(shop / "log").log.frame()
    with pytest.raises(UsageError, match=r"no row of the rule 'bots'.*test_orders \(1\).*reading \(3\)"):
        replay(shop, "bots", say=quiet)
    with pytest.raises(UsageError, match="with the reason 'because'"):
        replay(shop, "duplicates", "because", say=quiet)
    assert_frame_equal(open_log(shop / "log").log.frame(), before)
    write_log(open_log(shop / "log").cut(int(datetime(2024, 1, 6, tzinfo=UTC).timestamp() * 1e6)), shop / "log")
    with pytest.raises(UsageError, match="has grown or changed"):
        replay(shop, say=quiet)


def test_rejected_rows_are_read_again_when_the_settings_fit_them(shop: Path) -> None:
    with pytest.raises(EmptyError, match="None of the 3 rejected rows"):
        replay(shop, "reading", say=quiet, now=NOW)
    assert pl.read_parquet(shop / "quarantine" / "reading.parquet")["reason"].to_list() == [
        "amount is not a number", "time is not a time", "7 fields instead of 6",
    ]  # fmt: skip
    settings = (shop / "whenbuy.toml").read_text("utf-8")
    (shop / "whenbuy.toml").write_text(settings.replace('amount = "amount"', 'price_text = "amount"'), encoding="utf-8")
    replay(shop, "reading", say=quiet, now=NOW)
    assert users(shop) == ["u1", "u2", "u2"]
    left = pl.read_parquet(shop / "quarantine" / "reading.parquet")
    assert left["reason"].to_list() == ["time is not a time", "7 fields instead of 6"]
    assert counts(shop) == {"rows": 7, "events": 3, "rejected": 2, "removed": 2, "changed": 0, "added": 0}
    replay(shop, "test_orders", say=quiet, now=NOW)  # what was cleaned anew can be put back as well
    assert users(shop) == ["u1", "test-7", "u2", "u2"]


def test_rows_from_the_future_are_read_when_their_day_has_come(tmp_path: Path) -> None:
    (tmp_path / "e.jsonl").write_text(
        '{"user_id": "a", "time": "2024-05-01T10:00:00", "event": "purchase"}\n'
        '{"user_id": "b", "time": "2024-07-01T10:00:00", "event": "view"}\n'
        "{broken\n"
    )
    init(tmp_path / "shop", [tmp_path / "e.jsonl"], columns={}, kinds={}, say=quiet, now=NOW)
    assert users(tmp_path / "shop") == ["a"]
    replay(tmp_path / "shop", "reading", "in the future", say=quiet, now=datetime(2024, 8, 1, tzinfo=UTC))
    assert users(tmp_path / "shop") == ["a", "b"]
    assert counts(tmp_path / "shop")["rejected"] == 1
