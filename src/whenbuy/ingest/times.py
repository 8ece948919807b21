"""Columns of dates, epochs and clock times as instants: decided over the whole column, never row by row."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import MISSING, Instants
from whenbuy.core.errors import ColumnError

EARLIEST: Final = 0
"""1970-01-01, in microseconds: no shop's log begins before."""
LATEST: Final = 7_258_118_400_000_000
"""2200-01-01, in microseconds: what lies beyond is a placeholder, not a date."""
UNITS: Final = {"s": (1e8, 1e11), "ms": (1e11, 1e14), "us": (1e14, 1e17), "ns": (1e17, 1e20)}
"""Units of an epoch, and the smallest and largest number that each is told by (1973 to 5138)."""
WORKBOOK_DAYS: Final = (29_221, 73_050)
"""The day numbers of workbooks (days since 30 December 1899) that are taken for dates: those of 1980 to 2099."""

_PER_UNIT: Final = {"s": 1_000_000, "ms": 1_000, "us": 1}
_UTC = pl.Datetime("us", "UTC")
_DAY_S, _WORKBOOK_ZERO = 86_400, -25_569
_YEAR_1000 = -30_610_224_000_000_000
_PROBES = 200
_CLOCK = (
    r"(?:(?P<joint>[Tt]|[ ,]+)(?P<hour>\d{1,2}):\d{2}(?P<second>:\d{2}(?P<fraction>[.,]\d{1,9})?)?(?P<noon>\s*[AaPp][Mm])?)?"
    r"(?P<zone>\s*(?:[Zz]|UTC|GMT|[+-]\d{2}(?::?\d{2})?))?$"
)
_YMD = r"(?:19|2[01])\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
_SHAPES: Final = (
    (re.compile(r"^\d{4}(?P<sep>[-/. ])\d{1,2}(?P=sep)\d{1,2}(?!\d)" + _CLOCK), "%Y{sep}%m{sep}%d"),
    (re.compile(r"^\d{1,2}(?P<sep>[-/. ])\d{1,2}(?P=sep)\d{4}(?!\d)" + _CLOCK), "{lead}{sep}{then}{sep}%Y"),
    (re.compile(r"^\d{1,2}(?P<sep>[-/. ])\d{1,2}(?P=sep)\d{2}(?!\d)" + _CLOCK), "{lead}{sep}{then}{sep}%y"),
    (re.compile(r"^\d{1,2}(?P<sep>[-/. ])[A-Za-z]{3,9}(?P<gap>[-/. ]|, )\d{4}(?!\d)" + _CLOCK), "%d{sep}%B{gap}%Y"),
    (re.compile(r"^\d{1,2}(?P<sep>[-/. ])[A-Za-z]{3,9}(?P<gap>[-/. ]|, )\d{2}(?!\d)" + _CLOCK), "%d{sep}%B{gap}%y"),
    (re.compile(r"^[A-Za-z]{3,9} \d{1,2}(?P<gap>,? )\d{4}(?!\d)" + _CLOCK), "%B %d{gap}%Y"),
    (re.compile(r"^\d{4}年\d{1,2}月\d{1,2}日" + _CLOCK), "%Y年%m月%d日"),
    (re.compile(rf"^{_YMD}(?!\d)" + _CLOCK), "%Y%m%d"),
)
_DIGITS = re.compile(rf"^{_YMD}(?:[01]\d|2[0-3])[0-5]\d(?P<second>[0-5]\d)?$")
CONVENTION: Final = r"^\s*(\d{1,2})[-/. ](\d{1,2})[-/. ](?:\d{4}|\d{2})(?:\D|$)"
"""A date that only a convention can read, such as 03/04/2017: its two groups are the day and the month, in one order or the other."""


def format_of(text: str, day_first: bool = True) -> str | None:
    """Return the strptime format (in chrono's words) in which one text is a time, None where it is none."""
    if digits := _DIGITS.match(text):
        return "%Y%m%d%H%M%S" if digits["second"] else "%Y%m%d%H%M"
    lead, then = ("%d", "%m") if day_first else ("%m", "%d")
    for shape, form in _SHAPES:
        if found := shape.match(text):
            part = found.groupdict()
            return form.format(lead=lead, then=then, **part) + _clock(part)
    return None


def _clock(part: dict[str, str | None]) -> str:
    text = ""
    if part["hour"]:
        text = f"{part['joint']}{'%I' if part['noon'] else '%H'}:%M{':%S' if part['second'] else ''}{_fraction(part['fraction'])}"
        text += (part["noon"] or "")[:-2] + "%p" if part["noon"] else ""
    zone = part["zone"]
    if zone is None:
        return text
    return text + (zone[: len(zone) - len(zone.lstrip())] + "%#z" if zone.strip()[0] in "+-" else zone)


def _fraction(text: str | None) -> str:
    if text is None:
        return ""
    if text[0] == ".":
        return "%.f"
    return f",%{len(text) - 1}f" if len(text) - 1 in (3, 6, 9) else ",%f"


def _aware(form: str) -> bool:
    return form.endswith(("%#z", "Z", "z", "UTC", "GMT"))


def epoch_unit(numbers: pl.Series) -> str | None:
    """Return the unit of a column of epochs by the magnitude of its median; "date" for 20170131, "excel" for a workbook's days, or None."""
    middle = numbers.cast(pl.Float64, strict=False).abs().median()
    if not isinstance(middle, int | float) or math.isnan(middle):
        return None
    if 19_000_101 <= middle <= 22_001_231:
        whole = numbers.drop_nulls().head(_PROBES).cast(pl.Int64, strict=False).cast(pl.String)
        return "date" if all(format_of(text) == "%Y%m%d" for text in whole) else None
    if WORKBOOK_DAYS[0] <= middle < WORKBOOK_DAYS[1]:
        return "excel"
    return next((unit for unit, (low, high) in UNITS.items() if low <= middle < high), None)


@dataclass(slots=True)
class TimeReader:
    """Reads one column of times, batch by batch, in the formats that it meets.

    Parameters
    ----------
    name
        The column's name, for messages.
    zone
        Zone of the times that name none.
    day_first
        Whether 03/04/2017 is the third of April.
    unit
        Unit of a column of epochs: s, ms, us, ns, "date" for numbers like 20170131, "excel" for days since 30 December 1899.
    formats
        The formats met so far, in the order of meeting.
    naive, aware
        How many times without and with a zone were read.
    gaps, folds
        How many local times did not exist (the clock was set forward over them: moved forward with it), and how many existed twice
        (the first is taken).
    """

    name: str
    zone: str = "UTC"
    day_first: bool = True
    unit: str | None = None
    formats: list[str] = field(default_factory=list)
    naive: int = 0
    aware: int = 0
    gaps: int = 0
    folds: int = 0

    def read(self, column: pl.Series) -> pl.Series:
        """Return the instants of a column (Datetime[us, UTC]), null where a value is none.

        Raises
        ------
        ColumnError
            When some times name a zone and others do not.
        """
        kind = column.dtype
        if isinstance(kind, pl.Datetime):
            found = self._dated(column, kind)
        elif kind == pl.Date:
            found = self._local(column.cast(pl.Datetime("us")))
        elif kind.is_numeric():
            found = self._epochs(column)
        elif kind == pl.Null or kind.is_nested() or kind in (pl.Binary, pl.Object):
            found = pl.Series(column.name, [None] * len(column), dtype=_UTC)
        else:
            found = self._texts(column.cast(pl.String))
        if self.naive and self.aware:
            raise ColumnError(
                f"The column {self.name!r} mixes times with a zone and times without one.",
                "Half of them would be shifted by hours if whenbuy guessed.",
                "Write all times with their zone (2017-11-01T15:30+01:00), or all without and name the zone (timezone=…).",
            )
        return found

    def _dated(self, column: pl.Series, kind: pl.Datetime) -> pl.Series:
        exact = column if kind.time_unit == "us" else column.cast(pl.Datetime("us", kind.time_zone))
        if kind.time_zone is None:
            return self._local(exact)
        self.aware += len(column) - column.null_count()
        return exact if kind.time_zone == "UTC" else exact.dt.convert_time_zone("UTC")

    def _local(self, naive: pl.Series) -> pl.Series:
        self.naive += len(naive) - naive.null_count()
        if self.zone == "UTC":
            return naive.dt.replace_time_zone("UTC")
        first = naive.dt.replace_time_zone(self.zone, ambiguous="earliest", non_existent="null")
        last = naive.dt.replace_time_zone(self.zone, ambiguous="latest", non_existent="null")
        self.folds += int((first != last).sum())
        skipped = first.is_null() & naive.is_not_null()
        if skipped.any():  # as if the clock had not been set forward: the offset of three hours before, then three hours on
            before = naive.dt.offset_by("-3h").dt.replace_time_zone(self.zone, ambiguous="earliest", non_existent="null")
            first = before.dt.convert_time_zone("UTC").dt.offset_by("3h").dt.convert_time_zone(self.zone).zip_with(skipped, first)
            self.gaps += int(skipped.sum())
        return first.dt.convert_time_zone("UTC")

    def _epochs(self, column: pl.Series) -> pl.Series:
        if self.unit is None:
            self.unit = epoch_unit(column.head(_PROBES * 100))
        if self.unit is None:
            return pl.Series(column.name, [None] * len(column), dtype=_UTC)
        if self.unit == "date":
            return self._texts(column.cast(pl.Int64, strict=False).cast(pl.String))
        if self.unit == "excel":
            return self._workbook_days(column)
        numbers = column if column.dtype.is_integer() else column.cast(pl.Float64)
        scale = _PER_UNIT.get(self.unit)
        ceiling = LATEST * 1000 if scale is None else LATEST // scale
        numbers = numbers.to_frame("n").select(pl.when(pl.col("n").is_between(0, ceiling)).then(pl.col("n")))["n"]
        if numbers.dtype.is_integer():
            micros = numbers.cast(pl.Int64) // 1000 if scale is None else numbers.cast(pl.Int64) * scale
        else:
            micros = (numbers / 1000 if scale is None else numbers * scale).round().cast(pl.Int64)
        self.aware += len(column) - column.null_count()
        return micros.cast(pl.Datetime("us")).dt.replace_time_zone("UTC").alias(column.name)

    def _workbook_days(self, column: pl.Series) -> pl.Series:
        """Return the local times that a workbook writes as days, to the nearest second: a fraction of a day is never exact."""
        days = column.cast(pl.Float64)
        days = days.to_frame("n").select(pl.when(pl.col("n").is_between(-_WORKBOOK_ZERO, 3 * WORKBOOK_DAYS[1])).then(pl.col("n")))["n"]
        seconds = ((days + _WORKBOOK_ZERO) * _DAY_S).round()
        return self._local((seconds.cast(pl.Int64) * 1_000_000).cast(pl.Datetime("us"))).alias(column.name)

    def _texts(self, column: pl.Series) -> pl.Series:
        column = column.str.strip_chars()
        rows = np.arange(len(column))
        result = np.full(len(column), MISSING, np.int64)
        tried = 0
        while len(rows):
            if tried == len(self.formats) and not self._learn(column):
                break
            micros = self._in_format(column, self.formats[tried])
            known = micros != MISSING
            result[rows[known]] = micros[known]
            rows, column, tried = rows[~known], column.filter(pl.Series(~known)), tried + 1
        if len(rows) and column.null_count() < len(column) and (self.unit in UNITS or self.unit == "excel" or not self.formats):
            self._numbered(column, rows, result)
        found = pl.Series(column.name, result, dtype=pl.Int64)
        return found.to_frame("t").select(pl.when(pl.col("t") != MISSING).then(pl.col("t")).cast(_UTC))["t"].alias(column.name)

    def _numbered(self, column: pl.Series, rows: Instants, result: Instants) -> None:
        exact = column.cast(pl.Int64, strict=False)
        numbers = exact
        if exact.null_count() > column.null_count():
            numbers = column.str.replace(r"^(\d+),(\d+)$", "$1.$2").cast(pl.Float64, strict=False)
        if numbers.null_count() < len(numbers):
            found = self._epochs(numbers).to_physical().fill_null(MISSING).to_numpy()
            result[rows] = found

    def _learn(self, column: pl.Series) -> bool:
        """Add the formats of some values that no known format reads; return whether there were any."""
        step = max(1, len(column) // _PROBES)
        probes = pl.concat([column.head(_PROBES), column.gather_every(step).head(_PROBES)]).drop_nulls().unique(maintain_order=True)
        known = len(self.formats)
        for text in probes:
            form = format_of(text, self.day_first)
            if form is not None and form not in self.formats:
                self.formats.append(form)
        return len(self.formats) > known

    def _in_format(self, column: pl.Series, form: str) -> Instants:
        found = column.str.to_datetime(form, time_unit="us", strict=False)
        zone = getattr(found.dtype, "time_zone", None)
        plausible = found.to_physical() > _YEAR_1000
        found = found.to_frame("t").select(pl.when(plausible).then(pl.col("t")))["t"]
        if zone is not None or _aware(form):
            self.aware += len(found) - found.null_count()
        else:
            found = self._local(found)
        return found.to_physical().fill_null(MISSING).to_numpy()
