"""One event at a time: the recurrent encoders and the layers behind them as compiled kernels, without torch.

A kernel adds input by input to all outputs of a layer at once, so a row's numbers never depend on which other rows are asked: batch
forecasts are the very fold of the live step, bit for bit. Formulas: GRU (Cho et al. 2014, with the reset behind the product as in torch),
LSTM (Hochreiter and Schmidhuber 1997; Gers et al. 2000), the simple recurrence of Elman (1990).
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from whenbuy.core.arrays import Codes, Floats, Ints, Singles
from whenbuy.core.kernel import kernel

RNN_TANH: Final = 0
RNN_RELU: Final = 1
GRU: Final = 2
LSTM: Final = 3
LINEAR: Final = 4
WORK: Final = 9
"""So many times the width is the room in which a cell works."""
ONE: Final = np.float32(1.0)


@kernel
def _times(x: Singles, inputs: int, flat: Singles, at: int, out: Singles, outputs: int) -> int:
    """Add x @ matrix to ``out``; return where the next weights stand. The matrix (inputs x outputs) stands in ``flat`` from ``at`` on.

    Inputs are taken eight at a time, added in their order: so ``out`` is read and written an eighth as often, and the bits are the same.
    """
    eights = inputs - inputs % 8
    for i in range(0, eights, 8):
        a, b, c, d, e, f, g, h = x[i], x[i + 1], x[i + 2], x[i + 3], x[i + 4], x[i + 5], x[i + 6], x[i + 7]
        rows = flat[at + i * outputs : at + (i + 8) * outputs]
        for j in range(outputs):
            half = (((out[j] + a * rows[j]) + b * rows[outputs + j]) + c * rows[2 * outputs + j]) + d * rows[3 * outputs + j]
            half = ((half + e * rows[4 * outputs + j]) + f * rows[5 * outputs + j]) + g * rows[6 * outputs + j]
            out[j] = half + h * rows[7 * outputs + j]
    for i in range(eights, inputs):
        value = x[i]
        row = flat[at + i * outputs : at + (i + 1) * outputs]
        for j in range(outputs):
            out[j] += value * row[j]
    return at + inputs * outputs


@kernel
def _exp(x: Singles, out: Singles) -> None:
    """Write exp(x) into ``out``, bounded at x = -87 and 87; x is used up. It is one vector operation, within 1e-7 of the true number.

    x = k log 2 + r with a whole k and a small r: 2**k is made of the bits of a float, exp(r) of a polynomial (Cephes, expf).
    """
    bits = out.view(np.int32)
    for j in range(len(x)):
        value = min(max(x[j], np.float32(-87.0)), np.float32(87.0))
        k = np.floor(value * np.float32(1.44269504) + np.float32(0.5))
        r = value - k * np.float32(0.693359375) + k * np.float32(2.12194440e-4)
        p = (np.float32(1.9875691500e-4) * r + np.float32(1.3981999507e-3)) * r + np.float32(8.3334519073e-3)
        p = ((p * r + np.float32(4.1665795894e-2)) * r + np.float32(1.6666665459e-1)) * r + np.float32(5.0000001201e-1)
        x[j] = p * r * r + r + ONE
        bits[j] = (np.int32(k) + np.int32(127)) << np.int32(23)
    for j in range(len(x)):
        out[j] *= x[j]


@kernel
def _rnn(flat: Singles, at: int, width: int, relu: bool, x: Singles, state: Singles, work: Singles) -> int:
    """Take one step of the simple recurrence; x is overwritten by the new state."""
    made, raised = work[:width], work[width : 2 * width]
    for j in range(width):
        made[j] = flat[at + j]
    at = _times(x, width, flat, at + width, made, width)
    at = _times(state, width, flat, at, made, width)
    if relu:
        for j in range(width):
            state[j] = x[j] = max(made[j], np.float32(0.0))
        return at
    for j in range(width):
        made[j] *= -2
    _exp(made, raised)
    for j in range(width):
        state[j] = x[j] = (ONE - raised[j]) / (ONE + raised[j])  # tanh
    return at


@kernel
def _gru(flat: Singles, at: int, width: int, x: Singles, state: Singles, work: Singles) -> int:
    """Take one step of a GRU; x is overwritten by the new state."""
    three = 3 * width
    token, before, raised = work[:three], work[three : 2 * three], work[2 * three : 3 * three]
    for j in range(three):
        token[j], before[j] = flat[at + j], flat[at + three + j]
    at = _times(x, width, flat, at + 2 * three, token, three)
    at = _times(state, width, flat, at, before, three)
    for j in range(2 * width):
        token[j] = -token[j] - before[j]
    _exp(token[: 2 * width], raised[: 2 * width])
    for j in range(width):
        token[j] = -2 * (token[2 * width + j] + before[2 * width + j] / (ONE + raised[j]))
    _exp(token[:width], before[:width])
    for j in range(width):
        stay = ONE / (ONE + raised[width + j])
        fresh = (ONE - before[j]) / (ONE + before[j])
        state[j] = x[j] = (ONE - stay) * fresh + stay * state[j]
    return at


@kernel
def _lstm(flat: Singles, at: int, width: int, x: Singles, cell: Singles, state: Singles, work: Singles) -> int:
    """Take one step of an LSTM; x is overwritten by the new output."""
    four = 4 * width
    made, raised = work[:four], work[four : 2 * four]
    for j in range(four):
        made[j] = flat[at + j]
    at = _times(x, width, flat, at + four, made, four)
    at = _times(state, width, flat, at, made, four)
    for j in range(four):
        made[j] = -made[j]
    for j in range(2 * width, 3 * width):
        made[j] *= 2
    _exp(made, raised)
    for j in range(width):
        fresh = (ONE - raised[2 * width + j]) / (ONE + raised[2 * width + j])
        cell[j] = cell[j] / (ONE + raised[width + j]) + fresh / (ONE + raised[j])
        made[j] = -2 * cell[j]
    _exp(made[:width], raised[:width])
    for j in range(width):
        state[j] = x[j] = (ONE - raised[j]) / (ONE + raised[j]) / (ONE + raised[3 * width + j])
    return at


@kernel
def _linear(flat: Singles, at: int, width: int, gap_days: float, x: Singles, state: Singles, work: Singles) -> int:
    """Take one step of a linear recurrence; x is overwritten by x plus what the gate lets out of the new state."""
    three = 3 * width
    rate = flat[at : at + width]
    parts, given, raised = work[:three], work[three : 2 * three], work[2 * three : 3 * three]
    for j in range(three):
        parts[j] = flat[at + width + j]
    at = _times(x, width, flat, at + width + three, parts, three)
    for j in range(2 * width):
        given[j] = -parts[j]
    for j in range(width):
        given[2 * width + j] = -rate[j] * np.float32(gap_days)
    _exp(given, raised)
    for j in range(width):
        enter = ONE / (ONE + raised[j])
        state[j] = raised[j] * enter * raised[2 * width + j] * state[j] + enter * parts[2 * width + j]
        parts[j] = state[j] * parts[width + j] / (ONE + raised[width + j])
    for j in range(width):
        x[j] += flat[at + j]
    return _times(parts, width, flat, at + width, x, width)


@kernel
def _sigmoid(x: Any) -> Any:
    """Return 1 / (1 + exp(-x))."""
    return ONE / (ONE + math.exp(-x))


@kernel
def advance(cell: int, depth: int, flat: Singles, gap_days: float, x: Singles, state: Singles, work: Singles) -> None:
    """Let one token x (width) update the state; x is overwritten by the output of the top layer, which the state keeps last."""
    width = len(x)
    at = 0
    for layer in range(depth):
        own = state[layer * width : (layer + 1) * width]
        if cell == GRU:
            at = _gru(flat, at, width, x, own, work)
        elif cell == LSTM:
            own = state[2 * layer * width : (2 * layer + 1) * width]
            at = _lstm(flat, at, width, x, own, state[(2 * layer + 1) * width : (2 * layer + 2) * width], work)
        elif cell == LINEAR:
            at = _linear(flat, at, width, gap_days, x, own, work)
        else:
            at = _rnn(flat, at, width, cell == RNN_RELU, x, own, work)
    if cell == LINEAR:
        for j in range(width):
            state[depth * width + j] = x[j]


@kernel
def bent(value: float, mean: float, deviation: float, furthest: float, minutes: float) -> float:
    """Return sign(x) log(1 + |x| * minutes) in deviations from its mean, no further from it than ``furthest``."""
    size = math.log1p(abs(value) * minutes)
    far = ((size if value >= 0 else -size) - mean) / deviation
    return min(max(far, -furthest), furthest)


@kernel
def read_numbers(raw: Floats, usual: Floats, furthest: float, out: Singles) -> None:
    """Write the numbers of a token: how far each is from usual, and whether it is known (``usual``: m x mean, deviation, unit)."""
    for i in range(len(raw)):
        known = math.isfinite(raw[i])
        out[2 * i] = bent(raw[i], usual[i, 0], usual[i, 1], furthest, usual[i, 2]) if known else 0.0
        out[2 * i + 1] = known


@kernel
def read_features(raw: Floats, usual: Floats, furthest: float, out: Singles) -> None:
    """Write the features of a row: how far each is from usual, then a mark for each gappy one (``usual``: f x mean, deviation, gappy)."""
    mark = len(raw)
    for i in range(len(raw)):
        known = math.isfinite(raw[i])
        out[i] = bent(raw[i], usual[i, 0], usual[i, 1], furthest, 1.0) if known else 0.0
        if usual[i, 2] > 0:
            out[mark] = not known
            mark += 1


@kernel
def read_silence(days: float, half_lives: Floats, out: Singles) -> None:
    """Write what is told of the days since the last event: half their logarithm, what half-lives leave, a mark where there was none."""
    known = math.isfinite(days)
    days = max(days, 0.0) if known else 0.0
    out[0] = math.log1p(days) / 2
    for i in range(len(half_lives)):
        out[1 + i] = math.exp2(-days / half_lives[i]) if known else 0.0
    out[1 + len(half_lives)] = not known


@kernel
def rows_of_numbers(raw: Floats, usual: Floats, furthest: float, out: Singles) -> None:
    """Write the numbers of each token (t x 2 m)."""
    for row in range(len(raw)):
        read_numbers(raw[row], usual, furthest, out[row])


@kernel
def rows_of_features(raw: Floats, usual: Floats, furthest: float, out: Singles) -> None:
    """Write the features of each row (n x f and marks)."""
    for row in range(len(raw)):
        read_features(raw[row], usual, furthest, out[row])


@kernel
def rows_of_silence(days: Floats, half_lives: Floats, out: Singles) -> None:
    """Write what is told of each silence."""
    for row in range(len(days)):
        read_silence(days[row], half_lives, out[row])


@kernel
def embed(codes: Codes, numbers: Singles, table: Singles, scale: Singles, x: Singles) -> None:
    """Write one token: the sum of its names' rows of the table, and its numbers times their weights (the last row of which is added)."""
    width = len(x)
    for j in range(width):
        x[j] = scale[len(numbers), j]
    for i in range(len(codes)):
        for j in range(width):
            x[j] += table[codes[i], j]
    for i in range(len(numbers)):
        value = numbers[i]
        for j in range(width):
            x[j] += value * scale[i, j]


@kernel
def fold(
    cell: int, depth: int, flat: Singles, table: Singles, scale: Singles, codes: Codes, numbers: Singles, gap_days: Singles,
    start: Ints, offsets: Ints, place: Ints, out: Singles,
) -> None:  # fmt: skip
    """Write the output of the top layer after so many tokens of a stream, for each read-out; 0 before any token.

    Parameters
    ----------
    start
        The first token of each stream (s).
    offsets
        The read-outs of stream i are ``offsets[i] : offsets[i + 1]`` (s + 1).
    place
        How many tokens of its stream each read-out has behind it (n), rising within a stream.
    out
        What is read (n x width).
    """
    width = table.shape[1]
    size = (2 * depth if cell == LSTM else depth + (cell == LINEAR)) * width
    x, state, work = np.empty(width, np.float32), np.empty(size, np.float32), np.empty(WORK * width, np.float32)
    for stream in range(len(start)):
        state[:] = 0.0
        token = 0
        for read in range(offsets[stream], offsets[stream + 1]):
            while token < place[read]:
                row = start[stream] + token
                embed(codes[row], numbers[row], table, scale, x)
                advance(cell, depth, flat, gap_days[row], x, state, work)
                token += 1
            out[read] = state[size - width :]


@kernel
def take(
    cell: int, depth: int, flat: Singles, table: Singles, scale: Singles, codes: Codes, raw: Floats, usual: Floats, furthest: float,
    gap_days: float, state: Singles, work: Singles,
) -> None:  # fmt: skip
    """Let one event update the state: the rows of its names, its numbers as they are, days since the event before."""
    width, told = table.shape[1], 2 * len(raw)
    numbers, x = work[:told], work[told : told + width]
    read_numbers(raw, usual, furthest, numbers)
    embed(codes, numbers, table, scale, x)
    advance(cell, depth, flat, gap_days, x, state, work[told + width :])


@kernel
def answer(
    flat: Singles, sizes: Ints, act: int, made: Singles, since_days: float, half_lives: Floats, raw: Floats, usual: Floats, furthest: float,
    work: Singles,
) -> Singles:  # fmt: skip
    """Return the outputs of the heads for one customer: what the encoder made of her, her silence, her features as they are."""
    enter, most = sizes[0], sizes.max()
    read, one, other = work[:enter], work[enter : enter + most], work[enter + most : enter + 2 * most]
    width = len(made)
    read[:width] = made
    if width:
        read_silence(since_days, half_lives, read[width:])
        width += len(half_lives) + 2
    read_features(raw, usual, furthest, read[width:])
    layers(flat, sizes, act, read, one, other)
    return one[: sizes[-1]].copy()


@kernel
def layers(flat: Singles, sizes: Ints, act: int, x: Singles, one: Singles, other: Singles) -> None:
    """Write into ``one`` what the layers make of a row x: an activation behind each but the last. ``other`` is room to work."""
    at = 0
    last = len(sizes) - 2
    for layer in range(last + 1):
        inputs, outputs = sizes[layer], sizes[layer + 1]
        source = x if layer == 0 else other
        for j in range(outputs):
            one[j] = flat[at + j]
        at = _times(source, inputs, flat, at + outputs, one, outputs)
        if layer < last:
            for j in range(outputs):
                value = one[j]
                if act == 0:
                    value = max(value, np.float32(0.0))
                elif act == 1:
                    value = math.tanh(value)
                elif act == 2:
                    value = value * _sigmoid(value)
                other[j] = value


@kernel
def layers_of_rows(flat: Singles, sizes: Ints, act: int, rows: Singles) -> Singles:
    """Return what the layers make of each row (n x outputs)."""
    out = np.empty((len(rows), sizes[-1]), np.float32)
    one, other = np.empty(sizes.max(), np.float32), np.empty(sizes.max(), np.float32)
    for row in range(len(rows)):
        layers(flat, sizes, act, rows[row], one, other)
        out[row] = one[: sizes[-1]]
    return out
