"""Raw batches to canonical frames: columns under our names, instants in UTC, numbers as numbers; rows that cannot be are set aside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import polars as pl
from polars import selectors

from whenbuy.core.arrays import MISSING, Bools, Ints, Kinds
from whenbuy.core.errors import ColumnError
from whenbuy.core.kernel import kernel
from whenbuy.core.log import CODED, SCALES, Column, EventLog
from whenbuy.ingest.lines import blank
from whenbuy.ingest.mapping import Guess, kind_of
from whenbuy.ingest.parse import CONTROL, LARGEST, AttributeEvidence, names, numbers
from whenbuy.ingest.source import Batch, Broken
from whenbuy.ingest.times import EARLIEST, LATEST, TimeReader

BOUGHT: Final = ("purchase", "refund")
"""The kinds of event that have an amount."""
MOST_KINDS: Final = 200
"""With more kinds of event than this, the column is not one of kinds."""

_REJECTS: Final = {"file": pl.String, "row": pl.Int64, "reason": pl.String, "raw": pl.String, "header": pl.String}


@dataclass(frozen=True, slots=True, eq=False)
class Rejects:
    """Rows that were read and could not be understood: none of them is lost.

    Parameters
    ----------
    frame
        ``file`` (empty for a table), ``row`` (its number in the file, the first being 1), ``reason``, ``raw`` (the line of text as it was
        written where its fields could not be told apart, else the row as JSON), ``header`` (the line that names the columns of such a
        line of text).
    """

    frame: pl.DataFrame

    def __len__(self) -> int:
        return len(self.frame)

    def counts(self) -> pl.DataFrame:
        """Return how many rows were rejected for each reason, the commonest first."""
        return self.frame.group_by("reason", maintain_order=True).len("rows").sort("rows", descending=True, maintain_order=True)

    def _repr_html_(self) -> str:
        return self.frame._repr_html_()

    @classmethod
    def of(cls, parts: list[pl.DataFrame]) -> Rejects:
        """Return the rejects of several batches in the order of their rows."""
        if not parts:
            return cls(pl.DataFrame(schema=_REJECTS))
        return cls(pl.concat(parts).sort(pl.col("file").rle_id(), "row", maintain_order=True))


def broken_rows(broken: tuple[Broken, ...]) -> pl.DataFrame:
    """Return broken rows as rejects."""
    return pl.DataFrame([(one.file, one.row, one.reason, one.raw, one.header) for one in broken], schema=_REJECTS, orient="row")


def rejected(batch: Batch, bad: pl.Series, reason: str) -> list[pl.DataFrame]:
    """Return rows of a batch as rejects for one reason: a list with one table, empty where there is no row."""
    return [_set_aside(batch, bad, pl.Series("reason", [reason]).new_from_index(0, int(bad.sum())))] if bad.any() else []


def _set_aside(batch: Batch, bad: pl.Series, reasons: pl.Series) -> pl.DataFrame:
    row = pl.Series("row", batch.numbers(bad.arg_true().to_numpy().astype("int64")), dtype=pl.Int64)
    kept = batch.frame.filter(bad).with_columns(pl.col(pl.Binary).bin.encode("hex"))
    kept = kept.with_columns((~selectors.nested()).cast(pl.String, strict=False))
    text = kept.select(pl.struct(pl.all()).struct.json_encode().alias("raw"))["raw"]
    file = pl.Series("file", [batch.file], dtype=pl.String).new_from_index(0, len(row))
    return pl.DataFrame([file, row, reasons.alias("reason"), text, pl.Series("header", [None] * len(row), dtype=pl.String)])


@dataclass(slots=True)
class _Faults:
    """Which rows of a batch cannot be kept, and the first reason for each."""

    rows: int
    reason: pl.Series | None = None

    def mark(self, bad: pl.Series | None, reason: str) -> None:
        if bad is None or not bad.any():
            return
        if self.reason is None:
            self.reason = pl.Series("reason", [None], dtype=pl.String).new_from_index(0, self.rows)
        told = pl.DataFrame({"reason": self.reason, "bad": bad.fill_null(False)})
        self.reason = told.select(
            pl.when(pl.col("reason").is_null() & pl.col("bad")).then(pl.lit(reason)).otherwise("reason").alias("reason")
        )["reason"]


@dataclass(slots=True)
class FrameMaker:
    """Makes canonical frames of raw batches, and counts what it did.

    Parameters
    ----------
    columns
        Our column -> the source's column.
    attributes
        Column that rides along -> what the whole of it holds, where it is text.
    readers
        What reads ``time`` and ``known_at``.
    now
        The instant after which nothing can have happened yet.
    every
        What every row is, where no column says it.
    given
        What the user said about kinds.
    decimal
        The decimal mark of text.
    whole
        Columns of ids that are whole numbers written with a decimal point.
    currency
        Currency of all amounts, where no column says it.
    cancelled
        How the numbers of cancelled orders begin.
    kinds, seen, negative, early
        What was met: the meaning of each event name, rows per name, purchases that are refunds, rows known before they happened.
    """

    columns: Mapping[str, str]
    attributes: Mapping[str, AttributeEvidence | None]
    readers: Mapping[str, TimeReader]
    now: int
    every: str | None = None
    given: Mapping[str, str] = field(default_factory=dict)
    decimal: str = "."
    whole: frozenset[str] = frozenset()
    currency: str | None = None
    cancelled: str | None = None
    kinds: dict[str, Guess] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)
    negative: int = 0
    early: int = 0

    @property
    def price_is_amount(self) -> bool:
        """Whether what was paid is the unit price, since neither an amount nor a quantity is given: ``paid`` says so of a finished log."""
        return "unit_price" in self.columns and not {"amount", "quantity"} & set(self.columns)

    def make(self, batch: Batch) -> tuple[pl.DataFrame, pl.DataFrame | None]:
        """Return the canonical frame of a batch, and its rejects where there are any.

        Raises
        ------
        ColumnError
            When times with and without a zone are mixed, or the events have too many names.
        """
        raw, faults = batch.frame, _Faults(len(batch.frame))
        made = self._instants(raw, faults)
        made["user_id"] = self._named("user_id", raw, faults)
        made["kind"] = self._kind(raw, faults)
        for key in self.columns:
            if key in CODED:
                made[key] = self._named(key, raw, faults)
            elif key in SCALES:
                made[key] = self._number(key, raw, faults)
        for name, evidence in self.attributes.items():
            column = raw[self.columns.get(name, name)]
            made[name] = evidence.read(column, self.decimal) if evidence is not None and column.dtype == pl.String else column
        frame = self._money(pl.DataFrame([series.alias(name) for name, series in made.items()]))
        return self._kept(frame, batch, faults)

    def _kept(self, frame: pl.DataFrame, batch: Batch, faults: _Faults) -> tuple[pl.DataFrame, pl.DataFrame | None]:
        parts = [broken_rows(batch.broken)] if batch.broken else []
        if faults.reason is not None:
            bad = faults.reason.is_not_null()
            parts.append(_set_aside(batch, bad, faults.reason.filter(bad)))
            frame = frame.filter(~bad)
        return frame, pl.concat(parts) if parts else None

    def _instants(self, raw: pl.DataFrame, faults: _Faults) -> dict[str, pl.Series]:
        made = {}
        for key in ("time", "known_at"):
            if key in self.columns:
                made[key] = self._instant(key, raw[self.columns[key]], faults)
        if "known_at" in made:
            early = made["known_at"] < made["time"]
            if early.any():
                self.early += int(early.sum())
                made["known_at"] = made["time"].zip_with(early.fill_null(False), made["known_at"])
        return made

    def _instant(self, key: str, column: pl.Series, faults: _Faults) -> pl.Series:
        found = self.readers[key].read(column)
        if found.null_count():
            empty = column.is_null() if column.dtype != pl.String else column.is_null() | (column.str.strip_chars() == "")
            if key == "known_at":
                faults.mark(found.is_null() & ~empty, f"{key} is not a time")
            else:
                faults.mark(empty, f"{key} is empty")
                faults.mark(found.is_null(), f"{key} is not a time")
        stamp = found.to_physical()
        low, high = stamp.min(), stamp.max()
        if isinstance(low, int) and isinstance(high, int) and (low < EARLIEST or high > min(LATEST, self.now)):
            faults.mark((stamp < EARLIEST) | (stamp >= LATEST), f"{key} is not between 1970 and 2200")
            faults.mark(stamp > self.now, f"{key} is in the future")
        return found

    def _named(self, key: str, raw: pl.DataFrame, faults: _Faults) -> pl.Series:
        found, bad = names(raw[self.columns[key]], key in self.whole, key != "text")
        if bad is not None and key == "text":
            return found.cast(pl.String).str.replace_all(CONTROL, "")
        faults.mark(bad, f"{key} cannot be a name (a control character, or too long)")
        return found

    def _number(self, key: str, raw: pl.DataFrame, faults: _Faults) -> pl.Series:
        found, bad = numbers(raw[self.columns[key]], self.decimal)
        faults.mark(bad, f"{key} is not a number")
        low, high = found.min(), found.max()
        if isinstance(low, int | float) and isinstance(high, int | float) and max(-low, high) > LARGEST:
            faults.mark((found.abs() > LARGEST) & (found.is_finite() if found.dtype.is_float() else True), f"{key} is beyond all bounds")
        return found

    def _kind(self, raw: pl.DataFrame, faults: _Faults) -> pl.Series:
        if self.every is not None:
            self.seen[self.every] += len(raw)
            return pl.Series("kind", [self.every], dtype=pl.Categorical).new_from_index(0, len(raw))
        column = raw[self.columns["kind"]]
        column = column if column.dtype in (pl.String, pl.Categorical) else column.cast(pl.String)
        counts = column.value_counts()
        told = dict(zip(counts.to_series(0).cast(pl.String), counts.to_series(1), strict=True))
        meant = {name: self._meaning(name) for name in told if name is not None and name.strip()}
        if len(meant) < len(told):
            faults.mark(~column.is_in([*meant]).fill_null(False), f"{self.columns['kind']} is empty")
        self.seen.update({name: told[name] for name in meant})
        if len(self.kinds) > MOST_KINDS:
            raise ColumnError(
                f"The column {self.columns['kind']!r} has more than {MOST_KINDS} different values, such as {', '.join([*self.kinds][:3])}.",
                "A column of kinds of event has few.",
                'Name the right one: columns={"kind": …}, or columns={"kind": ""} if there is none.',
            )
        if all(name == kind for name, kind in meant.items()) and column.dtype == pl.Categorical:
            return column
        if not meant:
            return pl.Series("kind", [None] * len(raw), dtype=pl.Categorical)
        return column.replace_strict([*meant], [*meant.values()], default=None, return_dtype=pl.Categorical)

    def _meaning(self, name: str) -> str:
        if name not in self.kinds:
            self.kinds[name] = kind_of(name, self.given)
        return str(self.kinds[name].value)

    def _money(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the frame with amounts worked out where they must be, and with refunds for what is negative."""
        if "amount" not in frame.columns and "unit_price" in frame.columns and "quantity" in frame.columns:
            bought = pl.any_horizontal(pl.col("kind") == kind for kind in BOUGHT)
            paid = (pl.col("unit_price") * pl.col("quantity")).cast(pl.Float64)
            frame = frame.with_columns(amount=pl.when(bought).then(paid))
        if self.currency is not None and "currency" not in frame.columns:
            frame = frame.with_columns(currency=pl.lit(self.currency, pl.Categorical))
        counted = [name for name in ("amount", "quantity", "unit_price") if name in frame.columns]
        minus = self._refunds(frame, counted)
        if minus is not None:
            self.negative += int(minus.sum())
            frame = frame.with_columns(kind=pl.when(minus).then(pl.lit("refund", pl.Categorical)).otherwise("kind"))
        if not any(_below_zero(frame[name]) for name in counted):
            return frame
        returned = pl.col("kind") == "refund"
        return frame.with_columns(pl.when(returned).then(pl.col(name).abs()).otherwise(name).alias(name) for name in counted)

    def _refunds(self, frame: pl.DataFrame, counted: Sequence[str]) -> pl.Series | None:
        """Return which purchases are refunds, None where none is."""
        signs = [(pl.col(name) < 0).fill_null(False) for name in counted[: 2 if len(counted) > 1 else 1] if _below_zero(frame[name])]
        if self.cancelled is not None and "order_id" in frame.columns:
            signs.append(pl.col("order_id").cast(pl.String).str.starts_with(self.cancelled).fill_null(False))
        if not signs:
            return None
        found = frame.select(pl.any_horizontal(signs) & (pl.col("kind") == "purchase")).to_series()
        return found if found.any() else None


def paid(log: EventLog) -> EventLog:
    """Return a log in which the amount of what was bought is its unit price."""
    price = log.columns["unit_price"]
    amount = blank(len(log), np.int64)
    _price_where(log.kind, np.isin(np.arange(256), [log.code(kind) for kind in BOUGHT]), np.asarray(price.values, np.int64), amount)
    return replace(log, columns={**log.columns, "amount": Column(amount, scale=price.scale)})


@kernel
def _price_where(kind: Kinds, bought: Bools, price: Ints, out: Ints) -> None:
    for i in range(len(kind)):
        out[i] = price[i] if bought[kind[i]] else MISSING


def _below_zero(column: pl.Series) -> bool:
    low = column.min()
    return isinstance(low, int | float) and low < 0
