"""The funnel: how many go from one step to the next, how many drop off, and how long it takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
import polars as pl

from whenbuy.core.arrays import MISSING, Instants, Ints
from whenbuy.core.errors import ColumnError, NotEnoughDataError
from whenbuy.core.history import History
from whenbuy.core.kernel import kernel
from whenbuy.core.log import EventLog
from whenbuy.pipeline.segmenting.walks import Walks

STEPS: Final = ("view", "cart", "purchase")
"""The steps of a funnel where none are named: those of them that the log has."""
_SECOND: Final = 1e6
_EVERY: Final = "all"


def funnel(
    history: History,
    as_of: int | str | None = None,
    steps: Sequence[str] = (),
    unit: Literal["session", "user"] = "session",
    by: str | None = None,
    most: int = 20,
) -> pl.DataFrame:
    """Return one row per group and step.

    ``unit``, ``group``, ``step``; ``reached``: sessions or users that came to it by way of all steps before it, in this order;
    ``of_first``, ``of_previous``: as shares; ``dropped``: share that did not come this far from the step before; ``median_s``: the median
    time since the step before (null for the first step); ``at_all``: those with such an event, in whatever order.

    Parameters
    ----------
    history
        The shop.
    as_of
        Only what was known before it counts (default: the log's end).
    steps
        Kinds of event; ``STEPS`` that the log has, by default.
    unit
        Whether one session must hold all steps, or a user's whole history may.
    by
        A column of names: the steps of a unit count name by name (a purchase of what was viewed).
    most
        How many names are listed, those with the most units at the first step.

    Raises
    ------
    NotEnoughDataError
        When the log has fewer than two of the steps.
    ColumnError
        When the log has no such column of names.
    """
    walks = Walks.of(history, as_of, lines=by is not None)
    steps = _known(walks.log, steps)
    code = np.array([steps.index(kind) if kind in steps else -1 for kind in walks.log.kinds], np.int64)[walks.kind]
    owner = walks.session if unit == "session" else walks.user
    group, names = _groups(walks, by)
    taken = np.flatnonzero((code >= 0) & (group >= 0))
    pair = owner[taken] * len(names) + group[taken]
    taken = taken[np.argsort(pair, kind="stable")]
    pair = np.sort(pair, kind="stable")
    begins = np.flatnonzero(np.append(True, pair[1:] != pair[:-1])) if len(pair) else np.empty(0, np.int64)
    reached, seen = _reached(np.append(begins, len(pair)).astype(np.int64), code[taken], walks.time[taken], len(steps))
    of = group[taken][begins] if len(begins) else np.empty(0, np.int64)
    entered = np.bincount(of[reached[:, 0] != MISSING], minlength=len(names))
    listed = [int(place) for place in np.argsort(-entered, kind="stable")[:most] if entered[place] > 0]
    parts = [_rows(reached[of == place], seen[of == place], steps, unit, names[place]) for place in listed]
    return pl.DataFrame([row for part in parts for row in part], schema=_SCHEMA)


_SCHEMA: Final = {
    "unit": pl.String, "group": pl.String, "step": pl.String, "reached": pl.Int64, "of_first": pl.Float64, "of_previous": pl.Float64,
    "dropped": pl.Float64, "median_s": pl.Float64, "at_all": pl.Int64,
}  # fmt: skip


def _known(log: EventLog, steps: Sequence[str]) -> tuple[str, ...]:
    seen = log.seen()
    found = tuple(dict.fromkeys(step for step in (steps or STEPS) if step in seen))
    if len(found) < 2 or (steps and len(found) < len(set(steps))):
        raise NotEnoughDataError(
            f"Of the steps {', '.join(steps or STEPS)} the log has {', '.join(found) or 'none'}.",
            f"A funnel needs two or more that it has; it has {', '.join(seen)}.", "Name others with --steps.",
        )  # fmt: skip
    return found


def _groups(walks: Walks, by: str | None) -> tuple[Ints, list[str]]:
    """Return the group of each event (m), -1 where it has none, and the groups' names."""
    if by is None:
        return np.zeros(len(walks), np.int64), [_EVERY]
    held = walks.log.columns.get(by)
    if held is None or held.dictionary is None:
        raise ColumnError(f"The log has no names in {by!r}.", "A funnel can be told apart by category, brand, channel.", "Name a column.")
    return held.values[walks.row].astype(np.int64), held.dictionary.ids.to_list()


def _rows(reached: Ints, seen: Ints, steps: Sequence[str], unit: str, group: str) -> list[dict[str, object]]:
    count = (reached != MISSING).sum(axis=0)
    found: list[dict[str, object]] = []
    for place, step in enumerate(steps):
        here = reached[:, place] != MISSING
        before = count[place - 1] if place else count[0]
        waited = (reached[here, place] - reached[here, place - 1]) / _SECOND if place else np.empty(0)
        found.append(
            {
                "unit": unit, "group": group, "step": step, "reached": int(count[place]),
                "of_first": float(count[place] / max(count[0], 1)),
                "of_previous": float(count[place] / max(before, 1)), "dropped": float(1 - count[place] / max(before, 1)),
                "median_s": float(np.median(waited)) if len(waited) else None, "at_all": int(seen[:, place].sum()),
            }
        )  # fmt: skip
    return found


@kernel
def _reached(begins: Ints, step: Ints, time: Instants, steps: int) -> tuple[Ints, Ints]:
    """Return when each unit came to each step in order (units x steps), MISSING for never, and 1 where it has such an event at all."""
    units = len(begins) - 1
    reached, seen = np.full((units, steps), MISSING, np.int64), np.zeros((units, steps), np.int64)
    for unit in range(units):
        wanted = 0
        for event in range(begins[unit], begins[unit + 1]):
            seen[unit, step[event]] = 1
            if step[event] == wanted:
                reached[unit, wanted] = time[event]
                wanted += 1
    return reached, seen
