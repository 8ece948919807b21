"""Every compiled loop equals a plain slow one."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whenbuy.clean.duplicates import _crowded, _mix, _near
from whenbuy.clean.nearest import lend, nearest
from whenbuy.clean.people import _verdicts
from whenbuy.clean.refunds import _match
from whenbuy.clean.running import in_order, last_two, moments, quartiles, ranked, slips
from whenbuy.clean.strange import _depths, paths
from whenbuy.core.arrays import MISSING, Ints
from whenbuy.core.log import order_by_time

seeds = st.integers(0, 100_000)


def column(seed: int, n: int = 40) -> tuple[Ints, Ints, Ints]:
    """Return group, instant and value of random rows, sorted."""
    rng = np.random.default_rng(seed)
    group, known_at = rng.integers(0, 3, n), rng.integers(0, 15, n)
    value = rng.choice([1, 2, 3, 5, 100, 200, 300, 7], n).astype(np.int64)
    order = in_order(group, known_at, value)
    return group[order], known_at[order], value[order]


def earlier(group: Ints, known_at: Ints, value: Ints, row: int) -> Ints:
    return value[(group == group[row]) & (known_at < known_at[row])]


@given(seeds)
def test_moments(seed: int) -> None:
    group, known_at, value = column(seed)
    mean, deviation = moments(group, known_at, value, 3)
    for row in range(len(value)):
        past = earlier(group, known_at, value, row)
        if len(past) < 3:
            assert np.isnan(mean[row])
            assert np.isnan(deviation[row])
        else:
            assert mean[row] == pytest.approx(past.mean(), rel=1e-12)
            assert deviation[row] == pytest.approx(past.std(ddof=1), rel=1e-9, abs=1e-9)


@given(seeds)
def test_quartiles(seed: int) -> None:
    group, known_at, value = column(seed)
    low, high = quartiles(group, known_at, *ranked(group, value), 2)
    for row in range(len(value)):
        past = earlier(group, known_at, value, row)
        if len(past) < 2:
            assert np.isnan(low[row])
        else:
            assert [low[row], high[row]] == pytest.approx(np.quantile(past, [0.25, 0.75]), rel=1e-12)


@given(seeds)
def test_slips(seed: int) -> None:
    group, known_at, value = column(seed)
    found = slips(group, known_at, *ranked(group, value), 100, 2)
    for g in set(group):
        kept: list[int] = []
        for instant in sorted(set(known_at[group == g])):
            median = sorted(kept)[(len(kept) - 1) // 2] if len(kept) >= 2 else None
            for row in np.flatnonzero((group == g) & (known_at == instant)):
                slip = 0 if median is None else int(value[row] == 100 * median) - int(100 * value[row] == median)
                assert found[row] == slip
                kept += [] if slip else [int(value[row])]


@given(seeds)
def test_last_two(seed: int) -> None:
    group, known_at, value = column(seed)
    known = (value != 7).astype(np.int64)
    last, before = last_two(group, known_at, known)
    for row in range(len(value)):
        past = [-1, -1, *np.flatnonzero((group == group[row]) & (known_at < known_at[row]) & (known == 1))]
        assert (before[row], last[row]) == (past[-2], past[-1])


def users(seed: int, n: int, late: bool) -> tuple[Ints, Ints, Ints, Ints]:
    """Return offsets, time, known_at and the order by time of a random log of three users."""
    rng = np.random.default_rng(seed)
    user, time = np.sort(rng.integers(0, 3, n)), rng.integers(0, 30, n)
    known_at = time + (rng.choice([0, 0, 4, 9], n) if late else 0)
    order = np.lexsort((known_at, user))
    offsets = np.searchsorted(user, np.arange(4)).astype(np.int64)
    return offsets, time[order], known_at[order], order_by_time(offsets, time[order]) if late else np.empty(0, np.int64)


@given(seeds, st.booleans())
def test_near(seed: int, late: bool) -> None:
    offsets, time, _, by_time = users(seed, 40, late)
    rng = np.random.default_rng(seed)
    kind, item, order = (rng.integers(low, 2, 40) for low in (0, 0, -1))
    kind, item, order = kind.astype(np.uint8), item.astype(np.int32), order.astype(np.int32)
    eligible = rng.random(40) < 0.8
    found = _near(offsets, time, by_time, kind, 1, item, order, eligible, 3)
    slow = np.zeros(40, bool)
    for lo, hi in pairwise(offsets):
        for at in range((hi - lo) ** 2):
            row, past = lo + at // (hi - lo), lo + at % (hi - lo)
            if past >= row:
                continue
            like = eligible[row] and eligible[past] and not slow[past] and kind[row] == kind[past] and item[row] == item[past]
            if like and abs(time[row] - time[past]) <= 3 and (kind[row] != 1 or order[row] == order[past] >= 0):
                slow[row] = True
    assert (found == slow).all()


@given(seeds, st.booleans())
def test_crowded(seed: int, late: bool) -> None:
    offsets, time, _, by_time = users(seed, 40, late)
    found = _crowded(offsets[:-1], time, by_time)  # the last user's rows are nobody's
    user = np.searchsorted(offsets[:-1], np.arange(40), side="right")
    assert found.tolist() == [any(time[a] == time[b] and user[a] == user[b] and a != b for b in range(40)) for a in range(40)]


def test_mix_tells_rows_apart_and_is_the_same_for_all_widths() -> None:
    digests = [np.full(1000, 1, np.uint64) for _ in range(2)]
    _mix(digests[0], np.arange(1000))
    _mix(digests[1], np.arange(1000).astype(np.int32))
    assert len(set(digests[0])) == 1000
    assert (digests[0] == digests[1]).all()
    mask = 2**64 - 1
    z = 1 ^ 7
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    assert int(digests[0][7]) == ((z ^ (z >> 31)) + 0x9E3779B97F4A7C15) & mask


@given(seeds, st.booleans(), st.integers(1, 5))
def test_verdicts(seed: int, late: bool, most: int) -> None:
    offsets, time, known_at, _ = users(seed, 40, late)
    rng = np.random.default_rng(seed)
    counted, judged = rng.random(40) < 0.8, rng.random(40) < 0.03
    busy, endless = _verdicts(offsets, time, known_at, counted, judged, most, 4, 8, 2)
    for user in range(3):
        rows = [row for row in range(offsets[user], offsets[user + 1]) if counted[row]]
        verdicts = [known_at[row] for row in range(offsets[user], offsets[user + 1]) if judged[row]]
        limit = min(verdicts, default=10**9)
        fired = [known_at[rows[i]] for i in range(most, len(rows)) if np.ptp(time[rows[i - most : i + 1]]) < 4]
        assert busy[user] == (fired[0] if fired and fired[0] < limit else MISSING)
        start = last = None
        fired = []
        for row in rows:
            if last is None or time[row] - last > 2:
                start = last = time[row]
            last = max(last, time[row])
            if last - start >= 8:
                fired.append(known_at[row])
        assert endless[user] == (fired[0] if fired and fired[0] < limit else MISSING)


@given(seeds, st.booleans())
def test_match(seed: int, late: bool) -> None:
    offsets, time, _, _ = users(seed, 40, late)
    rng = np.random.default_rng(seed)
    kind = rng.choice([0, 1, 2], 40, p=[0.1, 0.55, 0.35]).astype(np.uint8)
    order, item = rng.integers(-1, 3, 40).astype(np.int32), rng.integers(-1, 2, 40).astype(np.int32)
    amount = rng.choice([MISSING, 1, 2, 3, 5], 40).astype(np.int64)
    found = _match(np.arange(3, dtype=np.int32), offsets, time, kind, 1, 2, order, item, amount)
    left: dict[int, float] = {}
    for row in range(40):
        if kind[row] == 1:
            left[row] = float("inf") if amount[row] == MISSING else float(amount[row])
        if kind[row] != 2:
            continue
        lo = offsets[np.searchsorted(offsets, row, side="right") - 1]
        need = 1 if amount[row] == MISSING else amount[row]
        past = [p for p in range(row - 1, lo - 1, -1) if kind[p] == 1 and left[p] > 0 and time[p] <= time[row]]
        ordered = [p for p in past if order[p] == order[row] >= 0 and (min(item[p], item[row]) < 0 or item[p] == item[row])]
        alike = [p for p in past if item[p] == item[row] >= 0]
        match = next((p for p in [*ordered, *alike] if left[p] >= need), -1)
        assert found[row] == (match if match >= 0 or amount[row] == MISSING or sum(left[p] for p in ordered) < need else ordered[0])
        if match >= 0:
            left[match] = 0 if amount[row] == MISSING or left[match] == float("inf") else left[match] - need
        elif found[row] >= 0:
            for p in ordered:
                part = min(need, left[p])
                left[p] -= part
                need -= part


@given(seeds)
def test_lend_and_nearest(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, values = rng.normal(size=(12, 3)), rng.normal(size=(6, 3))
    distance, which = nearest(values, rows, 4, False)
    own, _ = nearest(rows, rows, 4, True)
    slow = np.sqrt(((values[:, None] - rows[None]) ** 2).sum(axis=2))
    assert (which == np.argsort(slow, axis=1, kind="stable")[:, :4]).all()
    assert distance == pytest.approx(np.sort(slow, axis=1)[:, :4])
    assert own == pytest.approx(np.sort(np.sqrt(((rows[:, None] - rows[None]) ** 2).sum(axis=2)), axis=1)[:, 1:5])
    rows[rng.random(rows.shape) < 0.3] = np.nan
    values[rng.random(values.shape) < 0.4] = np.nan
    lent = lend(values, rows, np.array([2, 0]), np.array([3, 1]))
    for i, (t, target, k) in ((i, part) for i in range(6) for part in ((0, 2, 3), (1, 0, 1))):
        gap = np.array([3 * np.nanmean((values[i] - row) ** 2) if np.isfinite(values[i] - row).any() else np.inf for row in rows])
        gap[np.isnan(rows[:, target])] = np.inf
        near = [j for j in np.argsort(gap, kind="stable")[:k] if gap[j] < np.inf]
        assert lent[i, t] == pytest.approx(np.mean(rows[near, target]) if near else 0.0)


def test_paths_and_depths() -> None:
    left, right = np.array([1, -1, 3, -1, -1], np.int32), np.array([2, -1, 4, -1, -1], np.int32)
    assert _depths(left.astype(np.int64), right.astype(np.int64)).tolist() == [0, 1, 1, 2, 2]
    feature, threshold = np.array([0, -2, 1, -2, -2], np.int32), np.array([0.5, 0, 2.5, 0, 0])
    path = np.array([0, 10, 0, 20, 30], np.float64)
    values = np.array([[0.5, 9], [0.6, 2.5], [0.6, 2.6]], np.float32)
    roots = np.array([0, 2])
    found = paths(values, roots, left, right, feature, threshold, path)
    assert found.tolist() == [10 + 30, 20 + 20, 30 + 30]
