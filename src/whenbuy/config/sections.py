"""The sections of whenbuy.toml, one frozen dataclass each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from whenbuy.config.values import (
    FILE,
    UNSAID,
    check,
    read_currency,
    read_dates,
    read_flag,
    read_horizons,
    read_lateness,
    read_list,
    read_mark,
    read_month_days,
    read_names,
    read_order,
    read_paths,
    read_seed,
    read_text,
    read_zone,
    setting,
)  # fmt: skip
from whenbuy.core.errors import SettingsError

ENTITIES: Final = ("users", "items", "offers")
"""What a shop can have profiles of."""


@dataclass(frozen=True, slots=True)
class ShopSettings:
    """What the shop is, and what is asked of it."""

    name: str = setting("", read_text, "How reports call the shop.")
    timezone: str = setting("UTC", read_zone, "The zone in which the shop counts its days.")
    currency: str = setting("", read_currency, 'The currency of its amounts, such as "EUR".')
    horizons: tuple[float, ...] = setting(
        (7.0, 14.0, 28.0), read_horizons, "How far ahead to look, in days: the chance to buy within each."
    )
    lateness_days: float = setting(
        0.0, read_lateness, "How many days an event may arrive late; a label counts when they have passed as well."
    )
    seed: int = setting(0, read_seed, "Where chance starts: the same seed gives the same bytes.")
    extensions: bool = setting(False, read_flag, "Whether extensions.py beside this file is run: the shop's own features and answers.")
    ask: tuple[str, ...] = setting((), read_list, 'What a fit learns, such as ["usual", "visits", "churn"]; [] is the usual answers.')

    def __post_init__(self) -> None:
        check(self, "shop")


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """Where the events come from."""

    paths: tuple[str, ...] = setting((), read_paths, "Files or folders with events, relative to this file.")
    layout: str = setting("", read_text, 'The name of a public layout, or "" to read the columns as [columns] says.')
    encoding: str = setting("", read_text, 'How text files are encoded, such as "cp1252"; "" finds it out.')
    separator: str = setting("", read_mark, 'What stands between the fields of a line; "" finds it out.')
    decimal: str = setting("", read_mark, 'The decimal mark, "." or ","; "" finds it out.')
    day_first: bool | str = setting(UNSAID, read_order, 'Whether 03/04/2017 is the third of April; "" finds it out.')

    cancelled: str = setting(
        "", read_text, 'How the numbers of cancelled orders begin, such as "C"; "" finds it out, "-" says: they do not.'
    )

    def __post_init__(self) -> None:
        check(self, "source")


@dataclass(frozen=True, slots=True)
class CalendarSettings:
    """Days that differ from others. They are given by the shop, never guessed."""

    closed: tuple[date, ...] = setting((), read_dates, "Days on which nobody can buy, such as [2017-12-25].")
    holidays: tuple[date, ...] = setting((), read_dates, "Holidays on which the shop is open.")
    pay_days: tuple[int, ...] = setting((), read_month_days, "Days of the month on which people are paid; 31 is the last day of any month.")

    def __post_init__(self) -> None:
        check(self, "calendar")


@dataclass(frozen=True, slots=True)
class ProfileSettings:
    """One file with attributes of users, items or offers.

    Raises
    ------
    SettingsError
        When a value is not what it must be, no path is named, or it is not said from when on the rows are true.
    """

    path: tuple[str, ...] = setting((), read_paths, "The file, folder or pattern; relative to this file.")
    key: str = setting("", read_text, 'The column with the id; "" finds it by its name.')
    valid_from: str = setting("", read_text, "The column with the date or instant from which on a row is true.")
    timeless: bool = setting(False, read_flag, "Said aloud: these attributes never change, so no date is needed.")
    columns: Mapping[str, str] = setting({}, read_names, "Our attribute = the column of the file. Others keep their names.")
    property: str = setting("", read_text, "Where each row holds one attribute: the column with the attribute's name.")
    value: str = setting("", read_text, "Where each row holds one attribute: the column with its value.")
    to_events: tuple[str, ...] = setting((), read_list, "Attributes of items that are written beside the events, as they were then known.")

    def __post_init__(self) -> None:
        check(self, "profiles")
        if not self.path:
            raise SettingsError("[profiles] names no path.", "A profile is read from a file.", f'Write path = "…" in {FILE}.')
        if self.timeless == bool(self.valid_from):
            raise SettingsError(
                f"[profiles] {', '.join(self.path)} has valid_from = {self.valid_from!r} and timeless = {str(self.timeless).lower()}.",
                "It must be said from when on the rows are true, or else today's attributes would be known to every earlier day.",
                "Name the column in valid_from, or say timeless = true, and not both.",
            )
        if bool(self.property) != bool(self.value):
            raise SettingsError(
                f"[profiles] {', '.join(self.path)} has property = {self.property!r} and value = {self.value!r}.",
                "A file with one attribute per row has a column for its name and one for its value.",
                "Name both or none.",
            )
