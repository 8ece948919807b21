"""whenbuy.toml as frozen settings. An unknown key is an error that names the nearest known one, and the line where it stands."""

from __future__ import annotations

import difflib
import hashlib
import json
import math
import re
import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime, time
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar

from whenbuy.core.clock import Clock
from whenbuy.core.errors import AccessError, NotFoundError, SettingsError

FILE: Final = "whenbuy.toml"
LONGEST_DAYS: Final = 3650.0
"""The longest horizon that may be asked for: ten years."""

Table = Mapping[str, Any]
_HEADER = re.compile(r"^\s*\[([^\[\]]+)\]\s*(#.*)?$")
_KEY = re.compile(r"""^\s*(?:"([^"]*)"|'([^']*)'|([\w.-]+))\s*=""")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_DAYS = re.compile(r"\s*(\d+(?:\.\d+)?)\s*d\s*")
_T = TypeVar("_T")


# ------------------------------------------------------------------------------------------------ reading one value
# Each reader returns the value as it is kept, or raises ValueError with what is needed, in words.


def _number(value: object, low: float, high: float, need: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not low <= value <= high:
        raise ValueError(need)
    return float(value)


def _text(value: object) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ValueError("a text in quotes")
    return value


def _zone(value: object) -> str:
    need = "the name of a time zone, such as 'Europe/Berlin' or 'UTC'"
    if not isinstance(value, str):
        raise ValueError(need)
    try:
        return Clock(value).zone
    except SettingsError:
        raise ValueError(need) from None


def _currency(value: object) -> str:
    if not isinstance(value, str) or not (value == "" or re.fullmatch(r"[A-Z]{3}", value)):
        raise ValueError("a code of three capital letters, such as 'EUR', or '' where the shop has one currency without a name")
    return value


def _days(value: object) -> float:
    found = _DAYS.fullmatch(value) if isinstance(value, str) else None
    number = _number(float(found[1]) if found else value, 0.0, LONGEST_DAYS, "days")
    if number == 0:
        raise ValueError("days")
    return number


def _horizons(value: object) -> tuple[float, ...]:
    need = f"a list of days above 0 and at most {LONGEST_DAYS:g}, such as [7, 14, 28] or ['7d', '14d']"
    try:
        found = tuple(sorted({_days(each) for each in _items(value)}))
    except ValueError:
        raise ValueError(need) from None
    if not found:
        raise ValueError(need)
    return found


def _seed(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise ValueError("a whole number from 0 on")
    return value


def _mark(value: object) -> str:
    if not isinstance(value, str) or len(value) > 1:
        raise ValueError("one character in quotes, or '' to find it out")
    return value


_UNSAID: Final[bool | str] = ""


def _order(value: object) -> bool | str:
    if not isinstance(value, bool) and value != "":
        raise ValueError("true, false, or '' to find it out")
    return "" if value == "" else bool(value)


def _lateness(value: object) -> float:
    return _number(value, 0.0, LONGEST_DAYS, "a number of days of at least 0")


def _paths(value: object) -> tuple[str, ...]:
    listed = (value,) if isinstance(value, str) else _items(value)
    if not all(isinstance(each, str) and each and "\0" not in each for each in listed):
        raise ValueError("a path in quotes, or a list of them")
    return tuple(str(each) for each in listed)


def _names(value: object) -> Mapping[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(v, str) and v and isinstance(k, str) and k for k, v in value.items()):
        raise ValueError('a table of names: name = "other name"')
    return MappingProxyType(dict(value))


def _rules(value: object) -> Table:
    if not isinstance(value, Mapping):
        raise ValueError("a table of rules")
    return MappingProxyType(dict(value))


def _dates(value: object) -> tuple[date, ...]:
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


def _month_days(value: object) -> tuple[int, ...]:
    need = "a list of days of the month from 1 to 31; a day that a month lacks is its last day"
    return tuple(sorted({int(_number(each if isinstance(each, int) else None, 1, 31, need)) for each in _items(value, need)}))


def _items(value: object, need: str = "a list") -> Iterable[object]:
    if not isinstance(value, list | tuple):
        raise ValueError(need)
    return value


# ----------------------------------------------------------------------------------------------------- the sections


def _check(section: Any, name: str) -> None:
    """Read every value of a section that has a reader: normalise it, or say what is needed."""
    for each in fields(section):
        if "read" in each.metadata:
            value = getattr(section, each.name)
            object.__setattr__(
                section, each.name, _value(each.metadata["read"], value, f"[{name}] {each.name}" if name else f"[{each.name}]")
            )


def _value(read: Callable[[object], object], value: object, where: str) -> object:
    try:
        return read(value)
    except ValueError as need:
        raise SettingsError(f"{where} is {_shown(value)}.", f"It must be {need}.", f"Correct it in {FILE}.") from None


def _setting(default: _T, read: Callable[[object], _T], about: str) -> _T:
    """Return a field with its default, its reader and the comment that whenbuy.toml shows above it."""
    metadata = {"read": read, "about": about}
    if isinstance(default, Mapping):
        made: _T = field(default_factory=lambda: read(default), metadata=metadata)
        return made
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True)
class ShopSettings:
    """What the shop is, and what is asked of it."""

    name: str = _setting("", _text, "How reports call the shop.")
    timezone: str = _setting("UTC", _zone, "The zone in which the shop counts its days.")
    currency: str = _setting("", _currency, 'The currency of its amounts, such as "EUR".')
    horizons: tuple[float, ...] = _setting((7.0, 14.0, 28.0), _horizons, "How far ahead to look, in days: the chance to buy within each.")
    lateness_days: float = _setting(0.0, _lateness, "How many days an event may arrive late; a label counts when they have passed as well.")
    seed: int = _setting(0, _seed, "Where chance starts: the same seed gives the same bytes.")

    def __post_init__(self) -> None:
        _check(self, "shop")


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """Where the events come from."""

    paths: tuple[str, ...] = _setting((), _paths, "Files or folders with events, relative to this file.")
    layout: str = _setting("", _text, 'The name of a public layout, or "" to read the columns as [columns] says.')
    encoding: str = _setting("", _text, 'How text files are encoded, such as "cp1252"; "" finds it out.')
    separator: str = _setting("", _mark, 'What stands between the fields of a line; "" finds it out.')
    decimal: str = _setting("", _mark, 'The decimal mark, "." or ","; "" finds it out.')
    day_first: bool | str = _setting(_UNSAID, _order, 'Whether 03/04/2017 is the third of April; "" finds it out.')

    def __post_init__(self) -> None:
        _check(self, "source")


@dataclass(frozen=True, slots=True)
class CalendarSettings:
    """Days that differ from others. They are given by the shop, never guessed."""

    closed: tuple[date, ...] = _setting((), _dates, "Days on which nobody can buy, such as [2017-12-25].")
    holidays: tuple[date, ...] = _setting((), _dates, "Holidays on which the shop is open.")
    pay_days: tuple[int, ...] = _setting((), _month_days, "Days of the month on which people are paid; 31 is the last day of any month.")

    def __post_init__(self) -> None:
        _check(self, "calendar")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that whenbuy.toml says.

    Raises
    ------
    SettingsError
        When a value is not what it must be.
    """

    shop: ShopSettings = ShopSettings()
    source: SourceSettings = SourceSettings()
    columns: Mapping[str, str] = _setting({}, _names, "Our column = the column of the file. What is not named is guessed.")
    kinds: Mapping[str, str] = _setting({}, _names, "The shop's name of an event = ours. What is not named is guessed.")
    clean: Table = _setting({}, _rules, "Cleaning rules and their settings.")
    calendar: CalendarSettings = CalendarSettings()

    def __post_init__(self) -> None:
        _check(self, "")

    @classmethod
    def read(cls, path: Path | str, rules: Collection[str] | None = None) -> Settings:
        """Return the settings in a file.

        Parameters
        ----------
        path
            The file, or the folder that holds it.
        rules
            The cleaning rules that there are; another name under [clean] is an error. Any name passes by default.

        Raises
        ------
        NotFoundError
            When there is no such file.
        SettingsError
            When it is not TOML, has an unknown key or an impossible value.
        """
        path = Path(path)
        path = path / FILE if path.is_dir() else path
        return cls.parse(_content(path), rules, str(path))

    @classmethod
    def parse(cls, text: str, rules: Collection[str] | None = None, where: str = FILE) -> Settings:
        """Return the settings in a text; ``where`` is how errors call it."""
        try:
            found = tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            raise SettingsError(f"{where} cannot be read: {error}.", "It must be TOML.", "Correct that place.") from error
        source = _Source(text, where)
        source.require_known("", found, SECTIONS)
        given: dict[str, Any] = {name: source.section(name, value) for name, value in found.items()}
        if rules is not None:
            source.require_known("clean", given.get("clean", {}), rules)
        return cls(**given)

    def text(self) -> str:
        """Return the settings as a commented whenbuy.toml that reads back as the same settings."""
        lines = ["# What whenbuy knows about this shop. Delete a line to get its default back."]
        for each in fields(self):
            section = getattr(self, each.name)
            lines += ["", f"[{each.name}]"]
            if each.name in _FREE:
                lines += [f"# {each.metadata['about']}", *(f"{_key(name)} = {_toml(value)}" for name, value in section.items())]
            else:
                lines += [f"{s.name} = {_toml(getattr(section, s.name))}  # {s.metadata['about']}" for s in fields(section)]
        return "\n".join(lines) + "\n"

    def fingerprint(self) -> str:
        """Return a sha256 over the settings; comments, order and layout of the file do not count."""
        plain = {each.name: _plain(getattr(self, each.name)) for each in fields(self)}
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


_TYPED: Final[Mapping[str, type]] = {"shop": ShopSettings, "source": SourceSettings, "calendar": CalendarSettings}
_FREE: Final = ("columns", "kinds", "clean")
SECTIONS: Final = tuple(each.name for each in fields(Settings))
"""The sections of whenbuy.toml."""


# --------------------------------------------------------------------------------------------------------- the file


@dataclass(frozen=True, slots=True)
class _Source:
    """The text of a settings file, to say where something stands in it."""

    text: str
    name: str

    def section(self, name: str, value: object) -> object:
        """Return one section as it is kept."""
        if not isinstance(value, Mapping):
            raise SettingsError(f"{self._place(name)}: {name!r} is {_shown(value)}.", f"It must be a section [{name}].", "Correct it.")
        if name in _FREE:
            read = {each.name: each.metadata["read"] for each in fields(Settings) if each.name in _FREE}[name]
            return _value(read, value, f"{self._place(name)}: [{name}]")
        made = _TYPED[name]
        readers = {each.name: each.metadata["read"] for each in fields(made)}
        self.require_known(name, value, readers)
        return made(**{key: _value(readers[key], each, f"{self._place(name, key)}: {key!r}") for key, each in value.items()})

    def require_known(self, section: str, found: Iterable[str], known: Collection[str]) -> None:
        """Raise SettingsError for the first key that is not known, with the nearest one that is."""
        for key in found:
            if key in known:
                continue
            near = difflib.get_close_matches(key, list(known), n=1, cutoff=0.5)
            there = f"[{section}]" if section else "the file"
            raise SettingsError(
                f"{self._place(section, key)}: {key!r} is not a {'key of ' + there if section else 'section'}.",
                f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(known)}.",
                f"Known in {there}: {', '.join(known)}." if near else "Correct it or take it out.",
            )

    def _place(self, section: str, key: str = "") -> str:
        line = self._line(section, key)
        return f"{self.name}, line {line}" if line else self.name

    def _line(self, section: str, key: str) -> int:
        """Return the line on which a key, or else a section, stands; 0 where the text writes it in a way that is not searched."""
        wanted = [f"{section}.{key}".strip("."), section or key]
        found: dict[str, int] = {}
        here = ""
        for number, line in enumerate(self.text.splitlines(), 1):
            if header := _HEADER.match(line):
                here = header[1].replace('"', "").replace("'", "").replace(" ", "")
                found.setdefault(here, number)
            elif name := _KEY.match(line):
                found.setdefault(f"{here}.{name[1] or name[2] or name[3]}".strip("."), number)
        return next((found[name] for name in wanted if name in found), 0)


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise NotFoundError(f"There is no {path}.", "A shop is a folder with a whenbuy.toml.", "Make one with `whenbuy init`.") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not UTF-8 text (byte {error.start}).", "TOML is UTF-8.", "Save it as UTF-8.") from error
    except OSError as error:
        raise AccessError(
            f"{path} cannot be read: {error.strerror}.", "whenbuy must be able to read it.", "Look at its permissions."
        ) from error


def _shown(value: object) -> str:
    shown = repr(dict(value)) if isinstance(value, Mapping) else repr(value)
    return shown if len(shown) <= 80 else shown[:77] + "..."


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _toml(name)


def _toml(value: object) -> str:
    """Return one value as TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(name)} = {_toml(each)}" for name, each in value.items()) + " }" if value else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(each) for each in value) + "]"
    raise SettingsError(
        f"A setting is a {type(value).__name__}.", "TOML holds texts, numbers, dates, lists and tables.", "Use one of them."
    )


def _plain(value: object) -> Any:
    """Return settings as what JSON can hold."""
    if isinstance(value, ShopSettings | SourceSettings | CalendarSettings):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)  # 7 and 7.0 are one setting
    return value.isoformat() if isinstance(value, date | time) else value
