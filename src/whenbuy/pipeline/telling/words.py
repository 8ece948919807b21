"""Words and numbers as the report says them: shares, amounts, dates and names."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from whenbuy.core.arrays import DAY
from whenbuy.core.clock import Clock
from whenbuy.core.outlook import Outlook
from whenbuy.core.text import label, printable

THIN: Final = "\u202f"
"""The narrow space between a number and its unit."""

_SYMBOLS: Final = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "CNY": "¥", "INR": "₹", "KRW": "₩", "BRL": "R$", "ILS": "₪", "TRY": "₺"}
_FITS: Final = 14  # names of so many wide letters still fit where the page cuts them off


@dataclass(frozen=True, slots=True)
class Name:
    """A name as the page shows it, and in full where that may not show all of it."""

    short: str
    full: str

    @classmethod
    def of(cls, text: str, longest: int = 28) -> Name:
        """Return a name without control characters, its middle left out where it is long."""
        short = label(text, longest)
        return cls(short, "" if short == text and len(text) <= _FITS else printable(text[:300]))


@dataclass(frozen=True, slots=True)
class Calendar:
    """Says local dates as people do, relative to the instant as of which the page speaks."""

    clock: Clock
    cutoff: int

    def local(self, instant: int) -> datetime:
        """Return the local date and time of an instant."""
        found: datetime = self.clock.local(np.array([instant], np.int64))[0]
        return found

    def date(self, instant: int, year: bool = False) -> str:
        """Return a date such as 6 Jan, with the year where it is asked for or not the cutoff's."""
        day = self.local(instant)
        return f"{day.day} {day:%b}" + (f" {day.year}" if year or day.year != self.local(self.cutoff).year else "")

    def moment(self, instant: int) -> str:
        """Return a date such as 6 Jan 2018, with the time of day where it is not midnight."""
        day = self.local(instant)
        return self.date(instant, year=True) + ("" if (day.hour, day.minute) == (0, 0) else f", {day:%H:%M}")

    def expected(self, one: Outlook) -> tuple[str, str]:
        """Return the median date of a customer's next order and its 80 % range (P10 to P90); what lies beyond the curve is "later"."""
        low, middle, high = (self._within(one, level) for level in (0.1, 0.5, 0.9))
        edge = self.date(self.cutoff + round(float(one.purchase.grid_days[-1]) * DAY))
        return middle or f"after {edge}", (low or "later") if low == high else f"{low} – {high or 'later'}"

    def _within(self, one: Outlook, level: float) -> str:
        days = float(one.purchase.quantile(level)[0])
        return "" if math.isnan(days) else self.date(self.cutoff + round(days * DAY))


_SCORES: Final = {
    "auc": "AUC", "pr_auc": "average precision", "logloss": "log-loss", "ece": "calibration error", "brier": "Brier score", "f1": "F1",
    "bias": "promised ÷ came", "c_index": "C-index", "ibs": "error of the whole curve", "mae": "mean error",
    "rmse": "root mean squared error", "mse": "mean squared error", "r2": "R²", "spearman": "rank correlation",
    "coverage_80": "inside the 80\u202f% range", "precision_at_3": "right among the 3 likeliest",
}  # fmt: skip
_DAYS: Final = {"mae": "date off by, days"}


def score_words(name: str) -> str:
    """Return the name of a score as people say it: ``auc_7d`` is "AUC, 7 days"; an unknown name stays as it is."""
    stem, _, end = name.rpartition("_")
    days = end[:-1] if stem and end.endswith("d") and end[:-1].replace(".", "", 1).isdigit() else ""
    if days == "" or stem not in _SCORES:
        return _SCORES.get(name, name)
    return f"{_DAYS[stem]} (within {days})" if stem in _DAYS else f"{_SCORES[stem]}, {days} days"


def percent(share: float) -> str:
    """Return a share in whole percent; what is not certain is never shown as 0 or 100."""
    if share < 0.01:
        return f"<1{THIN}%"
    return f">99{THIN}%" if share > 0.99 else f"{100 * share:.0f}{THIN}%"


def count(number: float) -> str:
    """Return a number of things: whole from ten on, with one decimal below."""
    if 0 < number < 0.05:
        return "<0.1"
    return f"{number:,.0f}" if number >= 9.95 else f"{number:.1f}".removesuffix(".0")


def days(number: float) -> str:
    """Return a length in days, such as 7 d."""
    return f"{number:g}{THIN}d"


def signed(number: float, decimals: int) -> str:
    """Return a difference with its sign."""
    return f"{number:+,.{decimals}f}".replace("-", "−")


def money(value: float, currency: str, short: bool = False) -> str:
    """Return an amount in its currency; ``short`` rounds it to three figures, as in $43.2k."""
    size, sign = abs(value), "−" if value < 0 else ""
    if short and size >= 999.5:
        rounded = float(f"{size:.3g}")
        power = min(int(math.log10(rounded)) // 3, 4)
        digits = f"{rounded / 1000**power:,.10g}" + ("", "k", "m", "bn", "tn")[power]
    else:
        digits = f"{size:,.0f}" if size >= 99.995 else f"{size:,.2f}"
    return f"{sign}{_SYMBOLS.get(currency, f'{currency}{THIN}' if currency else '')}{digits}"
