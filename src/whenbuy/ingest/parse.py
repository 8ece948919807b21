"""Columns as numbers, names and attributes, and the evidence in a whole column for how its text is to be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import polars as pl

from whenbuy.ingest.times import CONVENTION
from whenbuy.ingest.words import FALSE_WORDS, MISSING_WORDS, TRUE_WORDS

LONGEST_ID: Final = 1024
"""The longest name that an id may have, in bytes; a row with a longer one is rejected, as is one with a control character in it."""
CONTROL: Final = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
"""Characters that no name has: NUL, escape and their like."""
LARGEST: Final = 1e15
"""The largest number that a row may hold, in its own unit: counted in hundredths it still fits into 64 bits."""

_MISSING = sorted({form for word in MISSING_WORDS for form in (word, word.upper(), word.title(), "NaN", "NaT")})
_TRUTH = sorted(TRUE_WORDS | FALSE_WORDS)
_SIGN = r"(?:[A-Za-z]{1,3}\$|[A-Z]{3}|[a-z]{2}\.?|\p{Sc}|[元円]|zł|Kč)"
_MONEY = rf"^(\(?)\s*([+-]?)\s*{_SIGN}?\s*([+-]?)\s*(\d[\d.,'’\s]*|[.,]\d+)\s*{_SIGN}?\s*(\)?)(-?)$"
_GROUPED: Final = {
    ".": r"^(?:\d+|\d{1,3}(?:[,'’\s]\d{3})+)?(?:\.\d*)?$",
    ",": r"^(?:\d+|\d{1,3}(?:[.'’\s]\d{3})+)?(?:,\d*)?$",
}


def numbers(column: pl.Series, decimal: str = ".") -> tuple[pl.Series, pl.Series | None]:
    """Return a column as numbers, and which of its rows hold something that is none (None where all can be read).

    A missing value is null, as is NaN or an infinity written in text; those of a column of floats stay as they are.

    Parameters
    ----------
    column
        Numbers, or text with currency signs, thousands separators (points, commas, spaces, apostrophes) and brackets or a trailing
        minus for what is negative.
    decimal
        The decimal mark of the text. Groups are checked: with a decimal point ``1,50`` is no number, never 150.
    """
    kind = column.dtype
    if kind.is_integer() or kind.is_float():
        return column, None
    if kind == pl.Boolean or kind.is_decimal():
        return column.cast(pl.Float64), None
    if kind == pl.Null:
        return column.cast(pl.Float64), None
    if kind.is_temporal() or kind.is_nested():
        return pl.Series(column.name, [None] * len(column), dtype=pl.Float64), column.is_not_null()
    text = column.cast(pl.String).str.strip_chars()
    found = _plain_numbers(text, decimal)
    left = found.is_null() & text.is_not_null()
    left &= ~text.is_in(_MISSING)
    if not left.any():
        return found, None
    rest = text.filter(left)
    mended = _written_numbers(rest, decimal)
    places = left.arg_true()
    found = found.scatter(places, mended)
    bad = mended.is_null()
    return found, pl.Series([False], dtype=pl.Boolean).new_from_index(0, len(column)).scatter(places, bad) if bad.any() else None


def _plain_numbers(text: pl.Series, decimal: str) -> pl.Series:
    if decimal == ",":
        simple = text.to_frame("n").select(pl.when(~pl.col("n").str.contains(".", literal=True)).then(pl.col("n")))["n"]
        text = simple.str.replace(",", ".", literal=True)
    found = text.cast(pl.Float64, strict=False)
    return found.to_frame("n").select(pl.when(pl.col("n").is_finite()).then(pl.col("n")))["n"]


def _written_numbers(text: pl.Series, decimal: str) -> pl.Series:
    part = text.to_frame("n").select(
        digits=pl.col("n").str.extract(_MONEY, 4).str.strip_chars(),
        negative=pl.any_horizontal(pl.col("n").str.extract(_MONEY, group).str.contains(r"[(-]").fill_null(False) for group in (1, 2, 3, 6)),
    )
    grouped = pl.when(pl.col("digits").str.contains(_GROUPED[decimal])).then(pl.col("digits"))
    bare = grouped.str.replace_all(r"[\s'’]|" + (r"\." if decimal == "," else ","), "").str.replace(",", ".", literal=True)
    value = bare.cast(pl.Float64, strict=False)
    return part.select(pl.when("negative").then(-value).otherwise(value).alias("n"))["n"]


def names(column: pl.Series, whole: bool = False, empty_words: bool = True) -> tuple[pl.Series, pl.Series | None]:
    """Return a column as names or integers, and which rows hold a name that cannot be kept (None where all can).

    Integers and coded columns stay what they are. Text loses the space around it; an empty one (and words such as ``null`` or ``NaN``)
    is no name. A name with a control character or of more than ``LONGEST_ID`` bytes cannot be kept.

    Parameters
    ----------
    column
        The ids as they came.
    whole
        Whether ``17850.0`` is the integer 17850, as tables with missing ids write it.
    empty_words
        Whether words such as ``null`` are no name.
    """
    kind = column.dtype
    if kind.is_integer():
        return column, None
    if kind.is_float():
        return _whole(column) if whole else (column.fill_nan(None).cast(pl.String), None)
    if kind in (pl.Categorical, pl.Enum):
        return _coded_names(column, empty_words)
    if kind.is_nested() or kind == pl.Object:
        return pl.Series(column.name, [None] * len(column), dtype=pl.String), column.is_not_null()
    text = _text(column).str.strip_chars()
    lost = text.is_null() & column.is_not_null()  # bytes that are no text
    if whole:
        text = text.str.replace(r"^(\d+)\.0+$", "$1")
    text = _without_empty(text, empty_words)
    return text, lost if lost.any() else _unkeepable(text)


def _text(column: pl.Series) -> pl.Series:
    try:
        return column.cast(pl.String)
    except pl.exceptions.ComputeError:  # bytes, some of them no UTF-8
        return pl.Series(column.name, [None if b is None or not _is_utf8(b) else b.decode() for b in column], dtype=pl.String)


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _without_empty(text: pl.Series, empty_words: bool) -> pl.Series:
    empty = text.is_in(_MISSING) if empty_words else text == ""
    return text.to_frame("n").select(pl.when(~empty).then(pl.col("n")))["n"].alias(text.name) if empty.any() else text


def _unkeepable(text: pl.Series) -> pl.Series | None:
    bad = text.str.contains(CONTROL) | (text.str.len_bytes() > LONGEST_ID)
    return bad.fill_null(False) if bad.any() else None


def _whole(column: pl.Series) -> tuple[pl.Series, pl.Series | None]:
    known = column.fill_nan(None)
    exact = known.cast(pl.Int64, strict=False)
    bad = (known.is_not_null() & (exact.is_null() | (exact != known))).fill_null(True)
    return exact, bad if bad.any() else None


def _coded_names(column: pl.Series, empty_words: bool) -> tuple[pl.Series, pl.Series | None]:
    distinct = column.unique().drop_nulls().cast(pl.String)
    clean = distinct.str.strip_chars()
    kept = _without_empty(clean, empty_words)
    if kept.null_count() or (clean != distinct).any() or _unkeepable(kept) is not None:
        return names(column.cast(pl.String), empty_words=empty_words)
    return column, None


@dataclass(slots=True)
class DayEvidence:
    """What a whole column says about whether its dates lead with the day or with the month."""

    dates: int = 0
    first_beyond: int = 0
    """Dates whose first number is above 12: only a day can be."""
    second_beyond: int = 0
    steps_day: int = 0
    steps_month: int = 0
    """Steps backwards in time from row to row, were the day or the month first."""
    noon: bool = False
    """Whether some times are told by a 12-hour clock, as where the month comes first."""
    points: bool = True
    """Whether the dates are written with points, as where the day comes first."""
    firsts: set[int] = field(default_factory=set)
    seconds: set[int] = field(default_factory=set)
    """The different first and second numbers."""

    def see(self, text: pl.Series) -> None:
        """Count one batch of the column."""
        parts = text.str.extract_groups(CONVENTION).struct.unnest().cast(pl.Int8, strict=False)
        first, second = parts.to_series(0), parts.to_series(1)
        found = first.is_not_null()
        if not found.any():
            return
        self.dates += int(found.sum())
        self.first_beyond += int((first > 12).sum())
        self.second_beyond += int((second > 12).sum())
        self.steps_day += int((second.drop_nulls().diff() < 0).sum())
        self.steps_month += int((first.drop_nulls().diff() < 0).sum())
        self.firsts.update(first.drop_nulls().unique())
        self.seconds.update(second.drop_nulls().unique())
        self.noon |= bool(text.str.contains(r"\d\s*[AaPp][Mm]$").any())
        self.points &= bool(text.str.contains(r"^\s*\d{1,2}\.").any())

    def verdict(self) -> tuple[bool, float, str]:
        """Return whether the day comes first, how sure that is, and why."""
        beyond = self.first_beyond + self.second_beyond
        if beyond:
            day_first = self.first_beyond >= self.second_beyond
            agree = max(self.first_beyond, self.second_beyond)
            place = "first" if day_first else "second"
            return day_first, agree / beyond, f"in {agree:,} of {self.dates:,} dates the {place} number is above 12"
        if self.steps_day != self.steps_month:
            day_first = self.steps_day < self.steps_month
            way = "day" if day_first else "month"
            return day_first, 0.7, f"no number above 12 decides; with the {way} first the rows are nearer to the order of time"
        slow, quick = sorted((self.firsts, self.seconds), key=len)
        if len(slow) < len(quick) and slow != {1}:  # always the first of a month would be a day that never changes
            day_first = quick is self.firsts
            return day_first, 0.65, f"no number above 12 decides; the {'first' if day_first else 'second'} numbers change more often"
        if self.noon:
            return False, 0.6, "nothing in the dates decides; with a 12-hour clock the month is taken to come first"
        return True, 0.6 if self.points else 0.5, "nothing in the dates decides; the day is taken to come first"


@dataclass(slots=True)
class DecimalEvidence:
    """What all number columns of a file say about its decimal mark."""

    comma: int = 0
    point: int = 0
    comma_three: int = 0
    """Numbers such as 1,234 that could be either."""
    point_three: int = 0

    def see(self, text: pl.Series) -> None:
        """Count one batch of one column."""
        marked = text.filter(text.str.contains(r"[.,]"))
        if not len(marked):
            return
        tail = marked.str.replace(r"[^\d]+$", "")
        self.comma += int(tail.str.contains(r"^[^,]*,(?:\d{0,2}|\d{4,})$|\.\d{3},\d*$").sum())
        self.point += int(tail.str.contains(r"^[^.]*\.(?:\d{0,2}|\d{4,})$|,\d{3}\.\d*$").sum())
        self.comma_three += int(tail.str.contains(r"^[^.,]*[1-9]\d{0,2},\d{3}$").sum())
        self.point_three += int(tail.str.contains(r"^[^.,]*[1-9]\d{0,2}\.\d{3}$").sum())

    def verdict(self, separator: str | None) -> tuple[str, float, str]:
        """Return the decimal mark, how sure it is, and why."""
        if self.comma or self.point:
            mark, agree = (",", self.comma) if self.comma > self.point else (".", self.point)
            return mark, agree / (self.comma + self.point), f"{agree:,} numbers have a decimal {'comma' if mark == ',' else 'point'}"
        if self.comma_three and not self.point_three:
            mark = "," if separator == ";" else "."
            return (
                mark,
                0.6,
                "numbers such as 1,234 do not tell; " + ("the semicolons do" if mark == "," else "commas are taken to group thousands"),
            )
        return (
            ".",
            0.7 if self.point_three else 1.0,
            "no number has a comma" if not self.comma_three else "numbers such as 1.234 do not tell",
        )


@dataclass(slots=True)
class AttributeEvidence:
    """Whether a text column that rides along holds numbers or yes and no throughout."""

    boolean: bool = True
    integer: bool = True
    point: bool = True
    comma: bool = True
    filled: bool = False

    def see(self, text: pl.Series) -> None:
        """Judge one batch of the column."""
        known = text.str.strip_chars().drop_nulls()
        known = known.filter(~known.is_in(_MISSING)).unique()
        if not len(known):
            return
        self.filled = True
        self.boolean = self.boolean and bool(known.str.to_lowercase().is_in(_TRUTH).all())
        self.integer = self.integer and bool(known.str.contains(r"^-?(?:0|[1-9]\d{0,14})$").all())
        self.point = self.point and bool(known.str.contains(r"^-?(?:0|[1-9]\d{0,14})(?:\.\d+)?(?:[eE][+-]?\d+)?$").all())
        self.comma = self.comma and bool(known.str.contains(r"^-?(?:0|[1-9]\d{0,14})(?:,\d+)?$").all())

    def read(self, column: pl.Series, decimal: str) -> pl.Series:
        """Return the column as what it holds throughout."""
        if self.filled and self.boolean:
            word = column.str.strip_chars().str.to_lowercase()
            return word.replace_strict(_TRUTH, [text in TRUE_WORDS for text in _TRUTH], default=None, return_dtype=pl.Boolean)
        if self.filled and self.integer:
            return column.str.strip_chars().cast(pl.Int64, strict=False)
        if self.filled and (self.comma if decimal == "," else self.point):
            return numbers(column, decimal)[0]
        return _without_empty(column.str.strip_chars(), True)
