"""Everything that whenbuy.toml says. An unknown key is an error that names the nearest known one, and the line where it stands."""

from __future__ import annotations

import difflib
import hashlib
import json
import math
import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from whenbuy.config.deciding import NAMED, BudgetSettings, ChannelSettings, GuardSettings, OfferSettings, read_named
from whenbuy.config.sections import ENTITIES, CalendarSettings, ProfileSettings, ShopSettings, SourceSettings
from whenbuy.config.values import FILE, Table, check, read_columns, read_fills, read_names, read_rules, read_value, setting, shown
from whenbuy.config.writing import plain, quoted, toml
from whenbuy.core.errors import AccessError, NotFoundError, SettingsError

Profiles = Mapping[str, tuple[ProfileSettings, ...]]
_HEADER = re.compile(r"^\s*\[{1,2}([^\[\]]+)\]{1,2}\s*(#.*)?$")
_KEY = re.compile(r"""^\s*(?:"([^"]*)"|'([^']*)'|([\w.-]+))\s*=""")


def _profiles(value: object) -> Profiles:
    """Return profiles by what they describe."""
    if not isinstance(value, Mapping) or not set(value) <= set(ENTITIES):
        raise ValueError(f"sections [profiles.{'], [profiles.'.join(ENTITIES)}]")
    found = {}
    for name, each in value.items():
        tables = each if isinstance(each, list | tuple) else (each,)
        found[name] = tuple(one if isinstance(one, ProfileSettings) else ProfileSettings(**one) for one in tables)
    return MappingProxyType(found)


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
    columns: Mapping[str, str] = setting(
        {}, read_columns, 'Our column = the column of the file; name = "" leaves a column out. What is not named is guessed.'
    )
    kinds: Mapping[str, str] = setting({}, read_names, "The shop's name of an event = ours. What is not named is guessed.")
    clean: Table = setting({}, read_rules, "Cleaning rules and their settings.")
    calendar: CalendarSettings = CalendarSettings()
    fill: Table = setting({}, read_fills, "How empty cells of a column are filled from what was known before; the others stay empty.")
    profiles: Profiles = setting({}, _profiles, "Files with attributes of users, items or offers.")
    offers: Mapping[str, OfferSettings] = setting({}, read_named(OfferSettings, "offers"), "What can be sent.")
    channels: Mapping[str, ChannelSettings] = setting({}, read_named(ChannelSettings, "channels"), "How it can be sent.")
    budget: BudgetSettings = BudgetSettings()
    guards: GuardSettings = GuardSettings()

    def __post_init__(self) -> None:
        check(self, "")

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
            if each.name == "profiles":
                lines += ["", f"# {each.metadata['about']}", *_profile_lines(section)]
                continue
            if each.name in _UNSAID and section == _UNSAID[each.name]:
                continue
            if each.name in NAMED:
                lines += [line for name, one in section.items() for line in ("", f"[{each.name}.{quoted(name)}]", *_told(one))]
                continue
            lines += ["", f"[{each.name}]"]
            if each.name in _FREE:
                lines += [f"# {each.metadata['about']}", *(f"{quoted(name)} = {toml(value)}" for name, value in section.items())]
            else:
                lines += _told(section)
        return "\n".join(lines) + "\n"

    def fingerprint(self) -> str:
        """Return a sha256 over the settings; comments, order and layout of the file do not count."""
        return hashlib.sha256(json.dumps(plain(self), sort_keys=True).encode()).hexdigest()


def _told(section: Any) -> list[str]:
    """Return the settings of a section as TOML, each with what it means; a limit that there is not is ''."""
    values = {s: getattr(section, s.name) for s in fields(section)}
    return [f"{s.name} = {toml('' if value == math.inf else value)}  # {s.metadata['about']}" for s, value in values.items()]


def _profile_lines(profiles: Profiles) -> list[str]:
    """Return the profiles as TOML: what was said of each, and nothing else."""
    lines = []
    for name, each in profiles.items():
        for one in each:
            told = {f.name: getattr(one, f.name) for f in fields(one)}
            lines += [
                f"[[profiles.{name}]]",
                *(f"{what} = {toml(value)}" for what, value in told.items() if value not in ("", (), False, {})),
            ]
    return lines


_TYPED: Final[Mapping[str, type]] = {
    "shop": ShopSettings, "source": SourceSettings, "calendar": CalendarSettings, "budget": BudgetSettings, "guards": GuardSettings,
}  # fmt: skip
_UNSAID: Final[Mapping[str, object]] = {"offers": {}, "channels": {}, "budget": BudgetSettings(), "guards": GuardSettings()}
"""Sections that are written only where they say something."""
_FREE: Final = ("columns", "kinds", "clean", "fill")
SECTIONS: Final = tuple(each.name for each in fields(Settings))
"""The sections of whenbuy.toml."""


@dataclass(frozen=True, slots=True)
class _Source:
    """The text of a settings file, to say where something stands in it."""

    text: str
    name: str

    def section(self, name: str, value: object) -> object:
        """Return one section as it is kept."""
        if not isinstance(value, Mapping):
            raise SettingsError(f"{self._place(name)}: {name!r} is {shown(value)}.", f"It must be a section [{name}].", "Correct it.")
        if name in _FREE:
            read = {each.name: each.metadata["read"] for each in fields(Settings) if each.name in _FREE}[name]
            return read_value(read, value, f"{self._place(name)}: [{name}]")
        if name == "profiles":
            self.require_known(name, value, ENTITIES)
            return {entity: tuple(self._profile(entity, one) for one in _tables(each)) for entity, each in value.items()}
        if name in NAMED:
            return {one: self._typed(f"{name}.{one}", NAMED[name], each) for one, each in self._each(name, value)}
        return self._typed(name, _TYPED[name], value)

    def _each(self, name: str, value: Mapping[str, object]) -> Iterable[tuple[str, Mapping[str, object]]]:
        """Yield the sections of one kind by their names."""
        for one, each in value.items():
            if not isinstance(each, Mapping):
                raise SettingsError(
                    f"{self._place(name, one)}: {one!r} is {shown(each)}.", f"It must be a section [{name}.{one}].", "Correct it."
                )
            yield one, each

    def _profile(self, entity: str, value: object) -> object:
        name = f"profiles.{entity}"
        if not isinstance(value, Mapping):
            raise SettingsError(f"{self._place(name)}: {entity!r} is {shown(value)}.", f"It must be a section [{name}].", "Correct it.")
        try:
            return self._typed(name, ProfileSettings, value)
        except SettingsError as error:
            if error.got.startswith("[profiles]"):  # what only the whole section can say
                raise SettingsError(error.got.replace("[profiles]", f"{self._place(name)}: [{name}]"), error.need, error.do) from None
            raise

    def _typed(self, name: str, made: type, value: Mapping[str, object]) -> object:
        readers = {each.name: each.metadata["read"] for each in fields(made)}
        self.require_known(name, value, readers)
        return made(**{key: read_value(readers[key], each, f"{self._place(name, key)}: {key!r}") for key, each in value.items()})

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


def _tables(value: object) -> Iterable[object]:
    return value if isinstance(value, list) else (value,)
