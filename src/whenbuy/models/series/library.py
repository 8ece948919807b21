"""Families of the library statsforecast: each fits one series at one origin, so they cost milliseconds to seconds each.

AutoETS and AutoARIMA choose their form by the corrected information criterion (Hyndman and Khandakar 2008); complex exponential smoothing
is Svetunkov et al. 2022; the optimised Theta is Fiorucci et al. 2016; MSTL is Bandara et al. 2021. The library is imported when needed.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from whenbuy.core.arrays import Floats, Ints, Singles
from whenbuy.core.errors import DependencyError, UsageError
from whenbuy.core.panel import Panel
from whenbuy.models.series.family import Rolling

_LEAST: Final = 3
"""So many seasons (or five steps) a series must have for a model of its own."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """How the library makes a model, and what one fit costs in seconds: of daily and of weekly series of a year."""

    make: Callable[[Any, int], Any]
    day_s: float
    week_s: float


_KINDS: Final[Mapping[str, _Kind]] = {
    "AutoETS": _Kind(lambda m, season: m.AutoETS(season_length=season), 0.16, 0.005),
    "AutoCES": _Kind(lambda m, season: m.AutoCES(season_length=season), 0.017, 0.0015),
    "optimised Theta": _Kind(lambda m, season: m.DynamicOptimizedTheta(season_length=season), 0.015, 0.0015),
    "AutoTheta": _Kind(lambda m, season: m.AutoTheta(season_length=season), 0.036, 0.005),
    "AutoARIMA": _Kind(lambda m, season: m.AutoARIMA(season_length=season), 1.9, 0.21),
    "MSTL": _Kind(lambda m, season: m.MSTL(season_length=[season]) if season > 1 else m.AutoETS(season_length=1), 0.016, 0.005),
    "additive Holt-Winters": _Kind(lambda m, season: m.HoltWinters(season_length=season) if season > 1 else m.Holt(), 0.048, 0.002),
    "MA(2)": _Kind(lambda m, season: m.ARIMA(order=(0, 0, 2), season_length=season), 0.022, 0.02),
    "ARIMA(2, 0, 0)": _Kind(lambda m, season: m.ARIMA(order=(2, 0, 0), season_length=season), 0.021, 0.022),
}
LIBRARY: Final = tuple(_KINDS)
"""The names of the families of the library."""


@dataclass(frozen=True, slots=True)
class Library:
    """A model of statsforecast, fitted anew to each series at each origin.

    Parameters
    ----------
    name
        One of ``LIBRARY``.
    cost_s
        What one fit costs, about.

    Raises
    ------
    UsageError
        When there is no such model.
    """

    name: str
    cost_s: float

    @classmethod
    def of(cls, name: str, step_days: int) -> Library:
        """Return the family of this name, with what it costs for daily or weekly series."""
        if name not in _KINDS:
            raise UsageError(f"The series model {name!r} was asked for.", f"There are: {', '.join(LIBRARY)}.", "Name one of these.")
        return cls(name, _KINDS[name].day_s if step_days == 1 else _KINDS[name].week_s)

    def learn(self, panel: Panel, origins: Ints, horizon: int) -> Rolling:
        """Return the library's forecasts; NaN where a series is too short, constant, or refused by the library; see Family.

        Raises
        ------
        DependencyError
            When statsforecast is not installed.
        """
        try:
            from statsforecast import models
        except ImportError as error:
            raise DependencyError(
                "statsforecast is not installed.", f"{self.name} is one of its models.", "pip install 'whenbuy[demand]'"
            ) from error
        season = panel.season

        def rolling(rows: Ints) -> Singles:
            out = np.full((len(rows), len(origins), horizon), np.nan, np.float32)
            for i, row in enumerate(rows):
                for j, origin in enumerate(origins):
                    y = filled(panel.values[row, panel.first[row] : origin])
                    if len(y) >= max(_LEAST * season, 5) and np.ptp(y) > 0:
                        out[i, j] = _told(_KINDS[self.name].make(models, season), y, horizon)
            return out

        return rolling


def filled(y: Singles) -> Floats:
    """Return a series whose unknown values lie straight between their neighbours (t)."""
    known = np.isfinite(y)
    return np.interp(np.arange(len(y)), np.flatnonzero(known), y[known]) if known.any() else np.zeros(len(y))


def _told(model: Any, y: Floats, horizon: int) -> Floats:
    """Return the forecast of one series, NaN where the library gives none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            told = np.asarray(model.forecast(y=y, h=horizon)["mean"], np.float64)
        except Exception:
            return np.full(horizon, np.nan)
    return np.maximum(told, 0.0) if np.isfinite(told).all() and told.max() < 100 * (y.max() + 1) else np.full(horizon, np.nan)
