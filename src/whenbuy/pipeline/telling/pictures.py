"""The pictures of the answers: curves, chances, orders per day, and whether the chances keep their word."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any, Final

import numpy as np
import polars as pl
from markupsafe import Markup

from whenbuy.core.arrays import DAY, Floats, Instants
from whenbuy.core.chart import answers, look, records, scores
from whenbuy.core.history import History
from whenbuy.core.log import ORDERS, EventLog
from whenbuy.core.outlook import Outlook
from whenbuy.pipeline.telling.words import Calendar, Name, percent

_CURVES: Final = 6
_BUCKETS: Final = 20
MINI: Final = 326
"""How wide a small picture is, in pixels."""
_NARROW, _WIDE = 324, 530


def curves(outlook: Outlook, calendar: Calendar, chance: Floats) -> list[dict[str, Any]]:
    """Return the curves of a few customers, spread evenly from the likeliest to the least likely by their ``chance`` (n)."""
    n = len(chance)
    if not n:
        return []
    order, horizons = np.argsort(-chance, kind="stable"), tuple(sorted(outlook.horizons))
    days = np.unique(
        np.concatenate([np.linspace(0, min(2 * horizons[-1], max(outlook.purchase.grid_days[-1], horizons[-1])), 57), horizons])
    )
    average = outlook.purchase.probability(days).mean(axis=0)
    found = []
    for place in np.unique(np.round(np.linspace(0, n - 1, min(_CURVES, n))).astype(int)):
        one = outlook.take(slice(int(order[place]), int(order[place]) + 1))
        frame = pl.DataFrame({"day": days, "probability": one.purchase.probability(days)[0], "average": average})
        chances = [(horizon, float(one.purchase.probability(horizon)[0])) for horizon in horizons]
        said = "Chance to have bought by each day: " + ", ".join(f"{percent(p)} by day {horizon:g}" for horizon, p in chances)
        middle, reach = calendar.expected(one)
        picture = drawn(answers.purchase_curve(frame, horizons, said, MINI))
        found.append(
            {
                "name": Name.of(one.keys.ids()[0]),
                "rank": _rank(int(place), n),
                "chances": chances,
                "date": middle,
                "range": reach,
                "svg": picture,
            }
        )
    return found


def _rank(place: int, n: int) -> str:
    if n == 1:
        return "the only customer"
    if place in (0, n - 1):
        return f"likeliest of {n:,}" if place == 0 else f"least likely of {n:,}"
    return f"likelier than {percent(1 - (place + 1) / n)}"


def histogram(chance: Floats, horizon: float) -> dict[str, Any]:
    """Return the customers by their chance (n) to buy within the horizon, in buckets of 5 %; nothing where there is nobody."""
    if not len(chance):
        return {}
    bucket, edges = np.minimum((chance * _BUCKETS).astype(int), _BUCKETS - 1), np.arange(_BUCKETS + 1) / _BUCKETS
    frame = pl.DataFrame({"low": edges[:-1], "high": edges[1:], "customers": np.bincount(bucket, minlength=_BUCKETS)})
    likely, title = int((chance >= 0.5).sum()), f"chance to buy within {horizon:g} days"
    said = f"Histogram of the {title}: {likely:,} of {len(chance):,} customers have at least 50 %"
    return {"likely": likely} | _two_sizes(lambda width: records.histogram(frame, title, said, width))


def daily(history: History, outlook: Outlook, calendar: Calendar) -> dict[str, Any]:
    """Return the shop's orders per 24 hours: as many days counted before the cutoff as are expected after (nothing without customers)."""
    if not len(outlook):
        return {}
    cutoff, ahead = calendar.cutoff, max(1, round(max(outlook.horizons)))
    expected = np.diff(outlook.purchase.count_at(np.arange(ahead + 1.0)), axis=1).sum(axis=0)
    back = min(ahead, max(0, (cutoff - history.log.start) // DAY))
    since = cutoff - back * DAY
    counted = np.bincount((_orders(history.log, since, cutoff) - since) // DAY, minlength=back)
    first = calendar.local(cutoff).date().toordinal() - back
    frame = pl.DataFrame(
        {
            "day": [date.fromordinal(first + i) for i in range(back + ahead)],
            "orders": np.concatenate([counted, expected]),
            "part": ["counted"] * back + ["expected"] * ahead,
        }
    )
    said = f"Orders per day: {counted.sum():,.0f} counted in the last {back} days, {expected.sum():,.0f} expected in the next {ahead}"
    words = {"ahead": ahead, "back": back, "expected": float(expected.sum()), "counted": float(counted.sum())}
    return words | _two_sizes(lambda width: records.daily_orders(frame, said, width))


def _orders(log: EventLog, start: int, end: int) -> Instants:
    wanted = (log.time >= start) & (log.time < end) & (log.known_at < end) & (log.kind == log.code("purchase"))
    if ORDERS in log.columns:
        wanted &= log.columns[ORDERS].values == 1
    return np.asarray(log.time[wanted])


def reliability(calibration: pl.DataFrame | None) -> list[dict[str, Any]]:
    """Return promised chances beside what came true, a picture per horizon."""
    if calibration is None:
        return []
    found = []
    parts = calibration.filter(pl.col("n") > 0).sort("horizon", "mean_probability").partition_by("horizon", maintain_order=True)
    for part in parts:
        share, n = part["share_bought"].to_numpy(), part["n"].to_numpy().astype(float)
        low, high = _wilson(share, n)
        frame = part.select("mean_probability", "share_bought", "n").with_columns(low=low, high=high)
        off = 100 * float(np.average(np.abs(share - part["mean_probability"].to_numpy()), weights=n))
        horizon = float(part["horizon"][0])
        said = f"Promised chance against what came true within {horizon:g} days, in {len(n)} groups: {off:.1f} points apart on average"
        picture = drawn(scores.reliability(frame, said, MINI))
        found.append({"horizon": horizon, "points": f"{off:.1f}", "n": float(n.sum()), "svg": picture})
    return found


def _wilson(share: Floats, n: Floats) -> tuple[Floats, Floats]:
    """Return the 95 % interval of a share seen in n trials (Wilson 1927)."""
    z = 1.959964
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return np.asarray(np.maximum(middle - reach, 0)), np.asarray(np.minimum(middle + reach, 1))


def _two_sizes(draw: Callable[[int], Any]) -> dict[str, Markup]:
    return {"wide": drawn(draw(_WIDE)), "narrow": drawn(draw(_NARROW))}


def drawn(picture: Any) -> Markup:
    """Return a chart as SVG that stands in a page."""
    return Markup(look.svg(picture))  # Vega escapes every text: test_report.py plants markup in ids and kinds
