"""Every answer of the outlook by segment, and what the forecasts add to its description."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np

from whenbuy.core.arrays import Codes, Floats
from whenbuy.core.errors import WhenbuyError
from whenbuy.core.forecast import Classes
from whenbuy.core.outlook import Outlook
from whenbuy.core.segments import Segments

_LIKELY: Final = 0.5
_HARDLY: Final = 0.1
_FAVOURS: Final = 1.3
"""How many times as much as everybody's a segment's share of a class must be to be said."""
_WORTH: Final = 0.05
"""And the least share of it."""


def with_answers(segments: Segments, outlook: Outlook) -> Segments:
    """Return the segments with the mean of every number that the outlook tells of their customers, and what it adds in words.

    Raises
    ------
    WhenbuyError
        When the outlook is about other keys.
    """
    if len(outlook) != len(segments) or not np.array_equal(outlook.keys.code, segments.keys.code):
        raise WhenbuyError("The outlook is about others than the segments.")
    frame, code, k = outlook.frame(further=True), segments.code, len(segments.segments)
    numbers = [name for name, kind in frame.schema.items() if kind.is_float()]
    found = {name: _mean(frame[name].cast(float).to_numpy(), code, k) for name in numbers if frame[name].null_count() < len(frame)}
    told = zip(segments.segments, _due(outlook, found, k), _favours(outlook, code, k), segments.sizes, strict=True)
    said = tuple(replace(one, words="; ".join(filter(None, (one.words, *further)))) if size else one for one, *further, size in told)
    return replace(segments, segments=said, figures={**segments.figures, **found})


def _mean(values: Floats, code: Codes, k: int) -> Floats:
    known = np.isfinite(values)
    total = np.bincount(code[known], weights=values[known], minlength=k)
    count = np.bincount(code[known], minlength=k)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _due(outlook: Outlook, found: dict[str, Floats], k: int) -> Iterator[str]:
    """Yield for each segment within what time its customers are likely to buy."""
    horizons = sorted(outlook.horizons)
    for segment in range(k):
        chance = [float(found[f"p_purchase_{days:g}d"][segment]) for days in horizons]
        near = next((days for days, each in zip(horizons, chance, strict=True) if each >= _LIKELY), None)
        if near is not None:
            yield f"likely due within {_time(near)}"
        else:
            last = chance[-1]
            yield f"{'hardly' if last < _HARDLY else f'{100 * last:.0f} % are'} due within {_time(horizons[-1])}"


def _favours(outlook: Outlook, code: Codes, k: int) -> Iterator[str]:
    """Yield for each segment the class that has a larger share of its coming purchases than of everybody's, where there is one."""
    answer = outlook.answers.get("classes")
    if not isinstance(answer, Classes) or not answer.classes:
        yield from ("" for _ in range(k))
        return
    mine = np.stack([_mean(answer.chance[:, place], code, k) for place in range(len(answer.classes))], axis=1)
    share = mine / np.maximum(np.nansum(mine, axis=1, keepdims=True), 1e-12)
    every = answer.chance.mean(axis=0)
    every = every / max(every.sum(), 1e-12)
    for row in share:
        lift = np.where(row >= _WORTH, row / np.maximum(every, 1e-12), 0.0)
        yield f"favours {answer.classes[int(lift.argmax())]}" if lift.max() >= _FAVOURS else ""


def _time(days: float) -> str:
    return {7.0: "a week", 14.0: "two weeks", 28.0: "four weeks"}.get(float(days), f"{days:g} days")
