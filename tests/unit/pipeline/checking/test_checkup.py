"""The whole checkup: columns, words, tables, the page, the proposal."""

from pathlib import Path

import polars as pl
import pytest

from tests.unit.pipeline.checking import planted
from whenbuy.config import Settings
from whenbuy.core.errors import ColumnError
from whenbuy.pipeline.checking.checkup import Checkup
from whenbuy.pipeline.verbs.checkup import check

NOW = 1_800_000_000_000_000


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    frame = planted.total_orders(planted.table(1)).drop("end", "price_class", "known_at")
    texts = pl.concat_str(pl.lit("<b>note</b> "), pl.int_range(pl.len()).cast(pl.String))
    return frame.with_columns(remark=texts, empty=pl.lit(None, pl.String)).rename({"leak": "total"})


@pytest.fixture(scope="module")
def found(table: pl.DataFrame) -> Checkup:
    return check(table, now=NOW)


def test_every_column_of_the_source_is_told_once(table: pl.DataFrame, found: Checkup) -> None:
    assert sorted(one.name for one in found.columns) == sorted(table.columns)
    by_name = {one.name: one for one in found.columns}
    assert (by_name["user_id"].role, by_name["user_id"].distinct) == ("user_id", table["user_id"].n_unique())
    assert by_name["region"].role == "attribute"
    assert by_name["remark"].role == by_name["empty"].role == ""
    assert "text of its own" in by_name["remark"].reason
    amount = by_name["amount"]
    assert amount.missing == pytest.approx(table["amount"].null_count() / len(table))
    assert amount.distinct == table["amount"].drop_nulls().n_unique()
    assert (amount.low, amount.high) == (f"{table['amount'].min():,.10g}", f"{table['amount'].max():,.10g}")
    assert amount.type == "number"
    assert by_name["category"].examples[0] == table["category"].drop_nulls().mode().sort()[0]
    assert by_name["total"].type == "whole number"


def test_columns_are_guessed_with_a_stated_confidence_and_a_reason(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("Kunde;Datum;Betrag\n" + "".join(f"k{i % 7};{1 + i % 28}.1.2023;{i},50\n" for i in range(60)))
    roles = {one.name: (one.role, one.confidence) for one in check(tmp_path / "x.csv").columns}
    assert {name: role for name, (role, _) in roles.items()} == {"Kunde": "user_id", "Datum": "time", "Betrag": "amount"}
    assert all(0.5 <= sure < 1 for _, sure in roles.values())
    said = check(tmp_path / "x.csv", columns={"amount": "Betrag"}).columns
    assert [(one.confidence, one.reason) for one in said if one.role == "amount"] == [(1.0, "you said so")]


def test_a_column_that_could_be_more_is_named(table: pl.DataFrame) -> None:
    renamed = table.rename({"category": "main_shop_category"})
    serves = {one.name: one.serves for one in check(renamed, now=NOW).columns}
    assert 'category = "main_shop_category"' in serves["main_shop_category"]


def test_the_frame_holds_every_finding(found: Checkup) -> None:
    frame = found.frame()
    assert frame.columns == ["part", "name", "level", "value", "words"]
    counts = dict(frame.group_by("part").len().iter_rows())
    assert counts["column"] == len(found.columns)
    assert counts["question"] == len(found.questions)
    assert counts["leak"] == len(found.leaks) == 1
    assert counts["remark"] == len(found.remarks)


def test_text_and_page_say_the_same(found: Checkup) -> None:
    text, page = found.text(), found._repr_html_()
    for part in ("total", "customer's whole history", "When does each customer buy next?", "remark"):
        assert part in text
        assert part.replace("'", "&#x27;") in page
    assert "<b>note" not in page
    assert "<script" not in page
    assert "<style" not in page
    assert max(len(line) for line in text.splitlines()) < 600
    assert "1 leaks" in repr(found)


def test_the_proposal_reads_back(found: Checkup) -> None:
    settings = Settings.parse(found.settings.text())
    assert settings.columns["total"] == ""
    assert settings.shop.currency == "EUR"
    assert any("total" in change for change in found.changes)
    assert found.plain()["proposed"] == found.settings.text()


def test_a_history_is_examined_as_it_is() -> None:
    history = planted.history(planted.table(1))
    found = check(history)
    assert found.settings.shop.lateness_days == history.lateness_days
    assert found.usable
    assert {one.confidence for one in found.columns} == {1.0}


def test_what_is_no_log_is_refused() -> None:
    with pytest.raises(ColumnError):
        check(pl.DataFrame({"a": [1, 2], "b": [3, 4]}))
