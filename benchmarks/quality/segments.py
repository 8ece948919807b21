"""Segments: how stable they are over resamples of the customers, and from one month to the next.

Rows for the area ``answers``: ``rows()`` yields them. Stability is the mean adjusted Rand index between the division of 2,000 customers at
most and those of 20 resamples of 80 % of them, with resamples other than those by which the number of segments was chosen. ``same_id`` is
the share of the customers who have the same id by segments learned four weeks before the end and by those learned anew at the end with
another seed and matched to them: both read everybody at the end, so nobody has moved.
"""

import sys
from collections.abc import Iterator
from functools import partial

import numpy as np

from benchmarks.rows import Row
from whenbuy.core.arrays import DAY
from whenbuy.core.examples import Table
from whenbuy.core.history import History
from whenbuy.ingest.read import read
from whenbuy.models.segment.stability import ROWS, agreement
from whenbuy.models.segment.way import Grouping, Way
from whenbuy.pipeline.segmenting import segmentation
from whenbuy.pipeline.segmenting.segmentation import Segmentation, segment

AREA = "answers"
WAYS: tuple[segmentation.By, ...] = ("rfm", "k-means", "mixture", "density")
OTHER = 1_000
"""The seed of the resamples that judge, and of the division that is learned anew."""


def _row(data: str, way: str, what: str, target: float | None) -> Row:
    unit = "adjusted Rand" if what == "ari" else "share"
    return Row(area=AREA, name=f"segments_{data}_{way.replace('-', '_')}_{what}", unit=unit, better="higher", target=target)


def rows() -> Iterator[Row]:
    """Complete Journey and CDNOW, every way."""
    for data, layout in (("cj", "complete_journey"), ("cdnow", "cdnow")):
        history = read(layout=layout).history
        for way in WAYS:
            yield from _measured(data, history, way)


def _measured(data: str, history: History, way: segmentation.By) -> Iterator[Row]:
    found = segment(history, way)
    earlier = segment(history, way, as_of=history.end - 28 * DAY)
    again = segment(history, way, seed=OTHER, earlier=earlier)
    print(data, way, [(one.size, one.groups, round(one.stability, 3)) for one in found.tried], file=sys.stderr)
    yield _row(data, way, "ari", 0.8).got(_stability(history, found))
    yield _row(data, way, "same_id", None).got(_same(history, earlier, again))


def _stability(history: History, found: Segmentation) -> float:
    table = found.features.table(history.before(found.of(history).keys))
    rng = np.random.default_rng(OTHER)
    some = table.take(np.sort(rng.choice(len(table), ROWS, replace=False))) if len(table) > ROWS else table
    way = segmentation._way(found.by, table)
    return float(agreement(partial(_learn, way, found.size), some, OTHER).mean())


def _learn(way: Way, size: int, table: Table, seed: int) -> Grouping:
    return way.learn(table, size, seed)


def _same(history: History, earlier: Segmentation, again: Segmentation) -> float:
    before, after = earlier.of(history), again.of(history)
    ids = [np.array([one.id for one in each.segments])[each.code] for each in (before, after)]
    return float((ids[0] == ids[1]).mean())
