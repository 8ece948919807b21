"""From day to day: what is remembered of a customer's days, folded one local day after the other, and the path of days without anything.

What is remembered (`MEMORY` numbers): decayed counts of days with a purchase and of all days (for each of `DECAYS`), the same by weekday,
days since the latest purchase, days since the first token, decayed spend. From it and from the day itself `tell` writes `TOLD` numbers that
speak of the next day.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats, Ints, Singles
from whenbuy.core.kernel import kernel
from whenbuy.models.neural.kernels.steps import LINEAR, WORK, advance, layers

HALF_LIVES: Final = (3.0, 7.0, 14.0, 30.0, 60.0, 150.0)
DECAYS: Final = np.exp2(-1.0 / np.array(HALF_LIVES))
_RATES: Final = len(HALF_LIVES)
_USUAL: Final = 3
"""The half-life, by its place, of what stands for her usual rate."""
_WEEK: Final = 7
_SEEN: Final = _RATES
_WEEKDAY: Final = 2 * _RATES
_WEEKDAY_SEEN: Final = _WEEKDAY + _WEEK
_SILENCE: Final = _WEEKDAY_SEEN + _WEEK
_AGE: Final = _SILENCE + 1
_SPENT: Final = _AGE + 1
MEMORY: Final = _SPENT + 2
_TOLD_WAIT: Final = 3 + _WEEK
_TOLD_RATES: Final = _TOLD_WAIT + 2
TOLD: Final = _TOLD_RATES + _RATES + 4
_WEEKDAY_KEPT: Final = 0.93
_LENT_DAYS: Final = 4.0
"""Days of the usual rate that are lent to each of her own."""
_LENT_WEEKS: Final = 2.0
"""Weeks of her own rate that are lent to each weekday."""


@kernel
def _odds(chance: float) -> float:
    return math.log(chance / (1.0 - min(chance, 0.995)))


@kernel
def tell(day: int, bought: float, amount: float, other: float, usual: float, memory: Floats, out: Singles) -> None:
    """Take one day into the memory and write what is told of the day after it.

    Parameters
    ----------
    day
        Which one, in days since 1970-01-01.
    bought, amount, other
        Whether she bought, log(1 + what she spent), log(1 + how many other events there were).
    usual
        The usual share of days with a purchase.
    """
    memory[_SILENCE] = 0.0 if bought > 0 else memory[_SILENCE] + 1.0
    memory[_AGE] += 1.0
    memory[_SPENT] = 0.9 * memory[_SPENT] + 0.1 * amount
    memory[_SPENT + 1] = 0.98 * memory[_SPENT + 1] + 0.02 * amount
    today, after = day % _WEEK, (day + 1) % _WEEK
    memory[_WEEKDAY + today] = _WEEKDAY_KEPT * memory[_WEEKDAY + today] + bought
    memory[_WEEKDAY_SEEN + today] = _WEEKDAY_KEPT * memory[_WEEKDAY_SEEN + today] + 1.0
    out[0], out[1], out[2] = bought, amount, other
    for i in range(_WEEK):
        out[3 + i] = 1.0 if i == after else 0.0
    own = usual
    for i in range(_RATES):
        memory[i] = DECAYS[i] * memory[i] + bought
        memory[_SEEN + i] = DECAYS[i] * memory[_SEEN + i] + 1.0
        rate = (memory[i] + usual * _LENT_DAYS) / (memory[_SEEN + i] + _LENT_DAYS)
        out[_TOLD_RATES + i] = _odds(rate)
        own = rate if i == _USUAL else own
    waited, last = math.log1p(memory[_SILENCE]), _TOLD_RATES + _RATES
    out[_TOLD_WAIT], out[_TOLD_WAIT + 1] = waited, waited + math.log(own)
    out[last] = _odds((memory[_WEEKDAY + after] + own * _LENT_WEEKS) / (memory[_WEEKDAY_SEEN + after] + _LENT_WEEKS))
    out[last + 1], out[last + 2], out[last + 3] = math.log1p(memory[_AGE]), memory[_SPENT], memory[_SPENT + 1]


@kernel
def add_up(row: int, stop: int, tokens: Floats, held: Floats) -> int:
    """Write purchases, amount and other events of the day of token ``row`` up to token ``stop`` into ``held``; return the next token."""
    held[:] = 0.0
    today = tokens[row, 0]
    while row < stop and tokens[row, 0] == today:
        if tokens[row, 1] > 0:
            held[0] = 1.0
            held[1] += tokens[row, 2]
        else:
            held[2] += 1.0
        row += 1
    held[1], held[2] = math.log1p(max(held[1], 0.0)), math.log1p(held[2])
    return row


@kernel
def days_of(
    start: Ints, stop: Ints, until: Ints, tokens: Floats, usual: float, offsets: Ints, out: Singles, came: Singles
) -> None:  # fmt: skip
    """Write what is told after each day of some streams, and whether she bought on the next one.

    Parameters
    ----------
    start, stop
        The tokens of each stream (s).
    until
        The last day of each (s).
    tokens
        The day of each, 1 for a purchase, its amount (t x 3).
    offsets
        The days of stream i are ``offsets[i] : offsets[i + 1]`` (s + 1).
    out, came
        What is told (d x TOLD), and what came (d); 0 for the last day of a stream.
    """
    memory, held = np.empty(MEMORY), np.empty(3)
    for stream in range(len(start)):
        memory[:] = 0.0
        row, first = start[stream], int(tokens[start[stream], 0])
        for today in range(first, until[stream] + 1):
            held[:] = 0.0
            if row < stop[stream] and tokens[row, 0] == today:
                row = add_up(row, stop[stream], tokens, held)
            at = offsets[stream] + today - first
            tell(today, held[0], held[1], held[2], usual, memory, out[at])
            came[at] = 0.0
            if today > first:
                came[at - 1] = held[0]


@kernel
def _step(flat: Singles, scale: Singles, told: Singles, usual_size: Singles, state: Singles, work: Singles) -> None:
    """Let one day update the state: ``told`` is brought to usual size."""
    width = scale.shape[1]
    x = work[:width]
    for j in range(width):
        x[j] = scale[len(told), j]
    for i in range(len(told)):
        told[i] = (told[i] - usual_size[0, i]) / usual_size[1, i]
        for j in range(width):
            x[j] += told[i] * scale[i, j]
    advance(LINEAR, len(state) // width - 1, flat, 0.0, x, state, work[width:])


@kernel
def roll(
    start: Ints, offsets: Ints, place: Ints, last: Ints, tokens: Floats, usual: float, usual_size: Singles, flat: Singles, scale: Singles,
    head: Singles, sizes: Ints, out: Floats,
) -> None:  # fmt: skip
    """Write the log-odds of a purchase on each of the days after a read-out, had nothing happened on those between.

    Parameters
    ----------
    start, offsets, place
        The streams and their read-outs, as in `Streams`; every read-out has a token behind it.
    last
        The last day that is over at each read-out (n).
    tokens, usual
        As in ``days_of`` and ``tell``.
    usual_size
        Mean and deviation of what is told (2 x TOLD).
    flat, scale, head, sizes
        The encoder, how what is told enters it, the layers behind it.
    out
        What is told (n x days).
    """
    width = scale.shape[1]
    size = (len(flat) // (4 * width * width + 5 * width) + 1) * width
    memory, held, told = np.empty(MEMORY), np.empty(3), np.empty(TOLD, np.float32)
    state, work = np.empty(size, np.float32), np.empty((1 + WORK) * width, np.float32)
    own_memory, own_state = np.empty(MEMORY), np.empty(size, np.float32)
    read = np.empty(sizes[0], np.float32)
    one, other = np.empty(sizes.max(), np.float32), np.empty(sizes.max(), np.float32)
    for stream in range(len(start)):
        memory[:], state[:] = 0.0, 0.0
        row, today = start[stream], int(tokens[start[stream], 0])
        for at in range(offsets[stream], offsets[stream + 1]):
            stop = start[stream] + place[at]
            while today < last[at]:
                held[:] = 0.0
                if row < stop and tokens[row, 0] == today:
                    row = add_up(row, stop, tokens, held)
                tell(today, held[0], held[1], held[2], usual, memory, told)
                _step(flat, scale, told, usual_size, state, work)
                today += 1
            own_memory[:], own_state[:] = memory, state
            held[:] = 0.0
            if row < stop and tokens[row, 0] == today:
                add_up(row, stop, tokens, held)
            for ahead in range(out.shape[1]):
                tell(today + ahead, held[0], held[1], held[2], usual, own_memory, told)
                _step(flat, scale, told, usual_size, own_state, work)
                read[:width], read[width:] = own_state[size - width :], told
                layers(head, sizes, 0, read, one, other)
                out[at, ahead] = one[0]
                held[:] = 0.0
