"""From the world to a History: every format gives the same one, a stranger's file is understood, and no row vanishes."""

from __future__ import annotations

import contextlib
import json
import random
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whenbuy.core.errors import ColumnError, EmptyError, InputError, UsageError
from whenbuy.ingest.read import Reading, read
from whenbuy.ingest.text import Dialect

NOW = datetime(2020, 1, 1, tzinfo=UTC)
SHOP = pl.DataFrame(
    {
        "user_id": ["a", "b", None, "a", "c"],
        "kind": ["view", "cart", "view", "purchase", "purchase"],
        "time": [datetime(2017, 1, day, 12, 30, tzinfo=UTC) for day in (1, 2, 3, 4, 5)],
        "order_id": [None, None, None, "o1", "o2"],
        "item_id": ["x", "y", "x", "x", "z"],
        "amount": [None, None, None, 12.5, 3.0],
        "quantity": [None, None, None, 1, 2],
        "member": [True, False, None, True, True],
        "discount": [0.5, None, 1.25, 0.0, 2.0],
        "store": [1, 2, 3, None, 4],
        "device": ["phone", "web", "web", None, "phone"],
    }
)


def table(reading: Reading) -> pl.DataFrame:
    frame = reading.history.log.frame()
    return frame.select(sorted(frame.columns))


def understood(reading: Reading) -> None:
    assert len(reading.history.log) + len(reading.rejects) == reading.rows


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    SHOP.write_csv(tmp_path / "shop.csv")
    SHOP.write_csv(tmp_path / "shop.tsv", separator="\t")
    SHOP.write_ndjson(tmp_path / "shop.jsonl")
    SHOP.write_parquet(tmp_path / "shop.parquet", row_group_size=2)
    (tmp_path / "shop16.csv").write_bytes((tmp_path / "shop.csv").read_text().encode("utf-16"))
    (tmp_path / "shop.csv.zst").write_bytes(pa.compress((tmp_path / "shop.csv").read_bytes(), "zstd", asbytes=True))
    (tmp_path / "parts").mkdir()
    SHOP[:3].write_csv(tmp_path / "parts" / "1.csv")
    SHOP[3:].write_csv(tmp_path / "parts" / "2.csv")
    return tmp_path


@pytest.mark.parametrize(
    "name", ["shop.csv", "shop.tsv", "shop.jsonl", "shop.parquet", "shop16.csv", "shop.csv.zst", "parts", "parts/*.csv"]
)
def test_every_format_gives_the_same_history(folder: Path, name: str) -> None:
    found = read(folder / name, now=NOW)
    assert table(found).equals(table(read(SHOP, now=NOW)))
    assert (found.rows, len(found.rejects)) == (5, 0)


@pytest.mark.parametrize("wrap", [lambda f: f.lazy(), lambda f: f.to_arrow(), lambda f: f.to_pandas()])
def test_every_table_gives_the_same_history(wrap) -> None:
    assert table(read(wrap(SHOP), now=NOW)).drop("member").equals(table(read(SHOP, now=NOW)).drop("member"))


def test_the_log_holds_what_was_read_and_known_at_is_time_itself() -> None:
    log = read(SHOP, now=NOW).history.log
    assert log.known_at is log.time
    assert log.users.ids.to_list() == ["a", "b", "c"]
    assert int(log.offsets[-1]) == 4
    assert len(log) == 5
    assert log.frame()["amount"].to_list()[:2] == [None, 12.5]


STRANGER = "Rechnungs-Nr;Artikelnr;Bezeichnung;Menge;Rechnungsdatum;Einzelpreis;Kundennr;Land"


def stranger(rows: int = 2_000) -> list[str]:
    rng = random.Random(7)
    lines = []
    for i in range(rows):
        price = f"{rng.randint(1, 1500)},{rng.randint(0, 99):02d}" if i % 50 else "1.234,50 €"
        sold = rng.randint(1, 12) * (-1 if i % 40 == 7 else 1)
        customer = "" if i % 4 == 0 else str(17850 + rng.randint(0, 50))
        when = f"{1 + i % 28:02d}.{1 + i % 12:02d}.2016 {i % 24:02d}:15"
        lines.append(f'{536365 + i // 5};A{i % 90};"Tüte; groß";{sold};{when};{price};{customer};Österreich')
    return lines


def test_a_strangers_file_is_understood_without_a_word(tmp_path: Path) -> None:
    lines = stranger()
    path = tmp_path / "bestellungen.csv"
    path.write_bytes("\r\n".join([STRANGER, *lines, "zu;wenig", "1;2;3;viele;01.01.2016 10:00;1,00;5;D", ""]).encode("cp1252"))
    found = read(path, timezone="Europe/Berlin", now=NOW)
    understood(found)
    mapping = found.mapping
    assert mapping.columns == {
        "user_id": "Kundennr", "time": "Rechnungsdatum", "order_id": "Rechnungs-Nr", "item_id": "Artikelnr", "quantity": "Menge",
        "unit_price": "Einzelpreis",
    }  # fmt: skip
    said = {guess.key: guess.value for guess in mapping.guesses if guess.table == "source"}
    assert said == {"encoding": "cp1252", "separator": ";", "day_first": True, "decimal": ","}
    assert mapping.kinds == {"*": "purchase"}
    assert found.rejects.frame.select("row", "reason").rows() == [(2001, "2 fields instead of 8"), (2002, "quantity is not a number")]
    assert found.rejects.frame["raw"][0] == "zu;wenig"
    assert json.loads(found.rejects.frame["raw"][1])["Menge"] == "viele"
    log = found.history.log
    frame = log.frame()
    assert log.count("refund") == 50
    assert any("50 purchases" in note for note in mapping.notes)
    assert frame["user_id"].null_count() == 500
    assert (frame["quantity"] > 0).all()
    assert ((frame["amount"] - frame["unit_price"] * frame["quantity"]).abs() < 0.006).all()
    assert (frame["unit_price"] == 1234.5).sum() == 40
    assert set(frame["Land"]) == {"Österreich"}
    assert frame["time"].dt.convert_time_zone("Europe/Berlin").dt.minute().unique().to_list() == [15]


def test_a_french_file_with_semicolons(tmp_path: Path) -> None:
    (tmp_path / "ventes.csv").write_bytes(
        "N° client;Date de commande;N° commande;Montant\nDupré;31/12/2016 18:05;1;1 234,50 €\nDupré;01/02/2017 09:00;2;-12,00 €\n".encode(
            "cp1252"
        )
    )
    found = read(tmp_path / "ventes.csv", timezone="Europe/Paris", now=NOW)
    assert found.history.log.frame().select("user_id", "kind", "amount").rows() == [
        ("Dupré", "purchase", 1234.5),
        ("Dupré", "refund", 12.0),
    ]
    assert found.history.clock.show(found.history.log.start) == "2016-12-31 18:05"


def test_the_same_file_gives_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("\n".join([STRANGER, *stranger(300)]))
    one, two = (read(tmp_path / "a.csv", now=NOW) for _ in range(2))
    assert table(one).equals(table(two))
    assert one.mapping == two.mapping
    assert one.rejects.frame.equals(two.rejects.frame)
    assert (one.history.log.offsets == two.history.log.offsets).all()


def test_batches_do_not_show_in_the_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = stranger(3_000)
    lines[1_000:1_000] = ["zu;wenig", ";".join("x" * 9)]
    (tmp_path / "a.csv").write_bytes("\n".join([STRANGER, *lines]).encode("cp1252"))
    whole = read(tmp_path / "a.csv", now=NOW)
    monkeypatch.setattr("whenbuy.ingest.files._BLOCK", 4_096)
    parts = read(tmp_path / "a.csv", now=NOW)
    assert table(whole).equals(table(parts))
    assert whole.rejects.frame.equals(parts.rejects.frame)
    assert whole.rejects.frame["row"].to_list() == [1001, 1002]


def test_rows_that_cannot_be_are_set_aside_with_the_reason() -> None:
    long = "x" * 100_000
    rows = [
        ("a", "2017-01-01", "view", "1"), ("a", None, "view", "1"), ("a", "yesterday", "view", "1"), ("a", "1901-01-01", "view", "1"),
        ("a", "2031-01-01", "view", "1"), ("a", "2017-01-01", "", "1"), ("a\0b", "2017-01-01", "view", "1"),
        (long, "2017-01-01", "view", "1"),
        ("", "2017-01-02", "view", "NaN"), ("a", "2017-01-03", "purchase", "dear"), ("a", "2017-01-03", "purchase", "1e300"),
        ("a", "9999-12-31", "view", "1"),
    ]  # fmt: skip
    found = read(pl.DataFrame(rows, schema=["user_id", "time", "kind", "amount"], orient="row"), columns={"amount": "amount"}, now=NOW)
    understood(found)
    assert dict(found.rejects.frame.select("row", "reason").rows()) == {
        2: "time is empty", 3: "time is not a time", 4: "time is not between 1970 and 2200", 5: "time is in the future", 6: "kind is empty",
        7: "user_id cannot be a name (a control character, or too long)", 8: "user_id cannot be a name (a control character, or too long)",
        10: "amount is not a number", 11: "amount is beyond all bounds", 12: "time is not between 1970 and 2200",
    }  # fmt: skip
    assert json.loads(found.rejects.frame.filter(row=8)["raw"][0])["user_id"] == long
    assert found.rejects.counts()["rows"].sum() == 10
    assert found.history.log.frame()["user_id"].to_list() == ["a", None]


def test_nan_and_infinite_amounts_are_missing() -> None:
    frame = pl.DataFrame(
        {"user_id": [1, 1, 2], "time": ["2017-01-01"] * 3, "amount": [float("nan"), float("inf"), 2.0], "quantity": [1, 1, 1]}
    )
    found = read(frame, now=NOW)
    assert len(found.rejects) == 0
    assert found.history.log.frame()["amount"].to_list() == [None, None, 2.0]


def test_mixed_zones_unparsable_times_and_nothing_at_all_are_errors() -> None:
    with pytest.raises(ColumnError, match="mixes times"):
        read(pl.DataFrame({"user_id": ["a", "b"], "time": ["2017-01-01T10:00Z", "2017-01-01T10:00"]}), now=NOW)
    with pytest.raises(ColumnError, match="when it happened"):
        read(pl.DataFrame({"user_id": ["a", "b"], "time": ["never", "soon"]}), now=NOW)
    with pytest.raises(EmptyError, match=r"None of the 2 rows.*2 × time is not a time"):
        read(pl.DataFrame({"user_id": ["a", "b"], "time": ["never", "soon"]}), columns={"time": "time"}, now=NOW)
    with pytest.raises(EmptyError, match="in the future"):
        read(pl.DataFrame({"user_id": ["a"], "time": ["2019-06-01"]}), now=datetime(2019, 1, 1, tzinfo=UTC))
    with pytest.raises(ColumnError, match="more than 200 different values"):
        read(
            pl.DataFrame({"user_id": range(300), "time": ["2017-01-01"] * 300, "x": [f"k{i}" for i in range(300)]}),
            columns={"kind": "x"},
            now=NOW,
        )
    with pytest.raises(UsageError, match="layout"):
        read("x.csv", layout="nobody")
    with pytest.raises(UsageError, match="No source"):
        read()


def test_settings_of_the_user_come_first(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text('who,when,what,user_id,euro\n1.0,03/04/2017,X,z,"1,500"\n2.0,03/04/2017,Y,z,"2,500"\n')
    found = read(
        tmp_path / "e.csv", columns={"user_id": "who", "time": "when", "kind": "what", "amount": "euro", "old_id": "user_id"},
        kinds={"X": "purchase", "Z": "cart"}, dialect=Dialect(day_first=False, decimal=","), currency="EUR", lateness_days=2, now=NOW,
    )  # fmt: skip
    rows = found.history.log.frame().select("user_id", "kind", "time", "amount", "currency", "old_id").rows()
    day = datetime(2017, 3, 4, tzinfo=UTC)
    assert rows == [("1", "purchase", day, 1.5, "EUR", "z"), ("2", "Y", day, 2.5, "EUR", "z")]
    assert found.history.lateness_days == 2
    assert any("do not occur: Z" in note for note in found.mapping.notes)
    assert any("keeps by their own name: Y" in note for note in found.mapping.notes)


def test_known_at_is_kept_and_never_before_time() -> None:
    frame = pl.DataFrame(
        {"user_id": ["a"] * 3, "time": ["2017-01-02", "2017-01-03", "2017-01-04"], "known_at": ["2017-01-05", "2017-01-01", None]}
    )
    found = read(frame, now=NOW)
    assert found.history.log.late
    assert [t.day for t in found.history.log.frame()["known_at"]] == [3, 4, 5]
    assert any("1 rows were known before they happened" in note for note in found.mapping.notes)


def test_amounts_belong_to_purchases_alone_where_they_are_worked_out() -> None:
    frame = pl.DataFrame(
        {"user_id": ["a"] * 3, "time": ["2017-01-01"] * 3, "event": ["view", "purchase", "return"], "price": [2.5, 2.5, 2.5]}
    )
    found = read(frame, now=NOW).history.log.frame()
    assert dict(found.select("kind", "amount").rows()) == {"view": None, "purchase": 2.5, "refund": 2.5}


def test_columns_of_no_use_are_left_out_and_named() -> None:
    n = 1_200
    frame = pl.DataFrame(
        {
            "user_id": [i % 7 for i in range(n)], "time": ["2017-01-01"] * n, "note": [f"text {i}" for i in range(n)], "empty": [None] * n,
            "list": [[1]] * n, "orders": [1] * n, "shop": ["s"] * n,
        }
    )  # fmt: skip
    found = read(frame, now=NOW)
    assert found.mapping.attributes == ("shop",)
    assert set(found.mapping.left_out) == {"note", "empty", "list", "orders"}


def test_bad_bytes_are_refused_through_the_door(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_bytes(np.random.default_rng(1).bytes(5_000))
    with pytest.raises(InputError):
        read(tmp_path / "e.csv", now=NOW)


WILD = st.one_of(
    st.none(),
    st.sampled_from(
        ["", "2017-01-01", "01.02.2017", "NaN", "inf", "-1", "1,5", "1.5", "9999-12-31", "0001-01-01", "1483437600", "2017-03-26 02:30",
         "\0", "1e999", "purchase", "退款", "99999999999999999999", "2017-01-01T00:00:00", "x" * 2_000]
    ),
    st.text(max_size=8),
)  # fmt: skip


@settings(max_examples=60)
@given(st.lists(st.tuples(WILD, WILD, WILD, WILD), min_size=1, max_size=12))
def test_whatever_comes_is_kept_or_set_aside_and_never_crashes(rows: list[tuple[str | None, ...]]) -> None:
    frame = pl.DataFrame(rows, schema=dict.fromkeys(["u", "t", "k", "a"], pl.String), orient="row")
    columns = {"user_id": "u", "time": "t", "kind": "k", "amount": "a"}
    with contextlib.suppress(InputError):
        found = read(frame, columns=columns, timezone="Europe/Berlin", now=NOW)
        understood(found)
        assert found.rows == len(rows)


@settings(max_examples=60)
@given(st.binary(max_size=300))
def test_whatever_bytes_come_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("bytes") / "e.csv"
    path.write_bytes(b"user_id,time,amount\n" + content)
    with contextlib.suppress(InputError):
        understood(read(path, now=NOW))


def test_a_file_of_broken_rows_alone_is_empty_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("user_id,time,amount\n1,2\n3\n")
    with pytest.raises(EmptyError, match=r"2 rows could be read.*fields instead of 3"):
        read(tmp_path / "e.csv", now=NOW)


def test_bytes_and_lists_are_no_ids_and_no_times() -> None:
    frame = pl.DataFrame({"user_id": [b"a", b"\xff\xfe", None], "time": ["2017-01-01"] * 3, "list": [["2017-01-01"]] * 3})
    found = read(frame, columns={"user_id": "user_id"}, now=NOW)
    assert found.rejects.frame["row"].to_list() == [2]
    assert found.history.log.frame()["user_id"].to_list() == ["a", None]
    with pytest.raises(EmptyError, match="time is not a time"):
        read(frame, columns={"user_id": "user_id", "time": "list"}, now=NOW)


# ------------------------------------------------------------------------------------------------ a stranger's retail export

HEADERS = {
    "German": "Rechnungsnr;Artikelnr;Bezeichnung;Menge;Rechnungsdatum;Einzelpreis;Kundennr;Land",
    "French": "No facture;Code produit;Désignation;Quantité;Date facture;Prix unitaire;Code client;Pays",
    "Spanish": "Número factura;Código producto;Descripción;Cantidad;Fecha factura;Precio unitario;Código cliente;País",
    "Portuguese": "Nota Fiscal;Código do produto;Descrição;Qtde;Data da venda;Preço unitário;Cód. cliente;País",
    "Chinese": "订单编号;商品编码;商品名称;数量;订单日期;单价;客户编号;国家",
}


@pytest.mark.parametrize("language", HEADERS)
def test_a_retail_export_in_any_language_needs_no_edit(language: str, tmp_path: Path) -> None:
    """Semicolons, decimal commas, the day first, a quarter without a customer, cancellations by a letter and a minus."""
    lines = [HEADERS[language]]
    for i in range(400):
        cancelled = i % 40 == 7
        number, who = ("C" if cancelled else "") + str(536365 + i // 4), "" if i % 4 == 0 else f"{17850 + i % 31}.0"
        written = (
            number,
            f"8512{i % 10}A",
            f'"ROT; ""GROSS"" {i % 9}"',
            str(-2 if cancelled else 3),
            f"{1 + i // 16:02d}.03.2011 08:26",
            "2,55",
            who,
            "X",
        )
        lines.append(";".join(written))
    path = tmp_path / "export.csv"
    path.write_bytes(("\r\n".join(lines) + "\r\n").encode({"German": "cp1252", "Chinese": "gb18030"}.get(language, "utf-8")))
    found = read(path, now=NOW)
    log = found.history.log
    assert set(found.mapping.columns) == {"user_id", "time", "order_id", "item_id", "quantity", "unit_price"}
    assert (len(log), len(found.rejects), log.count("refund"), log.count("purchase")) == (400, 0, 10, 390)
    frame = log.frame()
    assert frame["user_id"].null_count() == 100
    assert frame["amount"].unique().sort().to_list() == [5.1, 7.65]
    assert found.history.clock.show(log.start) == "2011-03-01 08:26"
    assert found.mapping.confidence("source", "cancelled") == 0.9
    assert read(path, now=NOW, cancelled="").history.log.count("refund") == 10  # the minus says so as well


def test_cancelled_orders_are_told_by_their_letter_alone() -> None:
    told = [(f"{'C' if i % 10 == 3 else ''}{1000 + i}", f"k{i % 5}", f"2011-03-{1 + i % 28:02d}", 3) for i in range(60)]
    table = pl.DataFrame(told, schema=["InvoiceNo", "CustomerID", "InvoiceDate", "Quantity"], orient="row")
    found = read(table, now=NOW)
    assert found.history.log.count("refund") == 6
    assert found.mapping.confidence("source", "cancelled") == 0.6
    assert 'cancelled = "C"' in found.mapping.toml()
    assert read(table, now=NOW, cancelled="").history.log.count("refund") == 0
    other = table.with_columns(pl.col("InvoiceNo").str.replace("C", "X"))
    assert read(other, now=NOW).history.log.count("refund") == 0  # X says nothing


def test_days_of_a_workbook_are_times_where_their_name_says_so(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("customer;date;amount\na;44927,5;3\nb;44928,3541666667;4\na;44929;5\n")
    found = read(tmp_path / "x.csv", timezone="Europe/Berlin", now=datetime(2024, 1, 1, tzinfo=UTC))
    shown = [found.history.clock.show(int(at)) for at in np.sort(found.history.log.time)]
    assert shown == ["2023-01-01 12:00", "2023-01-02 08:30", "2023-01-03"]
    assert 0.85 < found.mapping.confidence("columns", "time") < 0.95
    table = pl.DataFrame({"customer": ["a", "b"], "date": [44927.5, 44928.25], "amount": [1, 2]})
    assert read(table, now=NOW_2024).history.clock.show(read(table, now=NOW_2024).history.log.start) == "2023-01-01 12:00"
    with pytest.raises(ColumnError, match="when it happened"):
        read(table.rename({"date": "thing"}), now=NOW_2024)  # numbers alone do not say that they are days


NOW_2024 = datetime(2024, 1, 1, tzinfo=UTC)


def test_a_missing_column_names_the_option_that_says_it() -> None:
    with pytest.raises(ColumnError, match=r"--column user_id='?who'?"):
        read(pl.DataFrame({"who": ["a"], "note": ["b"], "day": ["2017-01-01"]}), now=NOW)


def test_one_escape_does_not_refuse_a_file_its_row_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_bytes(b"user_id,time,event,text\na,2017-01-01,view,x\n\x1bb,2017-01-02,view,y\nc,2017-01-03,view,z\x1b[0m\n")
    found = read(tmp_path / "e.csv", now=NOW)
    assert found.history.log.frame().sort("time").select("user_id", "text").rows() == [("a", "x"), ("c", "z[0m")]
    assert found.rejects.frame.select("row", "reason").rows() == [(2, "user_id cannot be a name (a control character, or too long)")]


def test_keys_that_come_late_in_json_lines_are_not_lost(tmp_path: Path) -> None:
    early = '{"user_id": "a", "time": "2017-01-01T10:00:00", "event": "view", "page": "' + "x" * 200 + '"}\n'
    late = '{"user_id": "b", "time": "2017-01-02T10:00:00", "event": "purchase", "amount": 9.5, "coupon": "SPRING"}\n'
    (tmp_path / "e.jsonl").write_text(early * 2000 + late)
    found = read(tmp_path / "e.jsonl", now=NOW)
    last = found.history.log.frame().filter(user_id="b").row(0, named=True)
    assert (last["kind"], last["amount"], last["offer_id"]) == ("purchase", 9.5, "SPRING")


def test_dates_with_small_numbers_only_are_told_by_which_number_changes() -> None:
    told = [f"{month}/{day}/2017" for month in (3, 4) for day in range(1, 13)]
    found = read(pl.DataFrame({"user_id": ["a"] * 24, "date": told}), now=NOW)
    assert found.history.clock.show(found.history.log.start) == "2017-03-01"
    firsts = [f"01/{month:02d}/2017" for month in range(1, 12)]
    months = read(pl.DataFrame({"user_id": ["a"] * 11, "date": firsts}), now=NOW).history
    assert months.clock.show(int(months.log.time.max())) == "2017-11-01"
