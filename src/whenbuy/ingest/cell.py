"""One value at a time, as it comes in a stream, read by the rules by which `parse` and `times` read whole columns."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

import polars as pl

from whenbuy.core.errors import ColumnError
from whenbuy.ingest.parse import CONTROL, LARGEST, LONGEST_ID
from whenbuy.ingest.times import EARLIEST, LATEST, UNITS, TimeReader, format_of
from whenbuy.ingest.words import FALSE_WORDS, MISSING_WORDS, TRUE_WORDS

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_LONGEST_WORD: Final = max(map(len, MISSING_WORDS))
_BARE = re.compile(r"[+-]?\d+(?:\.\d*)?", re.ASCII)
_CONTROL = re.compile(CONTROL)
_NUMERIC = re.compile(r"\d+(?:[.,]\d+)?", re.ASCII)
_FLOAT = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_CURRENCIES: Final = "$¢£¤¥֏؋߾߿৲৳৻૱௹฿៛₠-⃀꠸﷼﹩\uff04\uffe0\uffe1\uffe5\uffe6"
_SIGN: Final = rf"(?:[A-Za-z]{{1,3}}\$|[A-Z]{{3}}|[a-z]{{2}}\.?|[{_CURRENCIES}元円]|zł|Kč)"
_MONEY = re.compile(rf"(\(?)\s*([+-]?)\s*{_SIGN}?\s*([+-]?)\s*(?P<digits>[0-9][0-9.,'’\s]*|[.,][0-9]+)\s*{_SIGN}?\s*(\)?)(-?)")
_GROUPED: Final = {
    ".": re.compile(r"(?:[0-9]+|[0-9]{1,3}(?:[,'’\s][0-9]{3})+)?(?:\.[0-9]*)?"),
    ",": re.compile(r"(?:[0-9]+|[0-9]{1,3}(?:[.'’\s][0-9]{3})+)?(?:,[0-9]*)?"),
}
_SPACES = re.compile(r"[\s'’]")
_PER_SECOND: Final = {"s": 1_000_000.0, "ms": 1_000.0, "us": 1.0, "ns": 0.001}
_SHOWN = 60
_SLOW: Final = "a year of two digits: Python begins its century elsewhere than polars"


class BadCellError(ValueError):
    """A value that cannot be what it must be: ``got``, ``need`` and ``do``, to be said with the column's name."""

    def __init__(self, got: str, need: str, do: str = "Correct it and send the event again.") -> None:
        self.got, self.need, self.do = got, need, do
        super().__init__(f"{got} {need} {do}")


def shown(value: object) -> str:
    """Return a value as a message shows it: never all of a long one."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def name_of(column: str, value: object, words: bool = True) -> str | None:
    """Return a value as a name, None where it is empty.

    Parameters
    ----------
    column
        What it is called in messages.
    value
        Text, a number or a truth value. ``17850.0`` is the name ``17850``.
    words
        Whether words such as ``null`` are no name.

    Raises
    ------
    BadCellError
        When it is a list or an object, has a control character or is longer than ``LONGEST_ID`` bytes.
    """
    text = value.strip() if type(value) is str else _text(column, value).strip()
    if not text or (words and len(text) <= _LONGEST_WORD and text.lower() in MISSING_WORDS):
        return None
    if text.isascii() and text.isprintable() and len(text) <= LONGEST_ID:
        return text
    if _CONTROL.search(text) or _bytes(text) > LONGEST_ID:
        raise BadCellError(
            f"{column} is {shown(text)}.",
            f"A name has no control character and at most {LONGEST_ID:,} bytes.",
            "Send a shorter, plain one.",
        )
    return text


def prose_of(column: str, value: object) -> str | None:
    """Return a value as a text of any length, without control characters; None where it is empty."""
    text = _CONTROL.sub("", _text(column, value)).strip()
    _bytes(text)
    return text or None


def number_of(column: str, value: object, decimal: str = ".") -> float | int | None:
    """Return a value as a number, None where it is empty, NaN or infinite.

    Raises
    ------
    BadCellError
        When it is no number, or one beyond ``LARGEST``.
    """
    found: float | int | None
    if type(value) is float or type(value) is int:
        found = value
    elif isinstance(value, str):
        found = _written(column, value.strip(), decimal)
    elif isinstance(value, Decimal):
        found = float(value)
    else:
        raise BadCellError(f"{column} is {shown(value)}.", "A number is needed, such as 12.50.")
    if found is None or (isinstance(found, float) and not math.isfinite(found)):
        return None
    if not -LARGEST <= found <= LARGEST:
        raise BadCellError(f"{column} is {shown(value)}.", f"Numbers reach from −{LARGEST:g} to {LARGEST:g}.")
    return found


def figure_of(column: str, value: object, decimal: str = ".") -> float | int | None:
    """Return a value of an attribute that holds numbers: yes and no are 1 and 0."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str) and (word := value.strip().lower()) in _TRUTH:
        return _TRUTH[word]
    return number_of(column, value, decimal)


_TRUTH: Final = {**dict.fromkeys(TRUE_WORDS, 1), **dict.fromkeys(FALSE_WORDS, 0)}


def instant_of(column: str, zone: ZoneInfo, day_first: bool, value: object) -> int | None:
    """Return a value as an instant (microseconds, UTC), None where it is empty.

    Parameters
    ----------
    column
        What it is called in messages.
    zone
        Of times that name none.
    day_first
        Whether 03/04/2017 is the third of April.
    value
        An ISO 8601 text, any other text that `TimeReader` reads, an epoch in seconds, milliseconds, microseconds or nanoseconds (told apart
        by magnitude), a date or a date-time.

    Raises
    ------
    BadCellError
        When it is no time, or none between 1970 and 2200.
    """
    if isinstance(value, str):
        value = value.strip()
        if not value:
            return None
        found = _iso(value, zone)
        found = _any_time(value, zone, day_first) if found is None else found
    elif isinstance(value, datetime):
        found = _micros(value, zone)
    elif isinstance(value, date):
        found = _micros(datetime(value.year, value.month, value.day), zone)
    elif type(value) is int or type(value) is float:
        found = _epoch(value, zone)
    elif value is None:
        return None
    else:
        found = None
    if found is None:
        raise BadCellError(f"{column} is {shown(value)}.", "A time is needed, such as 2017-11-01T15:30:00Z.")
    if not EARLIEST <= found < LATEST:
        raise BadCellError(f"{column} is {shown(value)}.", "A time between 1970 and 2200 is needed.")
    return found


def _iso(text: str, zone: ZoneInfo) -> int | None:
    if len(text) < 19 or text[4] != "-" or text[10] not in "T ":
        return None
    try:
        return _micros(datetime.fromisoformat(text), zone)
    except (ValueError, OverflowError):
        return None


def _micros(moment: datetime, zone: ZoneInfo) -> int:
    """Return a moment as an instant; a local time that does not exist moves forward with the clock, of two the first is taken."""
    return ((moment.replace(tzinfo=zone) if moment.tzinfo is None else moment) - _EPOCH) // _MICROSECOND


def _epoch(value: float, zone: ZoneInfo) -> int | None:
    for unit, (low, high) in UNITS.items():
        if low <= value < high:
            if isinstance(value, int):
                return value // 1_000 if unit == "ns" else value * int(_PER_SECOND[unit])
            return round(value * _PER_SECOND[unit])
    return _any_time(value, zone, True) if 0 < value < 1e8 else None


def _any_time(value: str | float, zone: ZoneInfo, day_first: bool) -> int | None:
    if isinstance(value, str) and not _NUMERIC.fullmatch(value):
        form = format_of(value, day_first)
        if form is None:
            return None
        utc = form.endswith(("Z", "z", "UTC", "GMT")) and not form.endswith("%#z")
        try:
            moment = datetime.strptime(value, form.replace("%.f", ".%f").replace("%#z", "%z").replace("%y", _SLOW))
            return _micros(moment.replace(tzinfo=UTC) if utc else moment, zone)
        except (ValueError, OverflowError):
            pass  # nine decimals, an offset in whole hours, a year of two digits
    try:
        found = TimeReader("time", zone.key, day_first).read(pl.Series([value]))
    except (ColumnError, OverflowError, pl.exceptions.PolarsError):
        return None
    instant = found.to_physical()[0]
    return None if instant is None else int(instant)


def _written(column: str, text: str, decimal: str) -> float | None:
    """Return a text as a number, as `parse.numbers` reads it."""
    if decimal == "." and _BARE.fullmatch(text):
        return float(text)
    if text.lower() in MISSING_WORDS:
        return None
    simple = text if decimal == "." else text.replace(",", ".") if "." not in text else ""
    if _FLOAT.fullmatch(simple):
        return float(simple)
    found = _MONEY.fullmatch(text)
    digits = found["digits"].strip() if found else ""
    if found is None or not _GROUPED[decimal].fullmatch(digits):
        raise BadCellError(f"{column} is {shown(text)}.", f"A number is needed, such as 12{decimal}50.")
    bare = _SPACES.sub("", digits).replace("." if decimal == "," else ",", "").replace(",", ".")
    negative = found[1] or found[2] == "-" or found[3] == "-" or found[6]
    return -float(bare) if negative else float(bare)


def _text(column: str, value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return "" if math.isnan(value) else str(int(value)) if value.is_integer() else str(value)
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            pass
    elif isinstance(value, (int, Decimal, UUID, date)):
        return str(value)
    raise BadCellError(
        f"{column} is {shown(value)}.", "Text, a number or a truth value is needed.", "Send one event per item, and names as text."
    )


def _bytes(text: str) -> int:
    """Return the length in UTF-8.

    Raises
    ------
    BadCellError
        When the text holds half a character.
    """
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        raise BadCellError(f"{shown(text)} holds half a character (a lone surrogate).", "Text must be Unicode.") from error
