"""The shop's clock: between instants (int64 microseconds, UTC) and the days that the shop lives by."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import polars as pl

from whenbuy.core.arrays import DAY, Instants, Ints
from whenbuy.core.errors import SettingsError, UsageError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Clock:
    """The time zone in which the shop counts its days.

    Raises
    ------
    SettingsError
        When the zone has no entry in the time zone database.
    """

    zone: str = "UTC"

    def __post_init__(self) -> None:
        try:
            ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise SettingsError(
                f"The time zone {self.zone!r} is not known.",
                "whenbuy needs a name of the IANA database, such as 'Europe/Berlin' or 'UTC'.",
                "Set `timezone` in whenbuy.toml.",
            ) from error

    def local(self, instants: Instants) -> pl.Series:
        """Return the instants as local date-times of this zone (n)."""
        return pl.Series("time", instants, dtype=pl.Int64).cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(self.zone)

    def days(self, instants: Instants) -> Ints:
        """Return the local calendar day of each instant, in days since 1970-01-01 (n)."""
        if self.zone == "UTC":
            return np.floor_divide(instants, DAY)
        return self.local(instants).dt.date().cast(pl.Int32).to_numpy().astype(np.int64)

    def midnights(self, days: Ints) -> Instants:
        """Return the instant at which each local day begins (n); a midnight that a zone skips is the first instant after it."""
        if self.zone == "UTC":
            return np.asarray(days, np.int64) * DAY
        return np.array([self._midnight(int(day)) for day in np.atleast_1d(days)], np.int64)

    def midnight_before(self, instants: Instants) -> Instants:
        """Return the beginning of the local day in which each instant lies (n)."""
        if self.zone == "UTC":
            return self.days(instants) * DAY
        days, where = np.unique(self.days(instants), return_inverse=True)
        return self.midnights(days)[where]

    def next_midnight(self, instant: int) -> int:
        """Return the first local midnight after the instant."""
        return int(self.midnights(self.days(np.array([instant], np.int64)) + 1)[0])

    def instant(self, moment: str | date | datetime | int) -> int:
        """Return one moment as an instant; a bare date is its local midnight, a naive time is local.

        Raises
        ------
        UsageError
            When the text is not an ISO date or date-time.
        """
        if isinstance(moment, int):
            return moment
        if isinstance(moment, str):
            try:
                moment = datetime.fromisoformat(moment)
            except ValueError as error:
                raise UsageError(
                    f"{moment!r} is not a date.", "A date looks like 2017-11-01 or 2017-11-01T15:30.", "Write it that way."
                ) from error
        if not isinstance(moment, datetime):
            moment = datetime(moment.year, moment.month, moment.day)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=ZoneInfo(self.zone))
        return _microseconds(moment.astimezone(UTC))

    def show(self, instant: int) -> str:
        """Return one instant in words: the local date, with the clock time where it is not midnight."""
        moment = (_EPOCH + timedelta(microseconds=int(instant))).astimezone(ZoneInfo(self.zone))
        return f"{moment:%Y-%m-%d}" if moment.time().isoformat() == "00:00:00" else f"{moment:%Y-%m-%d %H:%M}"

    def _midnight(self, day: int) -> int:
        wall = datetime(1970, 1, 1) + timedelta(days=day)
        return _microseconds(wall.replace(tzinfo=ZoneInfo(self.zone)).astimezone(UTC))


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)
