"""Lanes and folds: how one event counts, and how features are read out. Every engine calls these kernels, so they cannot drift apart.

An event is added to *lanes*: integers that can be updated both ways (counts, sums, squares), and to *folds*, which depend on the order in
which events became known (first, last, gaps, decayed rates). ``totals`` holds the lanes of each window one after the other, from the
shortest to the longest, and those of all time behind them; ``state`` and ``decays`` hold the folds.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple, cast

import numpy as np

from whenbuy.core.arrays import DAY, MISSING, Floats, Instants, Ints, Singles
from whenbuy.core.kernel import kernel, part
from whenbuy.features.exact import deviation, halve, square

HEAVY: Final = 4096
"""So many of a user's newest events (by time) keep their exact instant; the older ones count from the start of their UTC day."""

COUNT, SUM, KNOWN, SQUARE = 0, 1, 2, 3
"""Lanes: events; the sum of a column; events in which it is known; the sum of its squares (two lanes: multiples of 2**32, and the rest)."""

LATEST, EARLIEST, FIRST, LAST, LAST_NAME, HEAD, LINE, FIRST_HEAD, FIRST_LINE, GAP, DECAY, DECAY_SUM, BIG_HEAD, BIG_LINE, NEW_DAY = range(15)
"""Folds: greatest and least time; first and last known number; last known name; sum over the last order and over the first one (its head,
its further lines); gaps; a decayed count; a decayed sum; orders above the mean of those before (their heads, their further lines); the
last day that counted: an event of that day or an earlier one skips the folds behind this one."""

RATIO, DEVIATION, REPEATS, SINCE, VALUE, NAME, GAP_MEAN, GAP_DEVIATION, GAP_LAST, DECAYED, BIG_SINCE, BIG_SHARE = range(12)
"""Ways to read a feature; plain totals are read before them."""

ZERO, PLUS, MINUS = cast("int", np.int64(0)), cast("int", np.int64(1)), cast("int", np.int64(-1))
"""Numbers for calls between kernels: a bare 0 or 1 would compile the kernel once more, for that very number."""

_MS_PER_DAY = 86_400_000.0


class Code(NamedTuple):
    """A compiled spec.

    Parameters
    ----------
    windows
        Lengths of the windows in microseconds (w), rising.
    width
        Number of lanes.
    units
        What an event of each kind adds to each lane whatever its columns say (kinds x width): the plain counts.
    lane_first, lanes
        An event of kind k is also added by the steps ``lane_first[k] : lane_first[k + 1]``; a row says action, lane, column, and the column
        and code that a filter asks for (-1: no filter).
    fold_first, folds
        The same for folds: action, slot, column, filter column, filter code, decay.
    halflives
        Half-life of each decay, microseconds.
    empty
        The state of a user without events.
    plain, scales
        Features that are one total over a scale: column and place among the totals (p x 2), scale (p).
    reads, factors
        The other features: way, column, four places (r x 6) and two factors (r x 2).
    names
        For features that are names: position of each code in the names that the spec declares.
    """

    windows: Ints
    width: int
    units: Ints
    lane_first: Ints
    lanes: Ints
    fold_first: Ints
    folds: Ints
    halflives: Floats
    empty: Ints
    plain: Ints
    scales: Floats
    reads: Ints
    factors: Floats
    names: Ints


def pack(code: Code) -> tuple[Ints, Floats]:
    """Return the code as two flat arrays: a call from Python costs by the number of arrays, `unpack` next to nothing."""
    integers = [
        code.windows,
        code.units,
        code.lane_first,
        code.lanes,
        code.fold_first,
        code.folds,
        code.empty,
        code.plain,
        code.reads,
        code.names,
    ]
    sizes = [code.width, *(part.size for part in integers), len(code.halflives), len(code.scales)]
    reals = [code.halflives, code.scales, code.factors.ravel()]
    return np.concatenate([np.array(sizes, np.int64), *(part.ravel() for part in integers)]), np.concatenate(reals)


@part
def unpack(integers: Ints, reals: Floats) -> Code:
    """Return the code that was packed."""
    end = np.cumsum(integers[1:11]) + 13
    halflives, scales = integers[11], integers[11] + integers[12]
    return Code(
        integers[13 : end[0]], integers[0], integers[end[0] : end[1]].reshape((-1, max(integers[0], 1))), integers[end[1] : end[2]],
        integers[end[2] : end[3]].reshape((-1, 5)), integers[end[3] : end[4]], integers[end[4] : end[5]].reshape((-1, 6)),
        reals[:halflives], integers[end[5] : end[6]], integers[end[6] : end[7]].reshape((-1, 2)), reals[halflives:scales],
        integers[end[7] : end[8]].reshape((-1, 6)), reals[scales:].reshape((-1, 2)), integers[end[8] : end[9]],
    )  # fmt: skip


@kernel
def worth(action: int, value: int) -> tuple[int, int]:
    """Return what one event adds to its lane, and to the next one."""
    if action == COUNT:
        return 1, 0
    if value == MISSING:
        return 0, 0
    if action == SUM:
        return value, 0
    return (1, 0) if action == KNOWN else square(value)


@kernel
def add(
    code: Code, kind: Ints, values: Ints, events: Ints, begin: int, end: int, sign: int, totals: Ints, row: int, window: int, last: int
) -> None:
    """Add events to (sign 1) or take them from (-1) one row of totals, for the windows before ``last``.

    The events are the listed ones at begin … end, or without a list those in between.
    """
    width, units, lane_first, lanes = code.width, code.units, code.lane_first, code.lanes
    for i in range(begin, end):
        event = events[i] if len(events) else i
        k = kind[event]
        for base in range(window * width, last * width, max(width, 1)):
            for lane in range(width):
                totals[row, base + lane] += sign * units[k, lane]
        for step in range(lane_first[k], lane_first[k + 1]):
            column, where = lanes[step, 2], lanes[step, 3]
            if where >= 0 and values[where, event] != lanes[step, 4]:
                continue
            more, next_more = worth(lanes[step, 0], values[column, event] if column >= 0 else 0)
            for place in range(window * width + lanes[step, 1], last * width, width):
                totals[row, place] += sign * more
                if next_more:
                    totals[row, place + 1] += sign * next_more


@kernel
def count_one(
    units: Ints, lane_first: Ints, lanes: Ints, kind: int, values: Ints, event: int, sign: int, totals: Ints, window: int, last: int
) -> None:  # fmt: skip
    """Add one event to (sign 1) or take it from (-1) totals, as `add` does; a whole `Code` is slow to hand on for so little."""
    width = units.shape[1]
    for base in range(window * width, last * width, max(width, 1)):
        for lane in range(width):
            totals[base + lane] += sign * units[kind, lane]
    for step in range(lane_first[kind], lane_first[kind + 1]):
        where = lanes[step, 3]
        if where >= 0 and values[where, event] != lanes[step, 4]:
            continue
        more, next_more = worth(lanes[step, 0], values[lanes[step, 2], event] if lanes[step, 2] >= 0 else 0)
        for place in range(window * width + lanes[step, 1], last * width, width):
            totals[place] += sign * more
            if next_more:
                totals[place + 1] += sign * next_more


@kernel
def fold(  # noqa: C901 - one loop: a call per event would cost more than what it does
    code: Code, kind: Ints, time: Instants, values: Ints, first: int, stop: Ints, lo: int, hi: int, state: Ints, decays: Floats, row: int
) -> None:
    """Fold events into what depends on order. The keys lo … hi see the events from ``first`` up to their stop, in rising order.

    What the first of them knows goes into ``row`` of state and decays, on top of what stands there; each next one goes on in the next row.
    """
    fold_first, folds, halflives = code.fold_first, code.folds, code.halflives
    event = first
    for key in range(lo, hi):
        if key > lo:
            row += 1
            for slot in range(state.shape[1]):
                state[row, slot] = state[row - 1, slot]
            for decay in range(decays.shape[1]):
                decays[row, decay] = decays[row - 1, decay]
        while event < stop[key]:
            instant = time[event]
            for step in range(fold_first[kind[event]], fold_first[kind[event] + 1]):
                action, slot, where = folds[step, 0], folds[step, 1], folds[step, 3]
                if where >= 0 and values[where, event] != folds[step, 4]:
                    continue
                old = state[row, slot]
                if action == NEW_DAY:
                    if old != MISSING and values[folds[step, 2], event] <= old:
                        break
                    state[row, slot] = values[folds[step, 2], event]
                elif action == LATEST:
                    state[row, slot] = max(old, instant)
                elif action == EARLIEST:
                    state[row, slot] = instant if old == MISSING else min(old, instant)
                elif action >= BIG_HEAD:
                    basket(state, row, slot, action == BIG_HEAD, instant, values[folds[step, 2], event])
                elif action >= DECAY:
                    decay, weight = folds[step, 5], values[folds[step, 2], event] if action == DECAY_SUM else 1
                    if weight != MISSING:
                        state[row, slot] = max(old, instant)
                        decays[row, decay] = decayed(decays[row, decay], float(weight), old, instant, halflives[decay])
                elif action == GAP:
                    state[row, slot] = max(old, instant)
                    if old != MISSING:
                        gap = max(instant - old, 0) // 1000
                        high, low = square(gap)
                        state[row, slot + 1] += 1
                        state[row, slot + 2] += gap
                        state[row, slot + 3] += high
                        state[row, slot + 4] += low
                        state[row, slot + 5] = gap
                elif action in (FIRST_HEAD, FIRST_LINE):
                    state[row, slot + 1] += action == FIRST_HEAD
                    if state[row, slot + 1] <= 1:
                        state[row, slot] = joined(old, values[folds[step, 2], event])
                else:
                    state[row, slot] = folded(action, old, values[folds[step, 2], event])
            event += 1


@kernel
def decayed(total: float, weight: float, reference: int, time: int, halflife: float) -> float:
    """Return a decayed total as it stands after one more event, at the latest time; a late event enters with what is left of it by then."""
    if reference == MISSING:
        return weight
    if time == reference:
        return total + weight
    if time > reference:
        return total * halve(float(time - reference) / halflife) + weight
    return total + weight * halve(float(reference - time) / halflife)


@kernel
def joined(old: int, value: int) -> int:
    """Return the sum of two numbers of which either may be missing."""
    if value == MISSING:
        return old
    return value if old == MISSING else old + value


@kernel
def basket(state: Ints, row: int, slot: int, head: bool, instant: int, value: int) -> None:
    """Fold one line into the orders above the mean of those before them.

    The six slots: time and sum of the order that is open, number and sum of those before it, latest time and number of the big ones among
    these. A line before the first head belongs to no order.
    """
    if head:
        worth = state[row, slot + 1]
        if worth != MISSING:
            if outweighs(worth, state[row, slot + 2], state[row, slot + 3]):
                state[row, slot + 4] = max(state[row, slot + 4], state[row, slot])
                state[row, slot + 5] += 1
            state[row, slot + 2] += 1
            state[row, slot + 3] += worth
        state[row, slot], state[row, slot + 1] = instant, value
    elif state[row, slot] != MISSING:
        state[row, slot + 1] = joined(state[row, slot + 1], value)


@kernel
def outweighs(worth: int, n: int, total: int) -> bool:
    """Return whether a number is above the mean of n others; never where there is none."""
    return n > 0 and float(worth) * float(n) > float(total)


@kernel
def folded(action: int, old: int, value: int) -> int:
    """Return a number or a name after one more event."""
    if action == HEAD:
        return value
    if action == LINE:
        return joined(old, value)
    if value == MISSING or (action == LAST_NAME and value < 0) or (action == FIRST and old != MISSING):
        return old
    return value


@kernel
def of_totals(way: int, a: int, b: int, c: int, d: int, factor: float, other: float) -> float:
    """Return a feature made of totals."""
    if way == RATIO:
        return math.nan if b == 0 else (float(a) / factor) / (float(b) / other)
    if way == DEVIATION:
        return deviation(a, b, c, d) / factor
    return float(max(a - 1, 0))  # REPEATS


@kernel
def of_gaps(way: int, n: int, total: int, high: int, low: int, last: int) -> float:
    """Return a feature of the gaps, in days."""
    if n == 0:
        return math.nan
    if way == GAP_MEAN:
        return float(total) / float(n) / _MS_PER_DAY
    if way == GAP_DEVIATION:
        return deviation(n, total, high, low) / _MS_PER_DAY
    return float(last) / _MS_PER_DAY  # GAP_LAST


@kernel
def big_orders(state: Ints, row: int, slot: int) -> tuple[int, int, int]:
    """Return the number of orders, when the last big one was and how many are big, the open one among them."""
    n, last, big = state[row, slot + 2], state[row, slot + 4], state[row, slot + 5]
    if state[row, slot + 1] != MISSING:
        if outweighs(state[row, slot + 1], n, state[row, slot + 3]):
            last, big = max(last, state[row, slot]), big + 1
        n += 1
    return n, last, big


@kernel
def of_orders(way: int, state: Ints, row: int, slot: int, at: int) -> float:
    """Return a feature of the big orders, the open one among them."""
    n, last, big = big_orders(state, row, slot)
    if way == BIG_SINCE:
        return math.nan if last == MISSING else float(at - last) / float(DAY)
    return math.nan if n == 0 else float(big) / float(n)


@kernel
def of_state(way: int, value: int, at: int, factor: float) -> float:
    """Return a feature made of one slot."""
    if value == MISSING:
        return math.nan
    return float(at - value) / float(DAY) if way == SINCE else float(value) / factor  # VALUE


@part
def read_out(code: Code, totals: Ints, state: Ints, decays: Floats, at: Instants, place: Ints, begin: int, end: int, out: Singles) -> None:
    """Read the features of the keys begin … end out of the rows of totals, state and decays, each as of its instant, into their places."""
    read_plain(code, totals, ZERO, place, begin, end, out)
    read_rest(code, totals, state, decays, at, place, begin, end, out)


@part
def read_plain(code: Code, totals: Ints, row: int, place: Ints, begin: int, end: int, out: Singles) -> None:
    """Read the features that are one total over a scale out of the rows of totals from ``row`` on."""
    plain, scales = code.plain, code.scales
    for p in range(len(plain)):
        column, spot, scale = plain[p, 0], plain[p, 1], scales[p]
        for key in range(begin, end):
            out[place[key], column] = float(totals[row + key - begin, spot]) / scale


@kernel
def read_rest(code: Code, totals: Ints, state: Ints, decays: Floats, at: Instants, place: Ints, begin: int, end: int, out: Singles) -> None:
    """Read the features that are more than one total over a scale."""
    reads, factors, names = code.reads, code.factors, code.names
    for r in range(len(reads)):
        way, column, a, b, c, d = reads[r, 0], reads[r, 1], reads[r, 2], reads[r, 3], reads[r, 4], reads[r, 5]
        factor, other = factors[r, 0], factors[r, 1]
        for key in range(begin, end):
            row, known = key - begin, 0.0
            if way == DECAYED:  # more than half of them
                if state[row, a] != MISSING:
                    known = decays[row, b] * halve(float(at[key] - state[row, a]) / factor) * other
            elif way <= REPEATS:
                known = of_totals(way, totals[row, a], totals[row, b], totals[row, c], totals[row, d], factor, other)
            elif way in (GAP_MEAN, GAP_DEVIATION, GAP_LAST):
                known = of_gaps(way, state[row, a + 1], state[row, a + 2], state[row, a + 3], state[row, a + 4], state[row, a + 5])
            elif way >= BIG_SINCE:
                known = of_orders(way, state, row, a, at[key])
            elif way == NAME:
                known = math.nan if state[row, a] == MISSING else float(names[b + state[row, a]] if state[row, a] < c else d)
            else:
                known = of_state(way, state[row, a], at[key], factor)
            out[place[key], column] = known
