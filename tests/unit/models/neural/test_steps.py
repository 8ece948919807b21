"""One event at a time: kernels beside plain loops and beside torch, batch passes beside folds of the live step."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.models.neural.small import drawn_sequences
from whenbuy.core.arrays import DAY
from whenbuy.models.neural.engine import torch
from whenbuy.models.neural.gru import Gru
from whenbuy.models.neural.kernels import steps
from whenbuy.models.neural.kernels.scan import scan_backward, scan_forward
from whenbuy.models.neural.linear_recurrence import LinearRecurrence, scanned
from whenbuy.models.neural.lstm import Lstm
from whenbuy.models.neural.reading import Reading, first_weights, padded, states_of
from whenbuy.models.neural.simple_rnn import SimpleRnn
from whenbuy.models.neural.streams import Streams
from whenbuy.models.neural.temporal_cnn import TemporalCnn
from whenbuy.models.neural.tokens import Inputs
from whenbuy.models.neural.transformer import Transformer

RECURRENT = (
    LinearRecurrence(16, 2), LinearRecurrence(8, 3, decay=False), Gru(16, 2), Lstm(8, 3), SimpleRnn(16, 2), SimpleRnn(8, 1, "relu"),
)  # fmt: skip
OTHERS = (TemporalCnn(16, 3), Transformer(16, 2, 2, span=4), Transformer(16, 1, 2, span=64))
recurrent = pytest.mark.parametrize("encoder", RECURRENT, ids=lambda encoder: f"{encoder.name}-{encoder.cell}")
every = pytest.mark.parametrize("encoder", [*RECURRENT, *OTHERS], ids=lambda encoder: encoder.name)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def slow(encoder, weights, x, gap):
    """The states after each token of one stream, from the formulas, in float64 and without kernels or torch."""
    w = {name: part.astype(float) for name, part in weights.items()}
    out, h, c = [], np.zeros((encoder.depth, encoder.width)), np.zeros((encoder.depth, encoder.width))
    for t in range(len(x)):
        y = x[t].astype(float)
        for layer in range(encoder.depth):
            part = {name.split("/", 1)[1]: value for name, value in w.items() if name.startswith(f"{layer}/")}
            if isinstance(encoder, LinearRecurrence):
                z, o, c_new = np.split(y @ part["in"] + part["in_bias"], 3)
                fade = np.exp(-np.exp(part["rate"]) * gap[t]) if encoder.decay else 1.0
                h[layer] = (1 - sigmoid(z)) * fade * h[layer] + sigmoid(z) * c_new
                y = y + (h[layer] * o * sigmoid(o)) @ part["out"] + part["out_bias"]
                continue
            left, right = part["weight_ih"] @ y + part["bias_ih"], part["weight_hh"] @ h[layer] + part["bias_hh"]
            if isinstance(encoder, Gru):
                (ri, zi, ni), (rh, zh, nh) = np.split(left, 3), np.split(right, 3)
                z = sigmoid(zi + zh)
                h[layer] = (1 - z) * np.tanh(ni + sigmoid(ri + rh) * nh) + z * h[layer]
            elif isinstance(encoder, Lstm):
                i, f, g, o = np.split(left + right, 4)
                c[layer] = sigmoid(f) * c[layer] + sigmoid(i) * np.tanh(g)
                h[layer] = sigmoid(o) * np.tanh(c[layer])
            else:
                h[layer] = np.tanh(left + right) if encoder.activation == "tanh" else np.maximum(left + right, 0)
            y = h[layer].copy()
        out.append(y)
    return np.array(out)


@recurrent
def test_a_step_equals_the_formulas(encoder):
    rng = np.random.default_rng(1)
    weights = encoder.weights(rng)
    x, gap = rng.normal(size=(20, encoder.width)).astype(np.float32), rng.exponential(4, 20).astype(np.float32)
    flat = encoder.packed(weights)["flat"]
    state, work = np.zeros(encoder.state_size, np.float32), np.zeros(steps.WORK * encoder.width, np.float32)
    wanted = slow(encoder, weights, x, gap)
    for t in range(len(x)):
        steps.advance(encoder.cell, encoder.depth, flat, gap[t], x[t].copy(), state, work)
        np.testing.assert_allclose(state[-encoder.width :], wanted[t], atol=1e-5)


@every
def test_the_batch_pass_equals_the_fold(encoder):
    """By torch over padded streams, and out of the kernels (or of torch, stream by stream) at every prefix."""
    rng = np.random.default_rng(2)
    sequences = drawn_sequences(rng)
    reader = Inputs().learn(sequences, np.arange(len(sequences.time)))
    weights = first_weights(encoder, reader, rng)
    read = Reading(encoder, reader, weights).read_out(sequences)
    streams = Streams.of(sequences)
    tensors = {name: torch().from_numpy(part) for name, part in weights.items()}
    states = states_of(encoder, reader, tensors, padded(reader.read(sequences), streams.start, streams.length)).numpy()
    for stream in range(len(streams)):
        for at in range(streams.offsets[stream], streams.offsets[stream + 1]):
            place = streams.place[at]
            wanted = states[place - 1, stream] if place else np.zeros(encoder.width)
            np.testing.assert_allclose(read[streams.row[at]], wanted, atol=1e-5)


@every
def test_a_state_never_sees_what_comes_later(encoder):
    rng = np.random.default_rng(3)
    weights = {name: torch().from_numpy(part) for name, part in encoder.weights(rng).items()}
    x, gap = rng.normal(size=(30, 2, encoder.width)).astype(np.float32), rng.exponential(3, (30, 2)).astype(np.float32)
    before = encoder.passed(weights, torch().tensor(x), torch().tensor(gap), None).numpy()
    x[20:], gap[20:] = 7.0, 9.0
    after = encoder.passed(weights, torch().tensor(x), torch().tensor(gap), None).numpy()
    np.testing.assert_allclose(before[:20], after[:20], atol=1e-6)
    assert np.abs(before[20:] - after[20:]).max() > 1e-3


@pytest.mark.parametrize(
    "encoder", [encoder for encoder in RECURRENT if encoder.live], ids=lambda encoder: f"{encoder.name}-{encoder.cell}"
)
def test_what_others_ask_never_changes_a_bit(encoder):
    rng = np.random.default_rng(4)
    sequences = drawn_sequences(rng)
    reader = Inputs().learn(sequences, np.arange(len(sequences.time)))
    reading = Reading(encoder, reader, first_weights(encoder, reader, rng))
    whole = reading.read_out(sequences)
    for row in range(0, len(sequences), 5):
        assert np.array_equal(reading.read_out(sequences.take(np.array([row]))), whole[row : row + 1])


# ------------------------------------------------------------------------------------------------------------ the scan


def slow_scan(parts, faded):
    width = parts.shape[2] // 3
    z, o, c = parts[..., :width], parts[..., width : 2 * width], parts[..., 2 * width :]
    h, states = np.zeros(parts[0, :, :width].shape), []
    for t in range(len(parts)):
        h = (1 - sigmoid(z[t])) * faded[t] * h + sigmoid(z[t]) * c[t]
        states.append(h)
    return np.array(states), np.array(states) * o * sigmoid(o)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 9), st.integers(1, 4), st.integers(1, 5), st.integers(0, 2**20))
def test_the_scan_and_its_slopes_equal_plain_loops_and_differences(time, rows, width, seed):
    rng = np.random.default_rng(seed)
    parts, faded = rng.normal(size=(time, rows, 3 * width)), rng.uniform(0.2, 1, (time, rows, width))
    gates = np.ascontiguousarray(sigmoid(parts[..., : 2 * width]))
    state, out = np.empty_like(faded), np.empty_like(faded)
    scan_forward(parts, gates, faded, state, out)
    wanted = slow_scan(parts, faded)
    np.testing.assert_allclose(state, wanted[0], atol=1e-12)
    np.testing.assert_allclose(out, wanted[1], atol=1e-12)
    slope = rng.normal(size=out.shape)
    part_slope, fade_slope = np.empty_like(parts), np.empty_like(faded)
    scan_backward(parts, gates, faded, state, slope, np.zeros_like(faded[0]), part_slope, fade_slope)
    at = tuple(rng.integers(0, size) for size in parts.shape)
    small = 1e-6
    for array, slopes, place, shift in (
        (parts, part_slope, at, lambda value: value + small),
        (faded, fade_slope, (*at[:2], at[2] % width), lambda value: value * math.exp(small)),
    ):
        old = array[place]
        array[place] = shift(old)
        moved = ((slow_scan(parts, faded)[1] - wanted[1]) * slope).sum() / small
        array[place] = old
        assert moved == pytest.approx(slopes[place], abs=2e-4)


@pytest.mark.parametrize("fades", [True, False])
def test_torch_finds_the_hand_written_slopes_right(fades):
    library = torch()
    generator = library.Generator().manual_seed(0)
    parts = library.randn(6, 3, 12, dtype=library.float64, generator=generator, requires_grad=True)
    fading = (-library.rand(6, 3, 4, dtype=library.float64, generator=generator)).requires_grad_() if fades else None
    assert library.autograd.gradcheck(scanned, (parts, fading))


# ---------------------------------------------------------------------------------------------- numbers and the layers


def slow_bent(value, mean, deviation, furthest, unit):
    return float(np.clip((np.sign(value) * np.log1p(abs(value) * unit) - mean) / deviation, -furthest, furthest))


@given(st.lists(st.one_of(st.floats(-1e9, 1e9), st.just(np.nan), st.just(np.inf)), max_size=4), st.floats(-5, 5), st.floats(0.1, 9))
def test_numbers_and_features_equal_plain_loops(values, mean, deviation):
    raw = np.array(values, float)
    numbers = np.full(2 * len(raw), 9, np.float32)
    steps.read_numbers(raw, np.tile([mean, deviation, 1440.0], (len(raw), 1)), 6.0, numbers)
    features = np.full(2 * len(raw), 9, np.float32)
    steps.read_features(raw, np.tile([mean, deviation, 1.0], (len(raw), 1)), 5.0, features)
    for i, value in enumerate(raw):
        known = np.isfinite(value)
        assert numbers[2 * i] == pytest.approx(slow_bent(value, mean, deviation, 6.0, 1440.0) if known else 0.0, abs=1e-5)
        assert numbers[2 * i + 1] == known
        assert features[i] == pytest.approx(slow_bent(value, mean, deviation, 5.0, 1.0) if known else 0.0, abs=1e-5)
        assert features[len(raw) + i] == (not known)


def test_silence_is_its_logarithm_and_what_half_lives_leave_of_it():
    out = np.zeros(4, np.float32)
    steps.read_silence(7.0, np.array([7.0, 14.0]), out)
    np.testing.assert_allclose(out, [np.log(8) / 2, 0.5, 2**-0.5, 0], rtol=1e-6)
    steps.read_silence(np.nan, np.array([7.0, 14.0]), out)
    assert out.tolist() == [0, 0, 0, 1]
    assert DAY == 86_400_000_000


@pytest.mark.parametrize(("act", "function"), list(enumerate([lambda x: np.maximum(x, 0), np.tanh, lambda x: x * sigmoid(x), lambda x: x])))
def test_layers_equal_matrix_products(act, function):
    rng = np.random.default_rng(5)
    sizes = (7, 5, 4, 3)
    matrices = [rng.normal(size=pair) for pair in pairwise(sizes)]
    biases = [rng.normal(size=size) for size in sizes[1:]]
    flat = np.concatenate([part.ravel() for pair in zip(biases, matrices, strict=True) for part in pair]).astype(np.float32)
    rows = rng.normal(size=(6, 7)).astype(np.float32)
    wanted = rows.astype(float)
    for place, (bias, matrix) in enumerate(zip(biases, matrices, strict=True)):
        wanted = wanted @ matrix + bias
        wanted = function(wanted) if place < 2 else wanted
    np.testing.assert_allclose(steps.layers_of_rows(flat, np.array(sizes), act, rows), wanted, atol=1e-5)
