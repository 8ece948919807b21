"""Intermittent demand: many steps without a sale (Croston 1972, Syntetos and Boylan 2005, Teunter, Syntetos and Babai 2011), compiled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from whenbuy.core.arrays import Floats, Ints, Singles
from whenbuy.core.kernel import kernel
from whenbuy.core.panel import Panel
from whenbuy.models.series.family import Rolling

Way = Literal["croston", "sba", "tsb"]

_RATES: Final = (0.05, 0.1, 0.2)
_WAYS: Final = {"croston": 0, "sba": 1, "tsb": 2}
_NAMES: Final = {"croston": "Croston", "sba": "Syntetos-Boylan", "tsb": "Teunter-Syntetos-Babai"}


@dataclass(frozen=True, slots=True)
class Intermittent:
    """Sizes of sales and the gaps between them, each smoothed; the mean per step is their quotient.

    Parameters
    ----------
    way
        "croston"; "sba" corrects its bias by 1 - rate / 2; "tsb" smooths the chance of a sale in every step, so that an item that is no
        longer sold fades away. Rates of .05, .1, .2: the one whose mean came closest so far, in squared error.
    """

    way: Way = "tsb"
    cost_s: float = 0.0

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return _NAMES[self.way]

    def learn(self, panel: Panel, origins: Ints, horizon: int) -> Rolling:
        """Return the mean per step; see Family."""
        rates, way = np.array(_RATES), _WAYS[self.way]
        return lambda rows: np.repeat(_means(panel.values[rows], panel.first[rows], origins, rates, way)[:, :, None], horizon, axis=2)


@kernel
def _means(values: Singles, first: Ints, origins: Ints, rates: Floats, way: int) -> Singles:
    """Return the mean per step that each series' states tell at each origin (n x o)."""
    n, out = len(values), np.zeros((len(values), len(origins)), np.float32)
    for i in range(n):
        size, rest, error = np.zeros(len(rates)), np.ones(len(rates)), np.zeros(len(rates))
        since, sales, done = 0, 0, first[i]
        for j in range(len(origins)):
            for s in range(done, origins[j]):
                if np.isnan(values[i, s]):
                    continue
                since += 1
                _moved(values[i, s], size, rest, error, rates, way, sales, since)
                if values[i, s] > 0:
                    sales += 1
                    since = 0
            done = max(done, origins[j])
            best = np.argmin(error)
            out[i, j] = _told(size[best], rest[best], rates[best], way) if sales else 0.0
    return out


@kernel
def _moved(y: float, size: Floats, rest: Floats, error: Floats, rates: Floats, way: int, sales: int, since: int) -> None:
    """Let one step move the states of every rate, in place."""
    for c in range(len(rates)):
        if sales:
            error[c] = 0.995 * error[c] + (y - _told(size[c], rest[c], rates[c], way)) ** 2
        if way == 2 and sales:
            rest[c] += rates[c] * ((y > 0) - rest[c])
        if y > 0 and way != 2:
            rest[c] = rest[c] + rates[c] * (since - rest[c]) if sales else since
        if y > 0:
            size[c] = size[c] + rates[c] * (y - size[c]) if sales else y


@kernel
def _told(size: float, rest: float, rate: float, way: int) -> float:
    """Return the mean per step: of a size, and a gap or, for tsb, a chance."""
    if way == 2:
        return size * rest
    return size / rest * (1.0 - rate / 2 if way == 1 else 1.0)
