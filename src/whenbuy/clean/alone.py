"""What rules that look at nothing but a row do to one event, before a log holds it: the same, to the last bit, as they do to its row."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from whenbuy.clean.draft import Rule
from whenbuy.clean.missing import Missing
from whenbuy.clean.units import PRICES, Currencies, Rescale
from whenbuy.core.clock import Clock

Cells: TypeAlias = Mapping[str, "str | float | int"]
"""The columns that an event fills."""


@dataclass(frozen=True, slots=True)
class Alone:
    """Some rules that look at nothing but a row.

    Parameters
    ----------
    rules
        The rules, in their order; others than those that `alone` names do nothing.
    clock
        The shop's.
    scales
        Stored units per one of each column of numbers that the log has, or may get.
    names
        The columns of names that the log has.
    """

    rules: tuple[Rule, ...]
    clock: Clock
    scales: Mapping[str, int]
    names: frozenset[str]

    def cleaned(self, kind: str, time: int, cells: Cells) -> Cells | None:
        """Return what an event fills after the rules, None where one takes it out."""
        for rule in self.rules:
            after = self._after(rule, kind, time, cells)
            if after is None:
                return None
            cells = after
        return cells

    def _after(self, rule: Rule, kind: str, time: int, cells: Cells) -> Cells | None:
        if isinstance(rule, Currencies):
            return self._converted(rule, time, cells)
        if isinstance(rule, Rescale):
            return self._rescaled(rule, cells)
        return self._filled(rule, kind, cells) if isinstance(rule, Missing) else cells

    def _converted(self, rule: Currencies, time: int, cells: Cells) -> Cells | None:
        currency = cells.get("currency")
        if currency is None or currency == rule.to:
            return cells
        known = [(self.clock.instant(rate.valid_from), rate.worth) for rate in rule.rates if rate.currency == currency]
        worth = [rate for start, rate in sorted(known) if start <= time]
        if not worth:
            return None
        return {**cells, "currency": rule.to} | {name: self._times(name, cells, worth[-1]) for name in PRICES if name in cells}

    def _rescaled(self, rule: Rescale, cells: Cells) -> Cells:
        if rule.column not in cells or rule.column not in self.scales or (rule.source and cells.get(rule.source[0]) != rule.source[1]):
            return cells
        if rule.above is not None and self._stored(rule.column, cells) <= rule.above * self.scales[rule.column]:
            return cells
        return {**cells, rule.column: self._times(rule.column, cells, rule.factor)}

    def _filled(self, rule: Missing, kind: str, cells: Cells) -> Cells | None:
        if kind not in rule.kinds or rule.column in cells or (rule.column not in self.scales and rule.column not in self.names):
            return cells
        if rule.how == "remove":
            return None
        if rule.how != "constant" or rule.value is None:
            return cells
        scale = self.scales.get(rule.column)
        return {**cells, rule.column: str(rule.value) if scale is None else round(float(rule.value) * scale) / scale}

    def _stored(self, name: str, cells: Cells) -> int:
        number = float(cells[name])
        return round(number * self.scales[name]) if math.isfinite(number) else 0

    def _times(self, name: str, cells: Cells, factor: float) -> float:
        return round(self._stored(name, cells) * factor) / self.scales[name]


def alone(rule: Rule) -> bool:
    """Return whether a rule looks at nothing but a row."""
    return isinstance(rule, (Currencies, Rescale)) or (isinstance(rule, Missing) and rule.how in ("constant", "remove"))
