"""Columns and events are guessed in several languages, with a confidence, and refused where nothing is sure."""

from __future__ import annotations

import polars as pl
import pytest

from whenbuy.core.errors import ColumnError, UsageError
from whenbuy.core.log import KINDS
from whenbuy.ingest.columns import SURE, map_columns
from whenbuy.ingest.mapping import Guess, Mapping, check_kinds, kind_of, kind_without_column
from whenbuy.ingest.words import COLUMN_NAMES, KIND_NAMES, plain

ROWS = {
    "user_id": ["a", "b", "a"],
    "time": ["2017-01-01", "2017-01-02", "2017-01-03"],
    "kind": ["view", "cart", "view"],
    "item_id": ["x1", "x2", "x3"],
    "quantity": ["1", "2", "3"],
    "unit_price": ["1,50", "2,50", "9,99"],
}


@pytest.mark.parametrize(
    "header",
    [
        ("user_id", "timestamp", "event_type", "product_id", "qty", "price"),
        ("CustomerID", "InvoiceDate", "Action", "StockCode", "Quantity", "UnitPrice"),
        ("Kunden-Nr.", "Bestelldatum", "Ereignis", "Artikelnummer", "Menge", "Einzelpreis"),
        ("N° client", "Date de commande", "Action", "Réf. produit", "Quantité", "Prix unitaire"),
        ("Código cliente", "Fecha", "Acción", "ID producto", "Cantidad", "Precio unitario"),
        ("ID do cliente", "Data", "Ação", "Produto", "Quantidade", "Preço unitário"),
        ("Codice cliente", "Data ordine", "Azione", "Codice prodotto", "Quantità", "Prezzo unitario"),
        ("Klantnummer", "Besteldatum", "Gebeurtenis", "Artikelcode", "Aantal", "Stukprijs"),
        ("用户ID", "时间", "行为", "商品ID", "数量", "单价"),
    ],
)
def test_names_of_columns_in_nine_ways(header: tuple[str, ...]) -> None:
    sample = pl.DataFrame(dict(zip(header, ROWS.values(), strict=True)))
    found = {guess.key: guess for guess in map_columns(sample, {})}
    assert {key: guess.value for key, guess in found.items()} == dict(zip(ROWS, header, strict=True))
    assert all(0.6 <= guess.confidence <= 1 and guess.reason for guess in found.values())


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("addtocart", "cart"), ("add_to_cart", "cart"), ("AddToCart", "cart"), ("Product Added To Cart", "cart"),
        ("order_completed", "purchase"), ("transaction", "purchase"), ("page_view", "view"), ("pv", "view"), ("Kauf", "purchase"),
        ("Rückgabe", "refund"), ("Warenkorb", "cart"), ("achat", "purchase"), ("ajout au panier", "cart"), ("compra", "purchase"),
        ("devolución", "refund"), ("acquisto", "purchase"),
        ("aankoop", "purchase"), ("购买", "purchase"), ("加入购物车", "cart"), ("收藏", "favourite"), ("email_opened", "opened"),
        ("remove_from_cart", "remove_from_cart"), ("begin_checkout", "begin_checkout"), ("order failed", "order failed"), ("42", "42"),
        *((kind, kind) for kind in KINDS),
    ],
)  # fmt: skip
def test_names_of_events(name: str, kind: str) -> None:
    guess = kind_of(name)
    assert guess.value == kind
    assert 0 <= guess.confidence <= 1
    assert guess.reason
    assert (guess.confidence <= 0.5) == (kind not in KINDS)


def test_what_the_user_says_about_events_comes_first() -> None:
    assert kind_of("view", {"view": "search"}).value == "search"
    assert kind_of("foo", {"*": "purchase"}).value == "purchase"
    assert kind_of("view", {"foo": "cart"}).value == "view"
    for bad in ({"a": ""}, {"a": " "}):
        with pytest.raises(UsageError, match="mapped to"):
            check_kinds(bad)


def test_without_a_kind_column_every_row_is_one_thing() -> None:
    assert kind_without_column(["amount"], {}).value == "purchase"
    assert kind_without_column(["unit_price"], {}).confidence < kind_without_column(["order_id"], {}).confidence
    assert kind_without_column(["item_id"], {}).value == "view"
    assert kind_without_column(["item_id"], {}).confidence < SURE
    assert kind_without_column(["item_id"], {"*": "purchase"}).confidence == 1


def test_the_vocabulary_is_written_as_it_is_looked_up() -> None:
    assert [word for word in (*COLUMN_NAMES, *KIND_NAMES) if plain(word) != word] == []


def test_content_may_veto_a_name() -> None:
    sample = pl.DataFrame({"user_id": [1, 2], "date": ["x", "y"], "created_at": ["2017-01-01", "2017-01-02"], "amount": ["big", "small"]})
    assert {g.key: g.value for g in map_columns(sample, {})} == {"user_id": "user_id", "time": "created_at"}


def test_content_may_tell_without_a_name() -> None:
    sample = pl.DataFrame({"customer": ["a", "b"], "wann": ["2017-01-01", "2017-01-02"], "was": ["Kauf", "Ansicht"]})
    found = {g.key: g for g in map_columns(sample, {})}
    assert {key: g.value for key, g in found.items()} == {"user_id": "customer", "time": "wann", "kind": "was"}
    assert found["time"].confidence < 0.9


def test_a_table_without_a_header_is_told_by_its_content() -> None:
    sample = pl.DataFrame({"column_1": ["u1", "u2", "u1"], "column_2": ["2017-01-01"] * 3, "column_3": ["1.50", "2.50", "9.99"]})
    assert {g.key: g.value for g in map_columns(sample, {}, named=False)} == {
        "user_id": "column_1",
        "time": "column_2",
        "amount": "column_3",
    }


def test_rivals_lower_the_confidence_and_are_named() -> None:
    sample = pl.DataFrame({"customer_id": ["a"], "user_id": ["b"], "time": ["2017-01-01"]})
    guess = map_columns(sample, {})[0]
    assert (guess.value, guess.confidence < 0.9) == ("user_id", True)
    assert "customer_id" in guess.reason


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        (pl.DataFrame({"foo": ["a", "b"], "bar": ["c", "c"], "time": ["2017-01-01"] * 2}), "who the customer is"),
        (pl.DataFrame({"user_id": ["a", "b"], "foo": ["c", "d"]}), "when it happened"),
    ],
)
def test_an_unsure_needed_column_is_refused_with_what_to_write(sample: pl.DataFrame, words: str) -> None:
    with pytest.raises(ColumnError) as caught:
        map_columns(sample, {})
    text = str(caught.value)
    assert words in text
    assert all(part in text for part in ("'foo'", "columns={", "whenbuy.toml", "50%"))


def test_what_the_user_says_about_columns_is_checked() -> None:
    sample = pl.DataFrame({"who": ["a"], "when": ["2017-01-01"], "user_id": ["x"], "brand": ["b"]})
    found = {g.key: g for g in map_columns(sample, {"user_id": "who", "segment": "user_id", "brand": ""})}
    assert {key: g.value for key, g in found.items()} == {"user_id": "who", "time": "when", "segment": "user_id"}
    assert found["user_id"].confidence == 1
    with pytest.raises(ColumnError, match="Perhaps 'who'"):
        map_columns(sample, {"user_id": "whoo"})
    with pytest.raises(UsageError, match="orders"):
        map_columns(sample, {"orders": "who"})


def test_a_mapping_prints_the_settings_that_repeat_it() -> None:
    mapping = Mapping((Guess("columns", "user_id", "Kunde", 0.9, "why"), Guess("kinds", "In den Korb", "cart", 1, "why", 7)), (), {})
    assert mapping.toml() == '[columns]\nuser_id = "Kunde"\n\n[kinds]\n"In den Korb" = "cart"\n'
    assert (mapping.columns, mapping.kinds) == ({"user_id": "Kunde"}, {"In den Korb": "cart"})
    assert mapping.confidence("columns", "user_id") == 0.9
    assert mapping.frame().columns == ["table", "key", "value", "confidence", "reason", "rows"]
