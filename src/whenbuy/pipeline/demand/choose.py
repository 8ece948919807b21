"""Which model answers for each series: chosen by a rolling backtest, the floors first, the dear ones only where they can matter."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import Bools, Floats, Ints, Singles
from whenbuy.core.panel import Panel
from whenbuy.models.neural.series import GlobalLstm
from whenbuy.models.series.autoregressive import Autoregression
from whenbuy.models.series.boosted import Boosted
from whenbuy.models.series.family import Family, Rolling
from whenbuy.models.series.floors import MovingAverage, Naive, SeasonalNaive
from whenbuy.models.series.intermittent import Intermittent
from whenbuy.models.series.library import Library
from whenbuy.models.series.smoothing import Smoothing

BLEND: Final = "blend"
"""The mean of the families that look at a series in unlike ways."""
_BLENDED: Final = {
    "weekday smoothing": 1.0, "Holt-Winters": 1.0, "Theta": 1.0, "AR(2)": 1.0, "AR(4)": 1.0, "AR(8)": 1.0, "boosted lags": 2.0,
    "AutoCES": 1.0, "optimised Theta": 1.0, "AutoARIMA": 1.0, "global LSTM": 1.0,
}  # fmt: skip
"""What the blend is made of, as far as it is there, and how much each counts: set on weeks long before those of the benchmarks."""
NET: Final = "global LSTM"
_PRIOR: Final = 20.0
"""So many origins' worth of what is usual for like series stand beside a series' own errors when its model is chosen."""
_LUCK: Final = 0.9
"""One family must be so much better than the blend, or it was luck: set on a simulated shop and Complete Journey before its last weeks."""
_SPARSE: Final = 0.5
"""A series without a sale in so many of its steps is sparse: its models are judged by the sum of what comes, not by each step."""
_YOUNG: Final = 2
"""A series of fewer seasons (weeks) than these is answered by what all series teach."""
_TEACHER: Final = "boosted lags"
_ORIGINS: Final = {1: 10, 7: 16}
_RATIO: Final = (0.2, 3.0)
"""A ratio of errors beyond these counts as that: of a series that is nearly dead it can be anything."""
_BYTES: Final = 200_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """The forecasts of the chosen models.

    Parameters
    ----------
    told
        From each origin (n x o x h); the last one is the forecast. At an earlier one that model answers which had done best until then: one
        that was chosen for some weeks looks too good on these.
    models
        Who answers for each series (n).
    backtest
        One row per model, the best first: model, error (mean absolute error over that of the median model, mean over the series),
        mae, series (how many it was tried on), chosen (for how many it answers), seconds (of the processor).
    """

    told: Singles
    models: tuple[str, ...]
    backtest: pl.DataFrame


def families(panel: Panel, *, dear: Sequence[str] = (), seed: int = 0) -> tuple[Family, ...]:
    """Return the families that are tried, the floors first.

    Parameters
    ----------
    panel
        The series.
    dear
        Further ones by name: of the library, or ``NET``.
    seed
        Where chance starts.
    """
    cheap: tuple[Family, ...] = (
        SeasonalNaive(), Naive(), MovingAverage(28), MovingAverage(91), Smoothing("exponential smoothing"),
        Smoothing("double smoothing", "damped"), Smoothing("weekday smoothing", seasonal=True),
        Smoothing("Holt-Winters", "damped", seasonal=True), Smoothing("Theta", "half drift", seasonal=True),
        Autoregression(2), Autoregression(4), Autoregression(8),
        Intermittent("croston"), Intermittent("sba"), Intermittent("tsb"), Boosted(seed=seed),
    )  # fmt: skip
    nets: tuple[Family, ...] = (GlobalLstm(seed=seed),) if NET in dear else ()
    return (*cheap, *nets, *(Library.of(name, panel.step_days) for name in dear if name != NET))


def choose(panel: Panel, origins: Ints, horizon: int, tried: Sequence[Family], budget_s: float = 60.0) -> Chosen:
    """Return the forecasts of the model that did best for each series, from every origin.

    A series' own errors are few, so they are drawn towards those of series like it (dense or sparse); the blend of unlike families answers
    unless one is clearly better. Families that cost much are tried on the largest series only, as many as the budget carries by their
    stated costs: the answer does not depend on the machine.

    Parameters
    ----------
    panel
        The series (n x t).
    origins
        Earlier origins and, last, the end of the panel (o).
    horizon
        How many steps ahead (h).
    tried
        The families.
    budget_s
        Processor seconds for families that cost much.
    """
    came, sparse = truth(panel, origins[:-1], horizon), _sparse(panel)
    rolls, seconds = {}, {}
    for family in tried:
        start = time.process_time()
        rolls[family.name] = _among(family, panel, origins, horizon, budget_s)
        seconds[family.name] = time.process_time() - start
    names, judges = [*rolls, BLEND], _judges(origins, horizon)
    size = max(1, _BYTES // (4 * len(names) * len(origins) * horizon))
    pooled = np.full((len(names), len(panel.pool), len(judges)), np.nan)
    for place in _parts(np.arange(len(panel.pool)), size):
        rows = panel.pool[place]
        pooled[:, place] = _errors(_all(rolls, rows, seconds), came[rows], sparse[rows], judges)
    usual = np.stack([_usual(pooled[:, :, j], sparse[panel.pool]) for j in range(len(judges))], axis=2)
    error = np.full((len(names), len(panel)), np.nan)
    told = np.zeros((len(panel), len(origins), horizon), np.float32)
    picked = np.zeros(len(panel), np.int64)
    young = panel.steps - panel.first < _YOUNG * panel.season
    for rows in _parts(np.arange(len(panel)), size):
        every = _all(rolls, rows, seconds)
        wrong = _errors(every, came[rows], sparse[rows], judges)
        error[:, rows] = wrong[:, :, -1]
        for j in range(len(origins)):
            able = np.asarray(np.isfinite(every[:, :, j]).all(axis=2))
            picked[rows] = _picked(wrong[:, :, j], usual[:, sparse[rows].astype(np.int64), j], names, able, young[rows])
            best = every[picked[rows], np.arange(len(rows)), j]
            told[rows, j] = np.where(np.isfinite(best), best, np.nan_to_num(every[0, :, j]))
    told[panel.first >= panel.steps] = 0.0
    return Chosen(told, tuple(names[i] for i in picked), _table(names, error, picked, seconds))


def _judges(origins: Ints, horizon: int) -> Bools:
    """Return which earlier origins judge the models that answer at each origin (o x o - 1): those whose windows are over by then."""
    earlier = origins[:-1]
    return np.vstack([earlier[:, None] - earlier >= horizon, np.ones((1, len(earlier)), bool)])


def origins_of(panel: Panel) -> Ints:
    """Return earlier origins, a week apart, and, last, the end of the panel (o): ten for series of days, sixteen for those of weeks."""
    apart = panel.season
    count = min(_ORIGINS[panel.step_days], panel.steps // apart - 2)
    return panel.steps - apart * np.arange(max(count, 0), -1, -1, dtype=np.int64)


def truth(panel: Panel, origins: Ints, horizon: int) -> Singles:
    """Return what came after each origin (n x o x horizon), NaN where it is not known."""
    wide = np.concatenate([panel.values, np.full((len(panel), horizon), np.nan, np.float32)], axis=1)
    return wide[:, origins[:, None] + np.arange(horizon)]


def _among(family: Family, panel: Panel, origins: Ints, horizon: int, budget_s: float) -> Rolling:
    """Return the forecasts of a family; NaN for series that its cost leaves out."""
    if not family.cost_s:
        return family.learn(panel, origins, horizon)
    most = int(budget_s / (family.cost_s * len(origins)))
    recent = np.nansum(panel.values[:, -8 * panel.season :], axis=1)
    worth = np.zeros(len(panel), bool)
    worth[np.argsort(-recent, kind="stable")[:most]] = True
    if not worth.any():
        return lambda rows: np.full((len(rows), len(origins), horizon), np.nan, np.float32)
    inner = family.learn(panel, origins, horizon)

    def rolling(rows: Ints) -> Singles:
        out = np.full((len(rows), len(origins), horizon), np.nan, np.float32)
        out[worth[rows]] = inner(rows[worth[rows]])
        return out

    return rolling


def _sparse(panel: Panel) -> Bools:
    """Return which series sold nothing in most of their steps (n)."""
    begun = np.arange(panel.steps) >= panel.first[:, None]
    return np.asarray((begun & (panel.values == 0)).sum(axis=1) > _SPARSE * np.maximum(begun.sum(axis=1), 1))


def _parts(rows: Ints, size: int) -> Iterator[Ints]:
    for begin in range(0, len(rows), size):
        yield rows[begin : begin + size]


def _all(rolls: dict[str, Rolling], rows: Ints, seconds: dict[str, float]) -> Singles:
    """Return what every family tells of some series, and last their blend (m x r x o x h); NaN where one cannot say."""
    found = []
    for name, roll in rolls.items():
        start = time.process_time()
        found.append(roll(rows))
        seconds[name] += time.process_time() - start
    total, weight = np.zeros(found[0].shape, np.float32), np.zeros(found[0].shape, np.float32)
    for name, part in zip(rolls, found, strict=True):
        if name in _BLENDED:
            known = np.isfinite(part)
            total += np.where(known, _BLENDED[name] * part, 0.0)
            weight += _BLENDED[name] * known
    blend = np.divide(total, weight, out=np.full(total.shape, np.nan, np.float32), where=weight > 0)
    return np.stack([*found, blend])


def _errors(told: Singles, came: Singles, sparse: Bools, judges: Bools) -> Floats:
    """Return the mean absolute error of each model and series over each set of earlier origins (m x r x j), NaN where it is not known."""
    error = told[:, :, :-1] - came
    known = np.isfinite(error)
    each = np.where(known, np.abs(error), 0.0).sum(axis=3)
    summed = np.abs(np.where(known, error, 0.0).sum(axis=3))
    weight = judges.T.astype(np.float64)
    count = known.sum(axis=3) @ weight
    total = np.where(sparse[:, None], summed, each) @ weight
    return np.asarray(np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0))


def _usual(error: Floats, sparse: Bools) -> Floats:
    """Return the usual error of each model beside the median model, for dense and for sparse series (m x 2); 1 where nothing is known."""
    out = np.ones((len(error), 2))
    ratio = _ratio(error)
    for kind in (0, 1):
        some = ratio[:, sparse == bool(kind)]
        known = np.isfinite(some)
        count = known.sum(axis=1)
        out[:, kind] = np.divide(np.where(known, some, 0.0).sum(axis=1), count, out=np.ones(len(error)), where=count > 0)
    return out


def _ratio(error: Floats) -> Floats:
    """Return each error over that of the median model (m x n), at most a few times it; NaN where there is none to compare to."""
    known = np.isfinite(error).any(axis=0)
    middle = np.full(error.shape[1], np.nan)
    middle[known] = np.nanmedian(error[:, known], axis=0)
    return np.asarray(np.clip(np.divide(error, middle, out=np.full(error.shape, np.nan), where=middle > 0), *_RATIO))


def _picked(error: Floats, usual: Floats, names: Sequence[str], able: Bools, young: Bools) -> Ints:
    """Return which model answers for each series (r)."""
    own, origins = _ratio(error), 10.0
    drawn = (origins * np.where(np.isfinite(own), own, usual) + _PRIOR * usual) / (origins + _PRIOR)
    drawn[names.index(BLEND)] *= _LUCK
    best = np.argmin(np.where(able, drawn, np.inf), axis=0)
    if _TEACHER not in names:
        return np.asarray(best)
    teacher = names.index(_TEACHER)
    return np.where(young & able[teacher], teacher, best)


def _table(names: Sequence[str], error: Floats, picked: Ints, seconds: dict[str, float]) -> pl.DataFrame:
    ratio = _ratio(error)
    known = np.isfinite(ratio)
    count = known.sum(axis=1)
    mean = np.divide(np.where(known, ratio, 0.0).sum(axis=1), count, out=np.full(len(names), np.nan), where=count > 0)
    mae = [float(np.nanmean(row)) if np.isfinite(row).any() else np.nan for row in error]
    chosen = np.bincount(picked, minlength=len(names))
    table = pl.DataFrame(
        {
            "model": list(names), "error": mean, "mae": mae, "series": count, "chosen": chosen,
            "seconds": [seconds.get(name, 0.0) for name in names],
        },
        schema_overrides={"error": pl.Float64, "mae": pl.Float64, "seconds": pl.Float64},
    )  # fmt: skip
    return table.with_columns(pl.col("error", "mae").fill_nan(None)).sort("error", nulls_last=True, maintain_order=True)
