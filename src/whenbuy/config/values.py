"""Values of whenbuy.toml: what each may be, in words, and how a section reads its own.

Each reader returns the value as it is kept, or raises ValueError with what is needed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, fields
from datetime import date, datetime
from types import MappingProxyType
from typing import Any, Final, TypeVar

from whenbuy.core.clock import Clock
from whenbuy.core.errors import SettingsError

FILE: Final = "whenbuy.toml"
LONGEST_DAYS: Final = 3650.0
"""The longest horizon that may be asked for: ten years."""

Table = Mapping[str, Any]
_DAYS = re.compile(r"\s*(\d+(?:\.\d+)?)\s*d\s*")
_T = TypeVar("_T")


def read_number(value: object, low: float, high: float, need: str) -> float:
    """Return a number between two bounds."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not low <= value <= high:
        raise ValueError(need)
    return float(value)


def read_text(value: object) -> str:
    """Return a text."""
    if not isinstance(value, str) or "\0" in value:
        raise ValueError("a text in quotes")
    return value


def read_zone(value: object) -> str:
    """Return the name of a time zone."""
    need = "the name of a time zone, such as 'Europe/Berlin' or 'UTC'"
    if not isinstance(value, str):
        raise ValueError(need)
    try:
        return Clock(value).zone
    except SettingsError:
        raise ValueError(need) from None


def read_currency(value: object) -> str:
    """Return the code of a currency, or none."""
    if not isinstance(value, str) or not (value == "" or re.fullmatch(r"[A-Z]{3}", value)):
        raise ValueError("a code of three capital letters, such as 'EUR', or '' where the shop has one currency without a name")
    return value


def read_days(value: object) -> float:
    """Return a number of days, also written as "7d"."""
    found = _DAYS.fullmatch(value) if isinstance(value, str) else None
    number = read_number(float(found[1]) if found else value, 0.0, LONGEST_DAYS, "days")
    if number == 0:
        raise ValueError("days")
    return number


def read_horizons(value: object) -> tuple[float, ...]:
    """Return horizons in days, rising."""
    need = f"a list of days above 0 and at most {LONGEST_DAYS:g}, such as [7, 14, 28] or ['7d', '14d']"
    try:
        found = tuple(sorted({read_days(each) for each in _items(value)}))
    except ValueError:
        raise ValueError(need) from None
    if not found:
        raise ValueError(need)
    return found


def read_seed(value: object) -> int:
    """Return where chance starts."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise ValueError("a whole number from 0 on")
    return value


def read_mark(value: object) -> str:
    """Return one character, or none."""
    if not isinstance(value, str) or len(value) > 1:
        raise ValueError("one character in quotes, or '' to find it out")
    return value


UNSAID: Final[bool | str] = ""
"""What stands for a yes or no that is found out."""


def read_order(value: object) -> bool | str:
    """Return yes, no, or nothing said."""
    if not isinstance(value, bool) and value != "":
        raise ValueError("true, false, or '' to find it out")
    return "" if value == "" else bool(value)


def read_lateness(value: object) -> float:
    """Return a number of days from 0 on."""
    return read_number(value, 0.0, LONGEST_DAYS, "a number of days of at least 0")


def read_paths(value: object) -> tuple[str, ...]:
    """Return one path or several."""
    listed = (value,) if isinstance(value, str) else _items(value)
    if not all(isinstance(each, str) and each and "\0" not in each for each in listed):
        raise ValueError("a path in quotes, or a list of them")
    return tuple(str(each) for each in listed)


def read_names(value: object) -> Mapping[str, str]:
    """Return names by name."""
    if not isinstance(value, Mapping) or not all(isinstance(v, str) and v and isinstance(k, str) and k for k, v in value.items()):
        raise ValueError('a table of names: name = "other name"')
    return MappingProxyType(dict(value))


def read_columns(value: object) -> Mapping[str, str]:
    """Return names by name; an empty one says that there is no such column, or that it is not read."""
    if not isinstance(value, Mapping):
        raise ValueError('a table of names: name = "other name"')
    named = read_names({name: each for name, each in value.items() if each != ""})
    return MappingProxyType({name: named.get(name, "") for name in value})


def read_flag(value: object) -> bool:
    """Return yes or no."""
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def read_fills(value: object) -> Table:
    """Return how the empty cells of each column are filled: a word, or a table with ``how``."""
    if not isinstance(value, Mapping):
        raise ValueError("a table of fills")
    for each in value.values():
        if not (isinstance(each, str) and each) and not (isinstance(each, Mapping) and isinstance(each.get("how"), str)):
            raise ValueError('a table of fills by column, such as unit_price = "median" or channel = { how = "constant", value = "web" }')
    return MappingProxyType(dict(value))


def read_list(value: object) -> tuple[str, ...]:
    """Return a list of names."""
    if not all(isinstance(each, str) and each for each in _items(value, "a list of names")):
        raise ValueError("a list of names")
    return tuple(str(each) for each in _items(value))


def read_rules(value: object) -> Table:
    """Return rules by name."""
    if not isinstance(value, Mapping):
        raise ValueError("a table of rules")
    return MappingProxyType(dict(value))


def read_dates(value: object) -> tuple[date, ...]:
    """Return dates, rising."""
    need = "a list of dates, such as [2017-12-25, 2018-01-01]"
    try:
        return tuple(sorted({_date(each) for each in _items(value)}))
    except ValueError:
        raise ValueError(need) from None


def _date(value: object) -> date:
    if isinstance(value, str):
        return date.fromisoformat(value)
    if isinstance(value, datetime) or not isinstance(value, date):
        raise ValueError
    return value


def read_month_days(value: object) -> tuple[int, ...]:
    """Return days of the month, rising."""
    need = "a list of days of the month from 1 to 31; a day that a month lacks is its last day"
    return tuple(sorted({int(read_number(each if isinstance(each, int) else None, 1, 31, need)) for each in _items(value, need)}))


def _items(value: object, need: str = "a list") -> Iterable[object]:
    if not isinstance(value, list | tuple):
        raise ValueError(need)
    return value


def check(section: Any, name: str) -> None:
    """Read every value of a section that has a reader: normalise it, or say what is needed."""
    for each in fields(section):
        if "read" in each.metadata:
            value = getattr(section, each.name)
            object.__setattr__(
                section, each.name, read_value(each.metadata["read"], value, f"[{name}] {each.name}" if name else f"[{each.name}]")
            )


def read_value(read: Callable[[object], object], value: object, where: str) -> object:
    """Return a value as a reader keeps it, or say where it stands and what it must be."""
    try:
        return read(value)
    except ValueError as need:
        raise SettingsError(f"{where} is {shown(value)}.", f"It must be {need}.", f"Correct it in {FILE}.") from None


def setting(default: _T, read: Callable[[object], _T], about: str) -> _T:
    """Return a field with its default, its reader and the comment that whenbuy.toml shows above it."""
    metadata = {"read": read, "about": about}
    if isinstance(default, Mapping):
        made: _T = field(default_factory=lambda: read(default), metadata=metadata)
        return made
    return field(default=default, metadata=metadata)


def shown(value: object) -> str:
    """Return a value as errors show it."""
    text = repr(dict(value)) if isinstance(value, Mapping) else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
