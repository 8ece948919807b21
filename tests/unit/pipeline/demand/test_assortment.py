"""Items that gain and lose, and what could go."""

import datetime as dt

import pytest

from whenbuy.core.errors import ColumnError, NotEnoughDataError, UsageError
from whenbuy.ingest.read import read
from whenbuy.ingest.simulate import simulate
from whenbuy.pipeline.demand.assortment import assortment

START = dt.date(2024, 1, 1)


def log(path, sold):
    """A log from (item, category, first day, last day, purchases a day)."""
    rows, user = [], 0
    for item, category, first, last, each in sold:
        for day in range(first, last):
            for _ in range(each):
                user += 1
                rows.append(f"u{user % 200},{START + dt.timedelta(days=day)},{item},{category}")
    path.write_text("user_id,time,item_id,category\n" + "\n".join(rows))
    return read(
        path, columns={"user_id": "user_id", "time": "time", "item_id": "item_id", "category": "category"}, kinds={"*": "purchase"}
    ).history


def test_verdicts(tmp_path):
    sold = [
        ("steady", "a", 0, 140, 6), ("other", "a", 0, 140, 6), ("rises", "a", 0, 84, 1), ("rises", "a", 84, 140, 6),
        ("falls", "b", 0, 84, 6), ("falls", "b", 84, 140, 1), ("new", "b", 100, 140, 2), ("gone", "b", 0, 80, 2), ("rare", "b", 10, 11, 1),
    ]  # fmt: skip
    found = assortment(log(tmp_path / "log.csv", sold))
    verdict = dict(found.items.select("item_id", "verdict").iter_rows())
    assert verdict == {"steady": "steady", "other": "steady", "rises": "gains", "falls": "loses", "new": "new", "gone": "gone"}
    kinds = dict(found.categories.select("category", "verdict").iter_rows())
    assert kinds["b"] == "loses"
    assert (found.items["low"] <= found.items["change"]).all()


def test_what_few_want_alone_could_go(tmp_path):
    sold = [(f"big{i}", "a", 0, 140, 4) for i in range(6)] + [("small", "a", 2, 140, 1), ("least", "a", 30, 140, 1)]
    items = assortment(log(tmp_path / "log.csv", sold)).items
    assert items.filter(advice="drop")["only_this"].max() <= 0.2
    assert set(items.filter(advice="drop")["item_id"]) <= {"small", "least"}


def test_a_shop_in_which_nothing_changes_has_hardly_a_winner():
    found = assortment(simulate(600, 200, 4).history)
    assert (found.items["verdict"] != "steady").mean() < 0.1


def test_short_logs_and_logs_without_items_are_refused(tmp_path):
    history = simulate(50, 60, 1).history
    with pytest.raises(NotEnoughDataError):
        assortment(history)
    with pytest.raises(UsageError):
        assortment(history, days=0)
    (tmp_path / "b.csv").write_text("user_id,time\nu1,2024-01-01\n")
    with pytest.raises(ColumnError):
        assortment(read(tmp_path / "b.csv").history)
