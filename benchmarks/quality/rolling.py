"""One protocol for all forecasts of demand: told from some origins, each from the log cut there, and held against what came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from whenbuy.core.arrays import Floats, Ints
from whenbuy.core.history import History
from whenbuy.core.panel import Panel
from whenbuy.features import Daily
from whenbuy.models.series.floors import SeasonalNaive
from whenbuy.pipeline.demand.bottom_up import MEMORIES, Spoken
from whenbuy.pipeline.demand.choose import truth
from whenbuy.pipeline.demand.panels import ORDINARY, STEPS, Closed, Step, panel
from whenbuy.pipeline.demand.reconcile import Demand, demand
from whenbuy.pipeline.learning.forecaster import Forecaster

WEEKS = 4
"""So far ahead."""
CUSTOMERS, JOINED, NAIVE = "all customers", "joined", "naive"


@dataclass(frozen=True, slots=True)
class Rolled:
    """What was told of each category.

    Parameters
    ----------
    whole
        The series, to the end of the log.
    origins
        From which step each forecast was made (o).
    told
        By who told it (n x o x h): ``SERIES``, ``CUSTOMERS`` (all memories, evenly), each memory, ``JOINED`` and ``NAIVE``.
    low, high
        The 80 % range of the joined forecast (n x o x h).
    root
        The same of the whole shop (o x h), with what came as "came".
    came
        What came (n x o x h).
    made
        The forecasts themselves (o).
    """

    whole: Panel
    origins: Ints
    told: dict[str, Floats]
    low: Floats
    high: Floats
    root: dict[str, Floats]
    came: Floats
    made: list[Demand]

    def take(self, rows: Ints) -> Rolled:
        """Return this of some series alone."""
        told = {name: each[rows] for name, each in self.told.items()}
        return replace(self, told=told, low=self.low[rows], high=self.high[rows], came=self.came[rows])

    def mase(self, rows: Ints, who: str) -> Floats:
        """Return the MASE of each of these series (n): its mean error over that of the naive forecast before the first origin."""
        return mean_error(self.told[who], self.came) / scale(self.whole, rows, int(self.origins[0]))

    def wape(self, who: str) -> float:
        """Return the sum of all errors over that of what came."""
        return float(np.nansum(np.abs(self.told[who] - self.came)) / np.nansum(self.came))

    def total(self, who: str) -> float:
        """Return the error of the sum of these series, over what came of it."""
        return float(np.abs(np.nansum(self.told[who] - self.came, axis=0)).sum() / np.nansum(self.came))

    def shop(self, who: str) -> float:
        """Return the error of the whole shop, over what came of it."""
        return float(np.nansum(np.abs(self.root[who] - self.root["came"])) / np.nansum(self.root["came"]))


def roll(
    history: History, model: Forecaster | None, step: Step, weeks: Sequence[int], *, days: Closed = ORDINARY, ahead: int = WEEKS,
    spoken: dict[int, Spoken] | None = None,
) -> Rolled:  # fmt: skip
    """Return what is told of the categories so many weeks before the end, each from the log cut there."""
    unit = 7 // STEPS[step]
    horizon, spoken = ahead * unit, {} if spoken is None else spoken
    whole, shop = (panel(history, entity, step, ahead=horizon, days=days) for entity in ("category", "shop"))
    origins = np.array([whole.steps - back * unit for back in weeks])
    made = [
        demand(history, model, "category", 7 * ahead, step, cutoff, days=days, spoken=spoken) for cutoff in cutoffs(history, whole, origins)
    ]
    parts, roots = [_nodes(one) for one in made], {}
    told: dict[str, Floats] = {}
    for name in parts[0]:
        told[name] = np.stack([_at(whole, one, part[name]) for one, part in zip(made, parts, strict=True)], axis=1)
        roots[name] = np.stack([part[name][0] for part in parts])
    low, high = (np.stack([_at(whole, one, _level(one, level)) for one in made], axis=1) for level in (0.1, 0.9))
    told[NAIVE] = np.nan_to_num(np.asarray(SeasonalNaive().learn(whole, origins, horizon)(np.arange(len(whole))), np.float64))
    back = len(whole.values[0]) - shop.steps
    roots["came"] = truth(shop, origins - back, horizon)[0]
    roots[NAIVE] = np.asarray(SeasonalNaive().learn(shop, origins - back, horizon)(np.array([0]))[0], np.float64)
    return Rolled(whole, origins, told, low, high, roots, truth(whole, origins, horizon), made)


def cutoffs(history: History, whole: Panel, origins: Ints) -> list[int]:
    """Return the midnights at which these steps begin."""
    return history.clock.midnights(whole.start + origins * whole.step_days).tolist()


def _nodes(one: Demand) -> dict[str, Floats]:
    """Return what each view, and all together, tell of the nodes (m x h)."""
    found = {view.name: view.ahead for view in one.views}
    if len(found) > 1:
        found[CUSTOMERS] = np.mean([found[name] for name in MEMORIES], axis=0)
    return found | {JOINED: one.agreed.ahead}


def _level(one: Demand, level: float) -> Floats:
    return np.concatenate([part.quantile(level) for part in one.levels.values()])


def _at(whole: Panel, one: Demand, nodes: Floats) -> Floats:
    """Return what was told of nodes (m x h) by the rows of the whole panel (n x h), 0 for what nobody had seen."""
    part = nodes[one.nodes.rows["category"]]
    keys = one.of("category").keys
    place = np.full(max(len(keys.names), len(whole.keys.names)) + 1, -1)
    place[keys.code] = np.arange(len(keys))
    row = place[whole.keys.code]
    return np.where(row[:, None] >= 0, part[row], 0.0)


def eligible(history: History, whole: Panel, before: int) -> Ints:
    """Return the rows that are compared, the largest first, by what was known before the test.

    They sold in nine of ten weeks and at least five units a week, by the piece: at most twenty units a line (fuel is counted otherwise).
    """
    values = np.nan_to_num(whole.values[:, :before])
    weeks = values if whole.step_days == 7 else values[:, before % 7 :].reshape(len(values), -1, 7).sum(axis=2)
    lines = Daily("purchase").block(history, whole.keys)
    count = np.array([lines.values[lines.offsets[i] : lines.offsets[i + 1]].sum() for i in range(len(whole))])
    pieces = np.nansum(whole.values, axis=1) <= 20 * np.maximum(count, 1)
    rows = np.flatnonzero(((weeks > 0).mean(axis=1) >= 0.9) & (weeks.mean(axis=1) >= 5) & pieces)
    return rows[np.argsort(-weeks[rows].sum(axis=1), kind="stable")]


def scale(whole: Panel, rows: Ints, before: int) -> Floats:
    """Return the error of the seasonal naive forecast of one step before the test (n)."""
    past, season = whole.values[rows, :before], whole.season
    return np.asarray(np.nanmean(np.abs(past[:, season:] - past[:, :-season]), axis=1), np.float64)


def mean_error(told: Floats, came: Floats) -> Floats:
    """Return the mean absolute error of each series (n) over all origins and steps that are known."""
    error = np.abs(told - came)
    known = np.isfinite(error)
    return np.asarray(np.where(known, error, 0.0).sum(axis=(1, 2)) / np.maximum(known.sum(axis=(1, 2)), 1), np.float64)
