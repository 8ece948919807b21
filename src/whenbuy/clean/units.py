"""Rules that bring amounts, units and clocks to one measure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.clean.draft import Draft, Finding, Touch, require_choice, require_least, require_number_column, require_positive
from whenbuy.clean.running import in_order, ranked, slips
from whenbuy.core.arrays import DAY, MISSING, Bools, Floats, Ints
from whenbuy.core.clock import Clock
from whenbuy.core.errors import SettingsError
from whenbuy.core.log import Column

PRICES: Final = ("amount", "unit_price")
"""The columns that are converted."""


@dataclass(frozen=True, slots=True)
class Rate:
    """What one unit of a currency is worth in the shop's own, from a day on."""

    currency: str
    valid_from: str
    worth: float

    def __post_init__(self) -> None:
        Clock().instant(self.valid_from)
        require_positive(f"rate of {self.currency}", self.worth)


@dataclass(frozen=True, slots=True)
class Currencies:
    """Converts amounts and unit prices into one currency, by the rate in force when the event happened.

    A row without a currency is taken to be in the shop's own. A row whose rate is not given is taken out.

    Parameters
    ----------
    to
        The shop's own currency.
    rates
        The rates of the others.
    """

    to: str
    rates: tuple[Rate, ...]

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "currencies"

    def find(self, draft: Draft) -> Finding:
        """Return the rows in other currencies."""
        currency = draft.log.columns.get("currency")
        if currency is None or currency.dictionary is None:
            return Finding()
        found, unknown = [], np.zeros(len(draft.log), bool)
        for name in currency.dictionary.ids:
            if name == self.to:
                continue
            rows = np.flatnonzero(draft.named("currency", name) & draft.alive)
            rate = self._rates(name, draft, rows)
            unknown[rows[np.isnan(rate)]] = True
            rows, rate = rows[~np.isnan(rate)], rate[~np.isnan(rate)]
            if len(rows):
                found.append(Touch(rows, f"it is in {name} and was converted to {self.to}", self._converted(draft, rows, rate)))
        if unknown.any():
            found.append(Touch(np.flatnonzero(unknown), f"no rate of its currency to {self.to} is given for its day"))
        return Finding(tuple(found))

    def _rates(self, name: str, draft: Draft, rows: Ints) -> Floats:
        """Return the rate in force at each row's time (n), NaN where none is."""
        known = sorted((draft.clock.instant(rate.valid_from), rate.worth) for rate in self.rates if rate.currency == name)
        starts = np.array([start for start, _ in known], np.int64)
        worth = np.array([np.nan, *(rate for _, rate in known)])
        return worth[np.searchsorted(starts, draft.log.time[rows], side="right")]

    def _converted(self, draft: Draft, rows: Ints, rate: Floats) -> dict[str, Column]:
        values = {name: Column(_times(draft.numbers(name, rows), rate)) for name in PRICES if name in draft.log.columns}
        dictionary = draft.log.columns["currency"].dictionary
        if dictionary is None:
            raise SettingsError("The column 'currency' holds numbers.", "It needs names.", "Map it again.")
        code = int(dictionary.codes([self.to])[0])
        target = dictionary if code >= 0 else dictionary.extended([self.to])
        return values | {"currency": Column(np.full(len(rows), code if code >= 0 else len(dictionary), np.int32), target)}


@dataclass(frozen=True, slots=True)
class MixedUnits:
    """Finds prices in another unit, such as cents: exactly ``factor`` times the item's median so far, or that part of it.

    Parameters
    ----------
    action
        ``flag`` sets the column ``mixed_units`` to 1 (0 elsewhere); ``mend`` brings the price, and an amount that was made with it, to
        the item's measure; ``remove`` takes the row out.
    factor
        How many of the small unit make one of the large.
    least
        No verdict before this many earlier prices of the item.
    """

    action: str = "flag"
    factor: int = 100
    least: int = 5

    def __post_init__(self) -> None:
        require_choice("action of mixed_units", self.action, ("flag", "mend", "remove"))
        require_least("factor of mixed_units", self.factor, 2)
        require_least("least of mixed_units", self.least, 1)

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "mixed_units"

    def find(self, draft: Draft) -> Finding:
        """Return the prices in another unit."""
        if not {"unit_price", "item_id"} <= draft.log.columns.keys():
            return Finding()
        rows = draft.rows(("purchase", "cart"))
        price, item = draft.numbers("unit_price", rows), draft.codes("item_id", rows)
        seen = (price > 0) & (item >= 0)
        rows, price, item = rows[seen], price[seen], item[seen]
        order = in_order(item, draft.log.known_at[rows], price)
        rows, price, item = rows[order], price[order], item[order]
        place, ordered = ranked(item, price)
        slip = slips(item, draft.log.known_at[rows], place, ordered, self.factor, self.least)
        back = np.argsort(rows)
        rows, slip = rows[back][slip[back] != 0], slip[back][slip[back] != 0]
        if self.action == "flag":
            flag = np.zeros(len(draft.log), np.int64)
            flag[rows] = 1
            return Finding(columns={"mixed_units": Column(flag)}, facts={"rows flagged as priced in another unit": len(rows)})
        reason = f"its price is exactly {self.factor} times, or that part of, what the item cost before"
        values = self._mended(draft, rows, slip) if self.action == "mend" else {}
        return Finding((Touch(rows, reason, values),) if len(rows) else ())

    def _mended(self, draft: Draft, rows: Ints, slip: Ints) -> dict[str, Column]:
        price, factor = draft.numbers("unit_price", rows), np.where(slip > 0, 1 / self.factor, float(self.factor))
        values = {"unit_price": Column(_times(price, factor))}
        if "amount" in draft.log.columns:
            amount, quantity = draft.numbers("amount", rows), draft.numbers("quantity", rows)
            pieces = np.where(quantity == MISSING, 1.0, quantity / 1000)
            made = np.abs(amount - price * pieces) <= 0.01 * np.abs(amount)  # within a hundredth, for rounding and rebates
            values["amount"] = Column(_times(amount, np.where(made, factor, 1.0)))
        return values


@dataclass(frozen=True, slots=True)
class Rescale:
    """Multiplies a column by a factor on rows of a stated source, or where it is above a stated bound: dwell in milliseconds times 0.001.

    Parameters
    ----------
    column
        A column of numbers.
    factor
        What to multiply with.
    above
        Only values above this; all of them where it is None.
    source
        Column and name that mark the rows, such as ``("channel", "app")``; all rows where it is empty.
    """

    column: str
    factor: float
    above: float | None = None
    source: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_number_column(self.column)
        require_positive("factor of rescale", self.factor)
        _require_source(self.source)
        if self.above is None and not self.source:
            raise SettingsError(f"The rule rescale for {self.column!r} would change all rows.", "It needs `above` or `source`.", "Add one.")

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return f"rescale_{self.column}"

    def find(self, draft: Draft) -> Finding:
        """Return the values in another unit."""
        column = draft.log.columns.get(self.column)
        if column is None:
            return Finding()
        rows = np.flatnonzero(draft.alive & _from(draft, self.source))
        old = draft.numbers(self.column, rows)
        wrong = (old != MISSING) & (old != 0)
        if self.above is not None:
            wrong &= old > self.above * column.scale
        where = f" of {self.source[1]}" if self.source else ""
        bound = "" if self.above is None else f" above {self.above:g}"
        reason = f"its {self.column}{where}{bound} is in another unit (times {self.factor:g})"
        new = Column(_times(old[wrong], np.full(int(wrong.sum()), self.factor)))
        return Finding((Touch(rows[wrong], reason, {self.column: new}),) if wrong.any() else ())


@dataclass(frozen=True, slots=True)
class ShiftClock:
    """Moves the ``time`` of the rows of a stated source by some hours: its clock stood in another zone.

    ``known_at`` never moves back, and moves forward only as far as ``time`` does: mending a clock lets nobody know a row earlier than
    the log said.

    Parameters
    ----------
    hours
        What is added to the time.
    source
        Column and name that mark the rows, such as ``("channel", "app")``.
    """

    hours: float
    source: tuple[str, ...]

    def __post_init__(self) -> None:
        _require_source(self.source)
        if not self.source or not 0 < abs(self.hours) <= 24:
            raise SettingsError(
                f"The rule shift_clock was given {self.hours} hours and the source {self.source}.",
                "It needs -24 to 24 hours, not 0, and a source.",
                "Correct it.",
            )

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "shift_clock"

    @property
    def microseconds(self) -> int:
        """What is added to the time."""
        return round(self.hours * DAY / 24)

    def find(self, draft: Draft) -> Finding:
        """Return the rows of that clock."""
        rows = np.flatnonzero(draft.alive & _from(draft, self.source))
        time = draft.log.time[rows] + self.microseconds
        values = {"time": Column(time), "known_at": Column(np.maximum(draft.log.known_at[rows], time))}
        return Finding((Touch(rows, f"the clock of {self.source[1]} is {-self.hours:+g} hours off", values),) if len(rows) else ())


def _times(values: Ints, factor: Floats) -> Ints:
    """Return stored numbers times factors, rounded to the stored unit (n)."""
    return np.where(values == MISSING, MISSING, np.rint(np.where(values == MISSING, 0, values) * factor).astype(np.int64))


def _from(draft: Draft, source: tuple[str, ...]) -> Bools:
    return draft.named(source[0], source[1]) if source else np.ones(len(draft.log), bool)


def _require_source(source: tuple[str, ...]) -> None:
    if source and len(source) != 2:
        raise SettingsError(f"The source {source} is not a pair.", "It is a column and a name, such as channel and app.", "Write both.")
