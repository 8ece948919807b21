"""Files of strangers: exports of shops in other languages and ways of writing, made from a seed."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

START = dt.datetime(2022, 1, 3)


@dataclass(frozen=True)
class Manner:
    """How one country's shops write their exports.

    ``columns`` are the names of invoice, item, description, quantity, date, price, customer and country; ``cancelled`` is how the numbers
    of cancelled invoices begin; ``date`` is a strftime format; ``countries`` and ``things`` are words of the language.
    """

    columns: tuple[str, ...]
    cancelled: str
    date: str
    encoding: str
    countries: tuple[str, ...]
    things: tuple[str, ...]
    prefix: str = ""
    suffix: str = ""


GERMAN = Manner(
    ("Rechnungsnr", "Artikelnr", "Bezeichnung", "Menge", "Rechnungsdatum", "Einzelpreis", "Kundennr", "Land"), "S", "%d.%m.%Y %H:%M",
    "cp1252", ("Deutschland", "Österreich", "Schweiz"), ("Tasse grün", "Küchentuch", "Größe M", "Schürze", "Lichterkette"), suffix=" €",
)  # fmt: skip
FRENCH = Manner(
    ("No facture", "Réf. article", "Désignation", "Quantité", "Date facture", "Prix unitaire", "Code client", "Pays"), "AV",
    "%d/%m/%Y %H:%M:%S", "utf-8-sig", ("France", "Belgique", "Réunion"), ("Tasse à café", "Bougie parfumée", "Nappe brodée", "Sac d'été"),
)  # fmt: skip
SPANISH = Manner(
    ("Factura", "Código artículo", "Descripción", "Cantidad", "Fecha", "Precio unitario", "Código cliente", "País"), "D", "%d-%m-%Y %H:%M",
    "latin-1", ("España", "México", "Perú"), ("Taza pequeña", "Vela aromática", "Mantel niño", "Bolsa"),
)  # fmt: skip
CHINESE = Manner(
    ("订单号", "商品编号", "商品名称", "数量", "下单时间", "单价", "会员号", "省份"), "T", "%Y/%m/%d %H:%M:%S", "gb18030",
    ("浙江", "广东", "四川"), ("茶杯", "围巾", "香薰蜡烛", "手提袋"), prefix="￥",
)  # fmt: skip


def lines(rows: int, seed: int, manner: Manner, days: int = 300) -> pl.DataFrame:
    """Return about so many lines of invoices.

    Customers come with gamma gaps, buy several things, and send some back two days later; a quarter of the invoices names nobody. Three
    lines stand there twice, two lie in a far future.
    """
    rng = np.random.default_rng(seed)
    invoices = rows // 6 + 50
    people = max(25, invoices // 12)
    gap = rng.gamma(2, days / 30, people) + 1
    user = np.repeat(np.arange(people), np.maximum(2, np.round(days / gap).astype(int)))
    wait = rng.gamma(2.0, 0.5, len(user)) * gap[user]
    total = np.cumsum(wait)
    first = np.searchsorted(user, np.arange(people))
    born = rng.uniform(0, days * 0.3, people)
    at = (total - (total - wait)[first][user]) + born[user]
    user, at = user[at < days], at[at < days]
    hour = np.clip(rng.normal(13.5, 2.6, len(at)), 8, 20)
    minute = np.sort((np.floor(at) * 1440 + np.round(hour * 60)).astype(np.int64))
    user = user[np.argsort(at, kind="stable")]
    size = rng.geometric(0.25, len(user))
    invoice = np.repeat(np.arange(len(user)), size)
    item = (400 * rng.random(len(invoice)) ** 1.5).astype(int)
    price = np.round(np.random.default_rng(7).gamma(2, 3, 401) + 0.39, 2)[item]
    known = rng.random(len(user)) > 0.25
    number = 536_000 + np.arange(len(user))
    frame = pl.DataFrame({
        "invoice": number[invoice].astype(str), "item": (20_000 + item).astype(str),
        "words": np.array(manner.things)[item % len(manner.things)], "quantity": rng.geometric(0.3, len(invoice)),
        "minute": minute[invoice], "price": price, "customer": np.where(known, 12_000 + user, 0)[invoice],
        "country": np.array(manner.countries)[user[invoice] % len(manner.countries)],
    })  # fmt: skip
    frame = frame.unique(["invoice", "item"], keep="first", maintain_order=True)
    back = frame.filter(pl.Series(rng.random(len(frame)) < 0.02))
    back = back.with_columns(invoice=manner.cancelled + pl.col("invoice"), quantity=-pl.col("quantity"), minute=pl.col("minute") + 2_881)
    twice, ahead = frame[100:103], frame[200:202].with_columns(minute=pl.lit(30_000_000, pl.Int64))
    return pl.concat([frame, back, twice, ahead]).sort("minute", maintain_order=True)


def export(path: Path, rows: int, seed: int, manner: Manner) -> pl.DataFrame:
    """Write an export with semicolons, decimal commas (points in Chinese) and empty customers; return its lines."""
    frame = lines(rows, seed, manner)
    mark = "." if manner is CHINESE else ","
    price = manner.prefix + pl.col("price").map_elements(lambda value: f"{value:.2f}".replace(".", mark), pl.String) + manner.suffix
    date = (pl.lit(START) + pl.duration(minutes=pl.col("minute"))).dt.strftime(manner.date)
    text = frame.select(
        "invoice", "item", "words", pl.col("quantity").cast(pl.String), date, price.alias("price"),
        pl.when(pl.col("customer") > 0).then(pl.col("customer").cast(pl.String)).otherwise(pl.lit("")), "country",
    )  # fmt: skip
    text.columns = list(manner.columns)
    separator = "," if manner is CHINESE else ";"
    path.write_bytes(text.write_csv(separator=separator, line_terminator="\r\n").encode(manner.encoding))
    return frame


def ga4(path: Path, users: int, seed: int, days: int = 120) -> int:
    """Write a log of web events as Google Analytics 4 names them; return how many purchases it holds."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(users):
        pseudo, day = f"{rng.integers(1e9, 2e9)}.{rng.integers(1e9, 2e9)}", float(rng.uniform(0, days * 0.5))
        gap = float(rng.gamma(2, 5) + 1)
        while day < days:
            at = int((START - dt.datetime(1970, 1, 1)).total_seconds() * 1e6) + int((int(day) * 24 + float(rng.normal(14, 3))) * 3600e6)
            session = int(at // 1_000_000)
            names = ["session_start", "page_view", "view_item"]
            names += ["add_to_cart", "begin_checkout", "purchase"] if rng.random() < 0.4 else []
            for step, name in enumerate(names):
                bought = name == "purchase"
                found.append({
                    "event_date": f"{START + dt.timedelta(days=int(day)):%Y%m%d}",
                    "event_timestamp": at + step * 40_000_000,
                    "event_name": name,
                    "user_pseudo_id": pseudo,
                    "ga_session_id": session,
                    "transaction_id": f"T{session}" if bought else None,
                    "value": round(float(rng.gamma(3, 15)), 2) if bought else None,
                    "currency": "USD" if bought else None,
                    "device_category": ["mobile", "desktop"][int(rng.random() < 0.4)],
                    "country": "United States",
                })  # fmt: skip
            day += float(rng.exponential(gap))
    pl.DataFrame(found, infer_schema_length=None).sort("event_timestamp").write_ndjson(path)
    return sum(row["event_name"] == "purchase" for row in found)
