"""What whenbuy.toml says steers an import: columns, events, fills, rules, profiles."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from whenbuy.config import Settings
from whenbuy.core.errors import ColumnError, SettingsError
from whenbuy.core.history import History
from whenbuy.features import Count, Features, Offers
from whenbuy.ingest.store import open_log
from whenbuy.pipeline.keeping.shop import Shop
from whenbuy.pipeline.telling.result import Result
from whenbuy.pipeline.verbs.intake import take_in

NOW = datetime(2024, 6, 1, tzinfo=UTC)


def imported(folder: Path, toml: str) -> tuple[History, Result]:
    """Return the log of a shop with these settings, and what the import said."""
    (folder / "whenbuy.toml").write_text(toml, encoding="utf-8")
    settings = Settings.read(folder)
    paths = tuple(str(folder / path) for path in settings.source.paths)
    result, _ = take_in(folder, Settings.parse(toml.replace(settings.source.paths[0], paths[0])), lambda _: None, NOW)
    assert Shop(folder)
    return open_log(folder / "log", verify=True), result


# ------------------------------------------------------------------------------------------------ columns and kinds


def test_columns_and_kinds_of_the_settings_steer_an_import(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text(
        "who,customer,when,date,what,worth\nA,zz,2024-01-05 10:00,2020-01-01,XQ,3.5\nB,zz,2024-01-06 11:00,2020-01-01,LOOK,1\n"
        "A,zz,2024-01-07 12:00,2020-01-01,other,2\n"
    )
    toml = """
[source]
paths = "e.csv"
[columns]
user_id = "who"          # not the column called customer
time = "when"            # nor date
kind = "what"
amount = "worth"
shelf = "customer"
[kinds]
XQ = "purchase"
LOOK = "view"
"*" = "search"
"""
    history, result = imported(tmp_path, toml)
    rows = history.log.frame().sort("time").select("user_id", "kind", "amount", "shelf").rows()
    assert rows == [("A", "purchase", 3.5, "zz"), ("B", "view", 1.0, "zz"), ("A", "search", 2.0, "zz")]
    assert result.facts["events"] == 3
    guessed, _ = imported(tmp_path, '[source]\npaths = "e.csv"\n')
    assert guessed.log.users.ids.to_list() == ["zz"]  # left to itself it takes the column called customer


# ------------------------------------------------------------------------------------------------ fills


def test_fills_are_chosen_by_column_and_reported(tmp_path: Path) -> None:
    told = [("web", 10, 2), ("web", 12, 3), ("app", 50, None), (None, None, 4), ("web", 11, 2), ("web", None, None)]
    lines = [
        f"u{i % 2},2024-01-{3 * i + 1:02d} 10:00,order,{c or ''},{'' if a is None else a},{'' if q is None else q}"
        for i, (c, a, q) in enumerate(told)
    ]
    (tmp_path / "e.csv").write_text("user_id,time,event,channel,amount,quantity\n" + "\n".join(lines) + "\n")
    toml = """
[source]
paths = "e.csv"
[fill]
channel = "mode"
amount = { how = "median", every_days = 1 }
quantity = { how = "constant", value = 1 }
"""
    history, result = imported(tmp_path, toml.replace('"mode"', '{ how = "mode", every_days = 1 }'))
    rows = history.log.frame().sort("time").select("channel", "amount", "quantity").rows()
    assert rows == [("web", 10, 2), ("web", 12, 3), ("app", 50, 1), ("web", 12, 4), ("web", 11, 2), ("web", 11.5, 1)]
    said = "\n".join(result.after)
    assert "missing_amount" in said
    assert "was filled (with the median of earlier rows)" in said
    dropped, _ = imported(tmp_path, '[source]\npaths = "e.csv"\n[fill]\namount = "drop"\n')
    assert len(dropped.log) == 4


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("[fill]\namount = 'often'\n", "how of missing"), ("[fill]\namount = { how = 'mean', sometimes = 1 }\n", "sometimes"),
        ("[fill]\namount = 3\n", "a table of fills by column"), ("[fill]\nchannel = 'mean'\n", "holds names"),
        ("[clean]\noutliers = { column = 'amount', most = 3 }\n", "most"),
    ],
)  # fmt: skip
def test_a_wrong_fill_says_what_there_is(toml: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("user_id,time,event,channel,amount\na,2024-01-05 10:00,order,web,1\n")
    with pytest.raises(SettingsError, match=words):
        imported(tmp_path, f'[source]\npaths = "e.csv"\n{toml}')


# ------------------------------------------------------------------------------------------------ profiles


def shop_with_profiles(folder: Path) -> str:
    (folder / "e.csv").write_text(
        "user_id,time,event,item_id,offer_id\nu1,2024-01-10 10:00,purchase,i1,\nu1,2024-02-10 10:00,purchase,i1,\n"
        "u2,2024-02-11 10:00,view,i2,o1\nu2,2024-02-12 10:00,purchase,i9,\n"
    )
    (folder / "items.csv").write_text("Artikel;Warengruppe;Marke;Farbe\ni1;Tee;Alp;rot\ni2;Kaffee;Berg;\n;Tee;;\n", encoding="utf-8")
    (folder / "stock.csv").write_text("sku,since,price,stock\ni1,2024-01-01,9.5,10\ni1,2024-02-01,8.5,0\ni2,bad,1,1\ni2,2024-01-15,4,7\n")
    (folder / "people.jsonl").write_text(
        '{"user_id": "u1", "joined": "2023-05-01", "vip": "yes"}\n{"user_id": "u2", "joined": "2023-06-01"}\n'
    )
    (folder / "offers.csv").write_text("offer_id,announced,ends,discount\no1,2024-02-01,2024-02-20,0.2\no2,2024-03-01,2024-03-09,0.1\n")
    return """
[shop]
timezone = "Europe/Berlin"
[source]
paths = "e.csv"
[[profiles.items]]
path = "items.csv"
key = "Artikel"
timeless = true
columns = { category = "Warengruppe", brand = "Marke" }
[[profiles.items]]
path = "stock.csv"
valid_from = "since"
to_events = ["stock"]
[profiles.users]
path = "people.jsonl"
timeless = true
[profiles.offers]
path = "offers.csv"
valid_from = "announced"
"""


def test_profiles_are_read_checked_stored_and_used(tmp_path: Path) -> None:
    history, result = imported(tmp_path, shop_with_profiles(tmp_path))
    items, users, offers = history.items, history.users, history.offers
    assert items is not None
    assert users is not None
    assert offers is not None
    assert not items.timeless
    instants = [history.clock.instant(day) for day in ("2023-12-31", "2024-01-02", "2024-02-02")]
    known = items.as_of(pl.Series(["i1"] * 3), np.array(instants)).select("category", "price", "stock", "Farbe").rows()
    assert known == [("Tee", None, None, "rot"), ("Tee", 9.5, 10, "rot"), ("Tee", 8.5, 0, "rot")]
    assert users.timeless
    assert users.table.select("id", "vip").rows() == [("u1", True), ("u2", None)]
    assert history.clock.show(int(users.table["joined"].cast(pl.Int64)[0])) == "2023-05-01"
    events = history.log.frame().sort("time").select("item_id", "category", "brand", "stock").rows()
    assert events == [("i1", "Tee", "Alp", 10), ("i1", "Tee", "Alp", 0), ("i2", "Kaffee", "Berg", 7), ("i9", None, None, None)]
    said = "\n".join(result.after)
    assert "Item profile: 2 ids with category, brand, Farbe, price, stock." in said
    assert "It describes 2 of the 3 items of the log." in said
    rejected = pl.read_parquet(tmp_path / "quarantine" / "profiles.parquet")
    assert rejected.select("row", "reason").rows() == [(3, "Artikel is empty"), (3, "since is not a time")]


def test_features_read_profiles_of_the_shops_own_files(tmp_path: Path) -> None:
    history, _ = imported(tmp_path, shop_with_profiles(tmp_path))
    spec = Features((Offers(ends="ends"), Count("purchase", "60d", where=("category", "Tee"))))
    cutoffs = [history.clock.instant(day) for day in ("2024-01-31", "2024-02-12", "2024-02-28")]
    found = [spec.table(history.before(history.keys(["u1"], as_of=cutoff))).values[0].tolist() for cutoff in cutoffs]
    assert found == [[0, 1], [1, 2], [0, 2]]  # an offer counts from the day on which it was announced


@pytest.mark.parametrize(
    ("old", "new", "error", "words"),
    [
        ('timeless = true\ncolumns', "columns", SettingsError, "valid_from = '' and timeless = false"),
        ('valid_from = "since"', 'valid_from = "sinc"', ColumnError, "Perhaps 'since' was meant"),
        ('key = "Artikel"', 'key = "Nummer"', ColumnError, "has no column 'Nummer'"),
        ('key = "Artikel"\n', "kee = 3\n", SettingsError, "Did you mean 'key'"),
        ("[profiles.users]", "[profiles.people]", SettingsError, "is not a key of"),
        ('["stock"]', '["shelf"]', ColumnError, "no attribute shelf"),
        ('path = "stock.csv"\n', "", SettingsError, "names no path"),
    ],
)  # fmt: skip
def test_a_profile_that_cannot_be_says_what_to_do(old: str, new: str, error: type[Exception], words: str, tmp_path: Path) -> None:
    toml = shop_with_profiles(tmp_path)
    assert old in toml
    with pytest.raises(error, match=words):
        imported(tmp_path, toml.replace(old, new))
