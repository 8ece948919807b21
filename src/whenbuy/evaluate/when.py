"""Scores of a curve: the chance at each horizon, the whole curve, the order in which people come, and the expected day."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from whenbuy.core.arrays import DAY, Bools, Floats, Ints
from whenbuy.core.errors import UsageError, WhenbuyError
from whenbuy.core.examples import Labels
from whenbuy.core.forecast import TimeToEvent
from whenbuy.core.kernel import kernel
from whenbuy.evaluate.measure import Measure, Sums, Whole, ratio
from whenbuy.evaluate.probability import probability_measures

_CHUNK: Final = 1 << 16
_SLACK: Final = 1e-9
LOW, HIGH = 0.1, 0.9
"""Levels of the interval whose coverage is measured."""


def curve_measures(curves: TimeToEvent, labels: Labels, horizons: Sequence[float]) -> tuple[Measure, ...]:
    """Return the measures of a forecast of when.

    Parameters
    ----------
    curves
        The forecast (n keys).
    labels
        Days to the event (n), counted from the key's cutoff. ``end`` is the instant up to which each label was watched, for those who came
        as for those who did not.
    horizons
        Days, each with its own probability scores. The curve is scored at whole days up to the longest.

    Notes
    -----
    A row counts at a horizon only if it was watched to its end: otherwise those who came early would be kept and those still silent lost.
    The window is half open: an event at day 7.0 is not within 7 days.
    """
    if len(labels) != len(curves):
        raise WhenbuyError(f"{len(curves)} curves were given {len(labels)} labels.")
    if not len(horizons) or min(horizons) <= 0:
        raise UsageError(f"The horizons are {list(horizons)}.", "At least one number of days above 0 is needed.", "Name one, such as 7.")
    watched = watched_days(curves, labels)
    found: list[Measure] = []
    for days in sorted(horizons):
        seen = watched >= days - _SLACK
        found += probability_measures(labels.observed & (labels.value < days), curves.probability(days), seen, f"_{days:g}d")
    return (*found, *_whole_curve(curves, labels, watched, float(max(horizons))))


def watched_days(curves: TimeToEvent, labels: Labels) -> Floats:
    """Return how many days after its cutoff each row was watched (n): to its label's end, or less where it was censored earlier."""
    window = (labels.end - curves.keys.cutoff) / DAY
    return np.where(labels.observed, window, np.minimum(window, labels.value))


def concordance(days: Floats, observed: Bools, risk: Floats, weight: Floats | None = None) -> float:
    """Return Harrell's C: how often, of two people, the one with the higher risk comes first (Harrell et al. 1982).

    All pairs count in which one is seen to come strictly before the other's last known day; equal risks count half. Exact, in O(n log n).

    Parameters
    ----------
    days
        Days to the event, or to the end of watching (n).
    observed
        Whether the event was seen (n).
    risk
        Higher means sooner (n).
    weight
        How often each row counts (n); once by default.
    """
    order, place = _falling(days, risk)
    return _concordance(days[order], observed[order], place[order], np.ones(len(days)) if weight is None else weight[order])


def _whole_curve(curves: TimeToEvent, labels: Labels, watched: Floats, longest: float) -> list[Measure]:
    knots = np.arange(1.0, np.floor(longest) + 1) if longest >= 1 else np.array([longest])
    n, name = len(curves), f"{longest:g}d"
    parts, risk = np.zeros((n, 4)), np.zeros(n)
    for start in range(0, n, _CHUNK):
        rows = slice(start, start + _CHUNK)
        chance = curves.take(rows).probability(knots)
        parts[rows, :2] = _squares(chance, labels.take(rows), watched[rows], knots)
        parts[rows, 2:] = _covered(chance, labels.take(rows), watched[rows], knots)
        risk[rows] = chance.mean(axis=1)
    closed = "" if parts[:, 1].any() else "no label was watched for a day"
    return [
        Measure(f"ibs_{name}", None if closed else Sums(parts, lambda s: ratio(s[..., 0], s[..., 1])), "lower",
                f"integrated Brier score: mean squared error of the curve over the whole days up to {longest:g} that were watched",
                note=closed),
        _concordance_measure(labels, risk, longest),
        *_median(curves, labels, watched, longest),
        Measure("coverage_80", None if closed else Sums(parts, lambda s: ratio(s[..., 2], s[..., 3])), "near",
                "share of events between the P10 and P90 of their curve; where only the day, or only that it comes later, is known, the "
                "share of that time's probability which lies there", aim=HIGH - LOW, note=closed),
    ]  # fmt: skip


def _squares(chance: Floats, labels: Labels, watched: Floats, knots: Floats) -> Floats:
    """Return each row's squared error over its cells, and their number (n x 2): a cell counts if it was watched to its end."""
    seen = knots <= watched[:, None] + _SLACK
    came = labels.observed[:, None] & (labels.value[:, None] < knots)
    return np.stack([((chance - came) ** 2 * seen).sum(axis=1), seen.sum(axis=1).astype(float)], axis=1)


def _covered(chance: Floats, labels: Labels, watched: Floats, knots: Floats) -> Floats:
    """Return the share of each event's probability mass that lies between the levels, and whether the row counts (n x 2).

    The event is known to lie in a day [a, b), or beyond the last day watched: its place in the forecast is spread evenly over
    [F(a), F(b)] (the non-randomised probability integral transform, Czado, Gneiting and Held 2009, s. 2). For a calibrated forecast the
    mean is .8 exactly, in day logs and under censoring too.
    """
    cells = (knots <= watched[:, None] + _SLACK).sum(axis=1)
    cell = np.where(labels.observed, np.minimum(np.searchsorted(knots, labels.value, side="right"), cells), cells)
    edge = np.hstack([np.zeros((len(chance), 1)), chance, np.ones((len(chance), 1))])
    rows = np.arange(len(chance))
    low = edge[rows, cell]
    high = np.where(cell < cells, edge[rows, np.minimum(cell + 1, len(knots))], 1.0)
    inside = np.maximum(np.minimum(high, HIGH) - np.maximum(low, LOW), 0.0)
    point = ((low >= LOW) & (low <= HIGH)).astype(float)
    share = np.divide(inside, high - low, out=point, where=high > low)
    counts = cells > 0
    return np.stack([share * counts, counts.astype(float)], axis=1)


def _median(curves: TimeToEvent, labels: Labels, watched: Floats, longest: float) -> list[Measure]:
    whole = watched >= longest - _SLACK
    median = np.minimum(np.nan_to_num(curves.quantile(0.5), nan=longest), longest)
    truth = np.where(labels.observed, np.minimum(labels.value, longest), longest)
    error = (median - truth) * whole
    parts = np.stack([np.abs(error), error, whole.astype(float)], axis=1)
    note = "" if whole.any() else "no label window of this length has closed"
    cap = f"both counted as {longest:g} where they lie beyond it; whole windows only"
    return [
        Measure(f"mae_{longest:g}d", None if note else Sums(parts, lambda s: ratio(s[..., 0], s[..., 2])), "lower",
                f"mean distance in days between the median and what came true, {cap}", note=note),
        Measure(f"bias_days_{longest:g}d", None if note else Sums(parts, lambda s: ratio(s[..., 1], s[..., 2])), "near",
                f"mean of median minus truth in days: above 0 the forecast is late, {cap}", aim=0.0, note=note),
    ]  # fmt: skip


def _concordance_measure(labels: Labels, risk: Floats, longest: float) -> Measure:
    words = f"Harrell's C: of two people, how often the one with the higher mean chance over {longest:g} days comes first; .5 is guessing"
    order, place = _falling(labels.value, risk)
    days, observed, place = labels.value[order], labels.observed[order], place[order]
    measure = Measure("c_index", Whole(len(order), lambda w: _concordance(days, observed, place, w[order])), "higher", words)
    return measure if len(order) and np.isfinite(measure.value()) else measure.unknown("no two people can be compared")


def _falling(days: Floats, risk: Floats) -> tuple[Ints, Ints]:
    """Return the rows from the latest day to the earliest (n), and the dense rank of each row's risk, from 0 (n)."""
    place = np.unique(risk, return_inverse=True)[1].astype(np.int64)
    return np.argsort(-days, kind="stable").astype(np.int64), place


@kernel
def _concordance(days: Floats, observed: Bools, place: Ints, weight: Floats) -> float:
    """Return C for rows in falling order of their day; a Fenwick tree over the risks holds those who come later."""
    size = 0
    for i in range(len(place)):
        size = max(size, place[i] + 1)
    tree = np.zeros(size + 1)
    total = right = pairs = 0.0
    start = 0
    while start < len(days):
        stop = start
        while stop < len(days) and days[stop] == days[start]:
            stop += 1
        for i in range(start, stop):
            if observed[i] and weight[i] > 0:
                below = upto = 0.0
                k = place[i]
                while k > 0:
                    below += tree[k]
                    k -= k & -k
                k = place[i] + 1
                while k > 0:
                    upto += tree[k]
                    k -= k & -k
                right += weight[i] * (below + 0.5 * (upto - below))
                pairs += weight[i] * total
        for i in range(start, stop):
            total += weight[i]
            k = place[i] + 1
            while k <= size:
                tree[k] += weight[i]
                k += k & -k
        start = stop
    return right / pairs if pairs > 0 else np.nan
