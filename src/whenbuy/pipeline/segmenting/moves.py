"""Moves: who went from which segment to which between two moments."""

from __future__ import annotations

import numpy as np
import polars as pl

from whenbuy.core.errors import UsageError
from whenbuy.core.history import History
from whenbuy.pipeline.segmenting.segmentation import Segmentation


def moves(segmentation: Segmentation, history: History, since: int | str, until: int | str | None = None) -> pl.DataFrame:
    """Return one row per pair of segments between which somebody moved or stayed.

    ``from_segment``, ``from_name``, ``to_segment``, ``to_name``, ``customers``, ``share``: of those who were in the first one then. Both
    moments are read by one and the same division; those not known at the first one come from nowhere (null).

    Parameters
    ----------
    segmentation
        The division.
    history
        The shop.
    since, until
        The two moments; the second is the log's end by default.

    Raises
    ------
    UsageError
        When the first moment is not before the second.
    NotEnoughDataError
        When nobody was known at the first one.
    """
    first = history.clock.instant(since)
    last = history.end if until is None else history.clock.instant(until)
    if first >= last:
        raise UsageError(
            f"Moves from {history.clock.show(first)} to {history.clock.show(last)} were asked for.",
            "The first moment lies before the second.", "Name an earlier one.",
        )  # fmt: skip
    then, now = segmentation.of(history, first, in_sample=True), segmentation.of(history, last, in_sample=True)
    k = len(segmentation.segments)
    was = np.full(len(history.log.users) + 1, k)
    was[then.keys.code] = then.code
    count = np.bincount(was[now.keys.code] * k + now.code, minlength=(k + 1) * k).reshape(k + 1, k)
    old, new = np.nonzero(count)
    ids = pl.Series([*(one.id for one in segmentation.segments), None], dtype=pl.Int64)
    names = pl.Series([*(one.name for one in segmentation.segments), None], dtype=pl.String)
    return pl.DataFrame(
        {
            "from_segment": ids.gather(old), "from_name": names.gather(old), "to_segment": ids.gather(new), "to_name": names.gather(new),
            "customers": count[old, new], "share": count[old, new] / count.sum(axis=1)[old],
        }
    )  # fmt: skip
