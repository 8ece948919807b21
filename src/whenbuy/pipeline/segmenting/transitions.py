"""Transitions: after which kind of event which one comes, within a session."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import Ints
from whenbuy.core.history import History
from whenbuy.pipeline.segmenting.walks import Walks

START: Final = "(start)"
END: Final = "(end)"
_SECOND: Final = 1e6


def transitions(history: History, as_of: int | str | None = None) -> pl.DataFrame:
    """Return one row per pair of kinds that follow each other within a session, the commonest first.

    ``from``, ``to``: kinds, with ``(start)`` and ``(end)`` of the sessions; ``count``; ``share`` of what comes after ``from``;
    ``median_s``: the median time between both (null at start and end).

    Raises
    ------
    EmptyError
        When nothing was known by the moment.
    """
    walks = Walks.of(history, as_of)
    k = len(walks.log.kinds)
    before, after, waited = _steps(walks, k)
    frame = pl.DataFrame({"before": before, "after": after, "waited": waited})
    found = frame.group_by("before", "after").agg(pl.len().alias("count"), (pl.col("waited").median() / _SECOND).alias("median_s"))
    found = found.sort("count", "before", "after", descending=[True, False, False])
    names = pl.Series([*walks.log.kinds, START, END], dtype=pl.String)
    return found.select(
        names.gather(found["before"]).alias("from"),
        names.gather(found["after"]).alias("to"),
        pl.col("count").cast(pl.Int64),
        (pl.col("count") / pl.col("count").sum().over("before")).alias("share"),
        "median_s",
    )


def _steps(walks: Walks, k: int) -> tuple[Ints, Ints, pl.Series]:
    """Return what comes after what, with the time between; k stands for the start of a session, k + 1 for its end."""
    same = np.diff(walks.session) == 0
    first, last = np.append(True, ~same), np.append(~same, True)
    waited = np.diff(walks.time)[same]
    before = np.concatenate([walks.kind[:-1][same], np.full(first.sum(), k), walks.kind[last]])
    after = np.concatenate([walks.kind[1:][same], walks.kind[first], np.full(last.sum(), k + 1)])
    none = pl.Series([None], dtype=pl.Int64).new_from_index(0, len(before) - len(waited))
    return before, after, pl.concat([pl.Series(waited, dtype=pl.Int64), none])
