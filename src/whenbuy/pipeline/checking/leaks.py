"""Leaks: which of the user's own columns know the future.

A column that rides along says something about its row. It leaks where it says what only later rows can tell. Four tests look for that:

* *the same*: the column equals a number that needs later events (the orders of the customer's whole history, the amount of her next order,
  what she spends within the next 30 days, an item's total sales), on rows where it differs from what an honest column would hold there;
* *dates*: its dates lie after their rows and name later orders, or end where the log ends (see :mod:`dates`);
* *told*: a small tree tells it from the customer's whole history, and cannot tell it from what was known at the row (see :mod:`tree`);
* *filled in*: its last days look as none before them (see :mod:`filled`).

An honest trait that never changes passes the third test: the past, which holds at least half of the customer's orders at the rows that are
looked at, tells it nearly as well as the whole history does; only an outcome is told by the rest of the log alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
import polars as pl

from whenbuy.clean import REFUND_OF
from whenbuy.core.arrays import MISSING, Bools, Codes, Floats, Instants, Ints
from whenbuy.core.history import History
from whenbuy.core.log import CODED, ORDERS, SCALES, Column, Dictionary
from whenbuy.core.profile import Profile
from whenbuy.pipeline.checking.dates import date_leak, dates
from whenbuy.pipeline.checking.filled import filled_leak
from whenbuy.pipeline.checking.items import item_leak
from whenbuy.pipeline.checking.parts import Leak
from whenbuy.pipeline.checking.sample import Facts, Known, Sample, facts, features, sampled
from whenbuy.pipeline.checking.tree import targets, unexplained

ROWS: Final = 50
"""Rows on which a column and an honest one differ, before anything is said: guessing half, chance puts 45 of 50 right once in 10^9."""
SAME: Final = 0.9
"""A column is the same as something where it equals it on this part of those rows."""
KAPPA: Final = 0.85
"""And where agreement beyond chance (Cohen's kappa, 1960) reaches this."""
TOLD: Final = (0.15, 0.15)
"""The whole history leaves at most the first part of what the past leaves untold, and the past leaves at least the second. Twice the orders
tell an honest number to half its error (the mean of n values has the variance 1/n), an honest class of two to a fifth at the most where the
past leaves that much (two normal laws whose distance grows by √2)."""
OUTCOME: Final = (0.1, 0.4)
"""Or the whole history leaves at most the first share untold, and the past at least the second."""
PEOPLE: Final = 200
"""Customers with four orders or more, before a tree is asked."""
PARTED: Final = (0.95, 0.6)
"""A column of two values parts a number of the whole history in two where agreement beyond chance reaches the first, and nothing that was
known at the row reaches the second. An honest class that twice the orders tell to .95 is told to .8 by half of them (as above)."""
CLASSES: Final = 20
"""A column with at most so many different values is one of classes."""


def leaks(history: History) -> tuple[tuple[Leak, ...], int]:
    """Return the columns that know the future, and how many were tested.

    Parameters
    ----------
    history
        The cleaned history. Its further columns, and those of its profiles of users and items, are tested; the columns that whenbuy knows
        are not.
    """
    names = [name for name in history.log.columns if name not in (*CODED, *SCALES, ORDERS, REFUND_OF, "mixed_units")]
    found, tested = [], len(names)
    sample = sampled(history)
    known = None if sample is None else facts(sample)
    for name in names:
        column = history.log.columns[name]
        hit = None if sample is None or known is None else _of_customer(name, "event", _values(column, sample.rows), sample, known)
        found.append(hit or item_leak(name, column, history) or filled_leak(name, column, history))
    for name, column, rows in _user_profile(history, sample):
        tested += 1
        if sample is not None and known is not None:
            found.append(_of_customer(name, "user", _values(column, rows), sample, known))
    for name, column, rows in _item_profile(history):
        tested += 1
        found.append(item_leak(name, _values(column, rows), history, "item"))
    return tuple(leak for leak in found if leak is not None), tested


def _values(column: Column, rows: Ints) -> Column:
    absent = -1 if column.dictionary is not None else MISSING
    picked = np.where(rows >= 0, column.values[rows], absent)
    kept: Codes | Ints = picked.astype(np.int64) if column.dictionary is None else picked.astype(np.int32)
    return Column(kept, column.dictionary, column.scale)


def _user_profile(history: History, sample: Sample | None) -> Iterable[tuple[str, Column, Ints]]:
    """Yield the attributes of a timeless profile of users: name, column of the profile, and the profile's row of each sampled row."""
    if sample is None or history.users is None:
        return
    owner = np.searchsorted(history.log.offsets, sample.rows, side="right") - 1
    yield from _attributes(history.users, history.log.users, owner)


def _item_profile(history: History) -> Iterable[tuple[str, Column, Ints]]:
    """Yield the same of a timeless profile of items, for every row of the log."""
    item = history.log.columns.get("item_id")
    if history.items is not None and item is not None and item.dictionary is not None:
        yield from _attributes(history.items, item.dictionary, item.values.astype(np.int64))


def _attributes(profile: Profile, names: Dictionary, code: Ints) -> Iterable[tuple[str, Column, Ints]]:
    if not profile.timeless:
        return
    table = profile.table.unique("id", keep="last", maintain_order=True)
    places = pl.DataFrame({"id": table["id"].cast(pl.String), "place": np.arange(len(table))})
    place = names.ids.alias("id").to_frame().join(places, on="id", how="left", maintain_order="left")["place"].fill_null(-1)
    rows = np.append(place.to_numpy().astype(np.int64), -1)[code]  # the last one answers for code -1
    for name in profile.attributes:
        column = _column(table[name])
        if column is not None:
            yield name, column, rows


def _column(series: pl.Series) -> Column | None:
    """Return a column of a profile as the log would hold it."""
    if series.dtype.is_numeric() or series.dtype == pl.Boolean:
        numbers = series.cast(pl.Float64).fill_null(np.nan).to_numpy()
        scaled = np.where(np.isfinite(numbers), np.rint(np.where(np.isfinite(numbers), numbers, 0) * 1e6), MISSING).astype(np.int64)
        return Column(scaled, scale=1_000_000)
    if series.dtype.is_nested():
        return None
    names = series.cast(pl.String)
    distinct = Dictionary(names.drop_nulls().unique(maintain_order=True).alias("id"))
    return Column(distinct.codes(names), distinct)


# --------------------------------------------------------------------------------------------- one column


def _of_customer(name: str, of: str, at: Column, sample: Sample, known: Facts) -> Leak | None:
    """Return the leak that a column is by what it says of a customer; None where it is none."""
    when = dates(at, sample.history.clock.zone)
    if when is not None and (found := date_leak(name, of, when, sample)):
        return found
    if when is None and at.dictionary is None and (found := _same_number(name, of, at, (*known[0], *known[1]))):
        return found
    if (found := _parted(name, of, at, sample, known) or _same_truth(name, of, at, known[2])) is not None:
        return found
    return _told(name, of, at, when, sample, known)


def _numbers(at: Column) -> Floats:
    return np.where(at.values == MISSING, np.nan, at.values / at.scale)


def _do(of: str) -> str:
    return "Leave it out, or count it up to each row" if of == "event" else "Leave it out, or give each row of the profile a valid_from"


def _same_number(name: str, of: str, at: Column, known: Iterable[Known]) -> Leak | None:
    """Return the leak of a column that equals a number which only later events tell."""
    numbers = _numbers(at)
    best: tuple[float, Leak] | None = None
    for each in known:
        differs = np.isfinite(numbers) & np.isfinite(each.value)
        for past in each.past:
            differs &= ~(np.abs(each.value - past) <= each.tolerance)
        rows = np.flatnonzero(differs)
        if len(rows) < ROWS:
            continue
        share, chance = _agreement(numbers[rows], each.value[rows], each.tolerance)
        honest = max((float((np.abs(numbers[rows] - past[rows]) <= each.tolerance).mean()) for past in each.past), default=0.0)
        kappa = (share - chance) / (1 - chance) if chance < 1 else 0.0
        if share >= SAME and kappa >= KAPPA and (best is None or share > best[0]):
            evidence = (
                f"it equals that on {share:.1%} of {len(rows):,} rows where what was known then was another number (chance: {chance:.0%}), "
                f"and what was known then on {honest:.1%}"
            )
            best = share, Leak(name, of, "sure", f"it holds {each.words}", evidence, _do(of))
    return None if best is None else best[1]


def _agreement(values: Floats, other: Floats, tolerance: float) -> tuple[float, float]:
    """Return on which share of the rows two columns agree, and on which they would if the rows of one were dealt anew."""
    same = float((np.abs(values - other) <= tolerance).mean())
    places = [len(values) // 2, len(values) // 3, len(values) // 5]
    return same, max(float((np.abs(values - np.roll(other, place)) <= tolerance).mean()) for place in places)


def _two_valued(at: Column) -> Floats | None:
    """Return a column of two values, or of one value and none, as 0 and 1 (n); None where it is not one."""
    missing = at.values == (MISSING if at.dictionary is None else -1)
    values = np.unique(at.values[~missing])
    if len(values) == 2:
        return np.where(missing, np.nan, (at.values == values[1]).astype(float))
    return (~missing).astype(float) if missing.any() and len(values) else None


def _same_truth(name: str, of: str, at: Column, known: Iterable[Known]) -> Leak | None:
    """Return the leak of a column of two values that says what only later events tell."""
    flag = _two_valued(at)
    if flag is None:
        return None
    best: tuple[float, Leak] | None = None
    for each in known:
        rows = np.flatnonzero(np.isfinite(flag) & np.isfinite(each.value))
        if len(rows) < ROWS or not 0.01 < each.value[rows].mean() < 0.99:
            continue
        kappas = [_kappa(flag[rows], truth) for truth in (each.value[rows], 1 - each.value[rows])]
        honest = max((abs(_kappa(flag[rows], past[rows])) for past in each.past), default=0.0)
        kappa = max(kappas)
        if kappa >= KAPPA and honest < KAPPA / 2 and (best is None or kappa > best[0]):
            share = float((flag[rows] == (each.value[rows] if kappas[0] == kappa else 1 - each.value[rows])).mean())
            evidence = f"it agrees with that on {share:.1%} of {len(rows):,} rows, {kappa:.2f} beyond chance (1 is all)"
            best = kappa, Leak(name, of, "sure", f"it says {each.words}", evidence, _do(of))
    return None if best is None else best[1]


def _kappa(one: Floats, other: Floats) -> float:
    """Return the agreement of two columns of 0 and 1 beyond chance (Cohen 1960)."""
    p, q = float(one.mean()), float(np.nan_to_num(other).mean())
    chance = p * q + (1 - p) * (1 - q)
    return (float((one == other).mean()) - chance) / (1 - chance) if chance < 1 else 0.0


def _parted(name: str, of: str, at: Column, sample: Sample, known: Facts) -> Leak | None:
    """Return the leak of a column of two values that parts a number which only later events tell."""
    flag = _two_valued(at)
    rows = np.empty(0, np.int64) if flag is None else _panel(sample, np.isfinite(flag))
    if flag is None or len(rows) < ROWS or not 0.05 < flag[rows].mean() < 0.95:
        return None
    truth, past = flag[rows], features(sample, known, rows)[0]
    kappa, each = max(((_best_kappa(one.value[rows], truth), one) for one in (*known[0], *known[1])), key=lambda pair: pair[0])
    if kappa < PARTED[0]:
        return None
    before = max(_best_kappa(past[:, column], truth) for column in range(past.shape[1]))
    if before > PARTED[1]:
        return None
    evidence = (
        f"one bound on that tells it for {len(rows):,} customers, {kappa:.2f} beyond chance (1 is all); what was known then, {before:.2f}"
    )
    return Leak(name, of, "sure", f"it parts {each.words} in two", evidence, _do(of))


def _best_kappa(values: Floats, truth: Floats) -> float:
    """Return the best agreement beyond chance of a truth with being above some bound, or below it; what is not known counts as lowest."""
    order = np.argsort(np.where(np.isnan(values), -np.inf, values), kind="stable")
    value, n = np.nan_to_num(values[order], nan=-np.inf), len(values)
    ones, below = np.cumsum(truth[order]), np.arange(1, n + 1)
    right = (ones[-1] - ones + below - ones) / n  # ones above the bound and zeros up to it
    p, q = ones[-1] / n, 1 - below / n
    chance = p * q + (1 - p) * (1 - q)
    cut = np.flatnonzero(value[1:] != value[:-1])
    if not len(cut):
        return 0.0
    one_way = (right[cut] - chance[cut]) / (1 - chance[cut])
    other = ((1 - right[cut]) - (1 - chance[cut])) / chance[cut]
    return float(max(one_way.max(), other.max()))


def _panel(sample: Sample, there: Bools) -> Ints:
    """Return one row per customer with four orders or more, at which between half and four fifths of them are known."""
    orders = (sample.stop - sample.start)[sample.user]
    share = (sample.upto - sample.start[sample.user]) / orders
    rows = np.flatnonzero(there & (orders >= 4) & (share >= 0.5) & (share <= 0.8) & (sample.upto > sample.before))
    user = sample.user[rows]
    count = np.bincount(user, minlength=len(sample.start))
    first = np.cumsum(count) - count
    holders = np.flatnonzero(count)
    spread = (holders * 7919) % np.maximum(count[holders], 1)  # a row of each, spread without chance
    return np.asarray(rows[first[holders] + spread], np.int64)


def _told(name: str, of: str, at: Column, when: Instants | None, sample: Sample, known: Facts) -> Leak | None:
    """Return the leak of a column that the whole history tells and the past does not."""
    missing = at.values == (MISSING if at.dictionary is None else -1)
    if when is not None:
        missing, values, classes = when == MISSING, when, False
    else:
        values = at.values.astype(np.int64)
        classes = at.dictionary is not None or len(np.unique(values[~missing])) <= CLASSES
    if classes and len(np.unique(values)) > 5 * CLASSES:
        return None
    rows = _panel(sample, np.ones(len(missing), bool) if classes else ~missing)
    if len(rows) < PEOPLE:
        return None
    past, later = features(sample, known, rows)
    target = targets(np.where(missing, -1, values)[rows] if classes else values[rows], classes)
    before = unexplained(past, target)
    if before < TOLD[1]:
        return None
    after = min(unexplained(later, target), unexplained(np.column_stack([past, later]), target))
    if not (after <= TOLD[0] * before or (after <= OUTCOME[0] and before >= OUTCOME[1])):
        return None
    told = f"the whole log tells it to {1 - after:.0%} of its variance, what was known at the row to {1 - before:.0%}"
    evidence = f"for {len(rows):,} customers {told}"
    return Leak(name, of, "sure", "it was worked out from the customer's whole history", evidence, _do(of))
