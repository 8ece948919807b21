"""Scores of a ranking: do the things that a person took stand at the top, and how much of the shop is shown."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from whenbuy.core.arrays import Bools, Codes, Floats, Ints
from whenbuy.core.errors import UsageError
from whenbuy.evaluate.measure import Measure, Sums, Whole, ratio


def ranking_measures(ranked: Ints, owner: Ints, item: Ints, k: int = 10) -> tuple[Measure, ...]:
    """Return the measures of rankings, over the rows in which something was taken.

    NDCG counts every taken thing alike and divides by the best order (Järvelin and Kekäläinen 2002, s. 2); the reciprocal rank is that of
    the first thing taken, 0 where none is among the first k (Voorhees 1999).

    Parameters
    ----------
    ranked
        Codes of the things shown to each person, the best first (n x m); each at most once, -1 where the list is shorter.
    owner, item
        What was taken: row of the person and code of the thing (r each); pairs may repeat.
    k
        How many of the first count.
    """
    taken, count = hits(ranked, owner, item)
    first = taken[:, :k].astype(float)
    found, discount = first.sum(axis=1), 1 / np.log2(2 + np.arange(first.shape[1]))
    best = np.concatenate([[0.0], np.cumsum(1 / np.log2(2 + np.arange(k)))])[np.minimum(count, k)]
    place = np.where(found > 0, first.argmax(axis=1) + 1.0, np.inf)
    some = (count > 0).astype(float)
    columns = [some, found / np.maximum(count, 1), ratio(first @ discount, best), 1 / place, found > 0, found / k]
    parts = np.nan_to_num(np.stack(columns, axis=1) * some[:, None])
    rows = (
        (f"recall_at_{k}", f"share of what was taken that stands among the first {k}"),
        (f"ndcg_at_{k}", f"gain of the first {k}, less the further down, over that of the best order"),
        (f"mrr_at_{k}", f"mean of 1 / place of the first thing that was taken, 0 beyond {k}"),
        (f"hit_rate_at_{k}", f"share of people of whose things at least one stands among the first {k}"),
        (f"precision_at_{k}", f"share of the first {k} that were taken"),
    )
    note = "" if some.any() else "nothing was taken"
    return tuple(
        Measure(name, None if note else Sums(parts, _mean(i)), "higher", words, note=note) for i, (name, words) in enumerate(rows, 1)
    )


def catalogue_measures(ranked: Ints, items: int, group: Codes | None = None, k: int = 10) -> tuple[Measure, ...]:
    """Return how much of the catalogue is shown, and how unlike the things on one list are.

    Parameters
    ----------
    ranked
        Codes of the things shown to each person (n x m), -1 where the list is shorter.
    items
        How many things there are.
    group
        The category of each thing (items); without it no diversity is told.
    k
        How many of the first count.
    """
    first, n = ranked[:, :k], len(ranked)

    def coverage(weight: Floats) -> float:
        shown = first[weight > 0]
        return len(np.unique(shown[shown >= 0])) / items if items else float("nan")

    found = [Measure(f"coverage_at_{k}", Whole(n, coverage), "context", f"share of all things that stand among somebody's first {k}")]
    if group is not None:
        parts = np.stack(_unlike(np.where(first >= 0, group[np.maximum(first, 0)], -1)), axis=1)
        words = f"mean share of pairs among the first {k} that are of different categories"
        found.append(Measure(f"diversity_at_{k}", Sums(parts, lambda s: ratio(s[..., 0], s[..., 1])), "context", words))
    return tuple(measure if np.isfinite(measure.value()) else measure.unknown("no list holds two things") for measure in found)


def hits(ranked: Ints, owner: Ints, item: Ints) -> tuple[Bools, Ints]:
    """Return which of the things shown were taken (n x m), and how many different things each person took (n).

    Raises
    ------
    UsageError
        When a thing is shown twice to one person, or taken by nobody who was asked.
    """
    n = len(ranked)
    if len(owner) and not 0 <= owner.min() <= owner.max() < n:
        raise UsageError(f"Things were taken by the rows {owner.min()} to {owner.max()}, but {n} were ranked.", "Each needs a ranking.")
    ordered = np.sort(ranked, axis=1)
    if ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any():
        raise UsageError("A ranking shows one thing twice.", "Each thing stands in a ranking at most once.", "Remove the repetitions.")
    width = 1 + max(int(ranked.max(initial=-1)), int(item.max(initial=-1)))
    pairs = np.unique(owner * width + item)
    shown = np.arange(n)[:, None] * width + ranked
    return np.isin(shown, pairs) & (ranked >= 0), np.bincount(pairs // max(width, 1), minlength=n).astype(np.int64)


def _mean(place: int) -> Callable[[Floats], Floats]:
    return lambda sums: ratio(sums[..., place], sums[..., 0])


def _unlike(groups: Ints) -> tuple[Floats, Floats]:
    """Return the share of pairs of different groups on each list, and whether it holds a pair (n each); -1 is no thing."""
    unlike, pairs = np.zeros(len(groups)), np.zeros(len(groups))
    for i in range(groups.shape[1]):
        for j in range(i):
            both = (groups[:, i] >= 0) & (groups[:, j] >= 0)
            pairs += both
            unlike += both & (groups[:, i] != groups[:, j])
    return np.divide(unlike, pairs, out=np.zeros(len(groups)), where=pairs > 0), (pairs > 0).astype(float)
