"""What will sell? Exponential smoothing and ARIMA, fitted to each category alone, beside our forecast of all categories' weekly demand.

    python examples/recipes/demand_series.py
    python examples/recipes/demand_series.py --quick

Four weeks ahead, from three origins in the last eight weeks of Complete Journey. Categories that sold in nine of ten weeks before.
"""

import numpy as np
from shop import Size, journey, show, timed

from whenbuy.evaluate.bootstrap import interval
from whenbuy.evaluate.series import seasonal_naive
from whenbuy.models.series.library import Library
from whenbuy.pipeline.demand.choose import truth
from whenbuy.pipeline.demand.panels import panel
from whenbuy.pipeline.demand.series import told_by_panel

AHEAD, WEEK = 4, 7
LIBRARY = ("additive Holt-Winters", "AutoETS", "ARIMA(2, 0, 0)", "AutoARIMA")

size = Size.asked(__doc__, households=2469, epochs=1)
history = journey(size.households)
whole = panel(history, "category", "week")
origins = whole.steps - np.array([4] if size.quick else [8, 6, 4])
before = np.nan_to_num(whole.values[:, : origins[0]])
steady = np.flatnonzero((before > 0).mean(axis=1) >= 0.9)
rows = steady[np.argsort(-before[steady].sum(axis=1))][: 10 if size.quick else 100]
came = truth(whole, origins, AHEAD)[rows]  # categories x origins x weeks


def ours() -> np.ndarray:
    """The default: every origin sees the log only up to itself."""
    found = []
    for origin in origins:
        cut = panel(history, "category", "week", int(history.clock.midnights(np.array([whole.start + origin * WEEK]))[0]), ahead=AHEAD)
        told, _ = told_by_panel(cut, AHEAD)
        place = {name: row for row, name in enumerate(cut.keys.ids().to_list())}
        found.append(told.mean[[place[name] for name in whole.keys.take(rows).ids().to_list()]])
    return np.stack(found, axis=1)


ways = {"default": ours} | {
    name: lambda name=name: Library.of(name, WEEK).learn(whole, origins, AHEAD)(rows) for name in (LIBRARY[::2] if size.quick else LIBRARY)
}
ways["last week again"] = lambda: np.stack([seasonal_naive(whole.values[rows, :origin], AHEAD) for origin in origins], axis=1)

# The error of each category in units of its usual change from week to week (MASE); the difference is drawn over categories.
usual = np.abs(np.diff(before[rows], axis=1)).mean(axis=1)
drawn = np.random.default_rng(0).integers(0, len(rows), (2000, len(rows)))
table, default = [], np.zeros(len(rows))
for name, way in ways.items():
    told, seconds = timed(way)
    error = np.nanmean(np.abs(np.nan_to_num(told) - came), axis=(1, 2))
    default = error if name == "default" else default
    low, high = interval(((error - default) / usual)[drawn].mean(axis=1))
    table.append(
        {
            "forecast": name,
            "mase": round(float((error / usual).mean()), 4),
            "cpu_s": round(seconds, 1),
            "difference": "" if name == "default" else f"{((error - default) / usual).mean():+.4f} ({low:+.4f} to {high:+.4f})",
        }
    )
print(f"{len(rows)} categories, {len(origins)} origins, {AHEAD} weeks ahead; difference: of the mase, with a 95 % interval over categories")
show(table)
