"""The pictures of the data: right in their numbers, whatever the log lacks."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from whenbuy.core.arrays import DAY, MISSING
from whenbuy.core.clock import Clock
from whenbuy.core.history import History
from whenbuy.core.log import ORDERS, Column, Dictionary, EventLog
from whenbuy.core.profile import Profile
from whenbuy.pipeline.telling import habits, pictures

HOUR = DAY // 24
MONDAY = 17_532 * DAY  # 2018-01-01


def made(
    times: list[list[int]], kinds: list[list[str]] | None = None, zone: str = "UTC", end: int = MONDAY + 70 * DAY, **columns: Column
) -> History:
    """Return a log of the customers a, b, …, each with these instants (and kinds: purchases by default)."""
    flat = np.array([at for user in times for at in user], np.int64)
    said = [kind for user in kinds for kind in user] if kinds else ["purchase"] * len(flat)
    names = tuple(dict.fromkeys(said))
    offsets = np.concatenate([[0], np.cumsum([len(user) for user in times])]).astype(np.int64)
    users = Dictionary.of([chr(ord("a") + i) for i in range(len(times))])
    kind = np.array([names.index(each) for each in said], np.uint8)
    return History(EventLog(users, names, offsets, flat, flat, kind, columns, end), Clock(zone))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[pl.DataFrame]]:
    """Keep the tables that would be drawn."""
    found: dict[str, list[pl.DataFrame]] = {}
    for name in ("habit", "monthly", "spread", "activity"):
        monkeypatch.setattr(habits.records, name, lambda frame, *rest, name=name: found.setdefault(name, []).append(frame))
    monkeypatch.setattr(pictures.look, "svg", lambda picture: "")
    return found


def test_orders_are_counted_in_the_shops_own_hours_and_days(drawn: dict[str, list[pl.DataFrame]]) -> None:
    history = made(
        [[MONDAY + 10 * HOUR, MONDAY + 10 * HOUR + 1, MONDAY + 23 * HOUR]], zone="Europe/Berlin"
    )  # 11 h, 11 h, midnight of Tuesday
    hour, weekday, month = habits.rhythm(history)
    assert (hour["title"], weekday["title"], month["title"]) == ("By hour", "By weekday", "By month")
    of_hour, of_day = drawn["habit"]
    assert of_hour["orders"][11] == pytest.approx(2 / 3)
    assert of_hour["orders"][0] == pytest.approx(1 / 3)
    assert of_day["orders"].to_list() == pytest.approx([2 / 3, 1 / 3, 0, 0, 0, 0, 0])
    assert "Mon" in weekday["note"]


def test_lines_of_one_order_count_once_and_visits_stand_beside(drawn: dict[str, list[pl.DataFrame]]) -> None:
    at = [MONDAY + HOUR, MONDAY + HOUR, MONDAY + 25 * HOUR, MONDAY + 50 * HOUR]
    lines = Column(np.array([1, 0, 1, 1], np.int64))
    history = made([at], [["purchase", "purchase", "purchase", "view"]], **{ORDERS: lines})
    habits.rhythm(history)
    assert drawn["habit"][1]["orders"].to_list()[:2] == [0.5, 0.5]
    assert drawn["habit"][1]["visits"][2] == 1.0


def test_a_log_of_days_has_no_hours(drawn: dict[str, list[pl.DataFrame]]) -> None:
    assert [part["title"] for part in habits.rhythm(made([[MONDAY, MONDAY + DAY]]))] == ["By weekday", "By month"]
    at_midnight = made([[MONDAY - HOUR]], zone="Europe/Berlin")
    assert [part["title"] for part in habits.rhythm(at_midnight)] == ["By weekday", "By month"]


def test_a_log_without_orders_shows_its_events(drawn: dict[str, list[pl.DataFrame]]) -> None:
    found = habits.rhythm(made([[MONDAY + HOUR]], [["view"]]))
    assert "events" in found[0]["note"]
    assert "visits" not in drawn["habit"][0].columns


def test_a_month_in_part_is_divided_by_its_part(drawn: dict[str, list[pl.DataFrame]]) -> None:
    times = [MONDAY - 5 * DAY, MONDAY - 2 * DAY, *(MONDAY + i * DAY for i in range(31)), MONDAY + 32 * DAY]
    habits.rhythm(made([times], end=MONDAY + 33 * DAY))
    rates = drawn["monthly"][0]
    assert [day.isoformat() for day in rates["day"]] == ["2017-12-01", "2018-01-01", "2018-02-01"]
    assert rates["rate"].to_list() == pytest.approx([2 / 5, 1.0, 1 / 2])


def test_gaps_amounts_and_orders_are_spread(drawn: dict[str, list[pl.DataFrame]]) -> None:
    a, b = [MONDAY, MONDAY, MONDAY + 3 * DAY, MONDAY + 3 * DAY + HOUR], [MONDAY + DAY]
    values = np.array([100, 250, 400, MISSING, 700], np.int64)
    history = made([a, b], **{ORDERS: Column(np.array([1, 0, 1, 1, 1], np.int64)), "amount": Column(values, None, 100)})
    gaps, amounts, orders = habits.spreads(history, "EUR")
    assert "Half are at most 3 d" in gaps["note"]
    assert "€4.00" in amounts["note"]  # 3.50, 4.00 and 7.00: the order of which a line has no amount is left out
    assert "Half are at most 2" in orders["note"]
    assert [frame[frame.columns[-1]].sum() for frame in drawn["spread"]] == [1, 3, 2]


@pytest.mark.parametrize("values", [[1.0], [0.0, 0.0], [5.0] * 100, list(range(3_000)), [0.001, 0.002], [1e9, 2e9], [1.0] * 99 + [1e6]])
@pytest.mark.parametrize("whole", [True, False])
def test_every_bucket_is_round_and_nothing_inside_is_lost(values: list[float], whole: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[pl.DataFrame] = []
    monkeypatch.setattr(habits.records, "spread", lambda frame, *rest: kept.append(frame))
    monkeypatch.setattr(pictures.look, "svg", lambda picture: "")
    array = np.floor(values) if whole else np.array(values)
    habits._spread("t", "axis", "things", np.asarray(array, float), str, whole=whole)
    (frame,) = kept
    assert 1 <= frame.height <= 60
    assert (frame["high"] - frame["low"]).round(9).n_unique() <= 2
    assert frame["things"].sum() >= 0.97 * len(values)
    assert frame["low"][0] <= array.min()


def test_a_log_with_nothing_to_spread() -> None:
    assert habits.spreads(made([[MONDAY]], [["view"]]), "") == []
    empty = made([[]])
    assert (habits.spreads(empty, ""), habits.rhythm(empty), habits.filled(empty)) == ([], [], [])


def test_a_column_is_held_against_the_kinds_that_have_it() -> None:
    names = Column(np.array([-1, 0, -1, -1], np.int32), Dictionary.of(["tea"]))
    amount = Column(np.array([MISSING, 100, 200, MISSING], np.int64), None, 100)
    profile = Profile("user", pl.DataFrame({"id": ["a", "b"], "<b>": ["x", None]}), timeless=True)
    made_ = made([[MONDAY, MONDAY + 1, MONDAY + 2, MONDAY + 3]], [["view", "purchase", "purchase", "view"]], category=names, amount=amount)
    history = History(made_.log, users=profile)
    found = {one.name.short: (one.where, one.known, one.rows, one.kinds) for one in habits.filled(history)}
    assert found == {
        "category": ("events", 1, 2, "purchase"), "<b>": ("user profile", 1, 2, ""), "amount": ("events", 2, 2, "purchase"),
    }  # fmt: skip
    assert [one.missing for one in habits.filled(history)] == [0.5, 0.5, 0.0]


def test_rows_of_nobody_are_missing_a_user() -> None:
    times = np.array([MONDAY, MONDAY + 1], np.int64)
    log = EventLog(Dictionary.of(["a"]), ("purchase",), np.array([0, 1]), times, times, np.zeros(2, np.uint8), {}, MONDAY + DAY)
    (found,) = habits.filled(History(log))
    assert (found.name.short, found.known, found.rows) == ("user_id", 1, 2)
    habits_: list[dict[str, Any]] = habits.spreads(History(log), "")
    assert [part["title"] for part in habits_] == ["Orders per customer"]
