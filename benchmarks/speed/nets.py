"""Speed of the nets: training the linear recurrence beside torch's own GRU, and one event through an encoder and its head.

Figures are processor time on one thread. Training is measured on streams of very different lengths, in whole steps (tokens from their names
and numbers, the encoder, a curve read out at eight places of each stream, slopes, Adam), by turns, best of several; padding does not count.
The GRU in buckets has the better of two sizes of batches, because it likes larger ones; the padded one takes streams as they come, 64 at a
time. One step is called from Python with a new event each time.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.rows import Row, costs

AREA = "nets"
TRAIN = Row(area=AREA, name="linear_vs_gru", unit="×", better="higher", peer=65_000, target=2)
PADDED = Row(area=AREA, name="linear_vs_padded_gru", unit="×", better="higher", peer=18_900, target=10)
STEP = Row(area=AREA, name="step_us", unit="µs", better="lower", peer=160, target=10)
VS_TORCH = Row(area=AREA, name="step_vs_torch", unit="×", better="higher", peer=160, target=10, peer_better="lower")
WIDTH = 64
STREAMS = 400
BATCH, LARGE = 4096, 16384
"""Tokens of a batch, padding counted: as `Training` has them, and as a GRU likes them."""


def rows() -> Iterator[Row]:
    (cost,) = costs(f"{__name__}:training", times=1)
    ours, deep, bucketed, padded = cost.answer
    yield TRAIN.got(ours / bucketed, peer_measured=bucketed, note=f"{ours:,.0f} tokens a second; {deep:,.0f} in two layers")
    yield PADDED.got(ours / padded, peer_measured=padded)
    (cost,) = costs(f"{__name__}:stepping", times=1)
    ours, theirs = cost.answer
    yield STEP.got(ours, peer_measured=theirs, note="names and numbers of an event in, new state and 28-day curve out")
    yield VS_TORCH.got(theirs / ours, peer_measured=theirs)


def events(streams: int, seed: int = 0) -> Any:
    """Streams of lognormal lengths (median 45 events, a few above a thousand), each with its kind, item and time."""
    from whenbuy.core.blocks import Sequences
    from whenbuy.core.log import Dictionary

    rng = np.random.default_rng(seed)
    lengths = np.clip(rng.lognormal(3.8, 1.2, streams).astype(np.int64), 2, 2000)
    stop, tokens = np.cumsum(lengths), int(lengths.sum())
    gap = np.log1p(rng.exponential(3.0, tokens)).astype(np.float32)
    codes = {"kind": rng.integers(0, 6, tokens).astype(np.int32), "item_id": rng.integers(0, 400, tokens).astype(np.int32)}
    names = {"kind": Dictionary.of(map(str, range(6))), "item_id": Dictionary.of(map(str, range(400)))}
    since = np.zeros(streams)
    return Sequences(stop - lengths, stop, since, np.zeros(tokens, np.int64), codes, {"log_gap_days": gap, "amount": gap + 1}, names)


def training() -> list[float]:
    """Tokens a second: one layer of the linear recurrence and two, one of a GRU in buckets, and that GRU on padded batches."""
    from whenbuy.models.neural.engine import threads
    from whenbuy.models.neural.gru import Gru
    from whenbuy.models.neural.linear_recurrence import LinearRecurrence

    sequences = events(STREAMS)
    with threads(1):
        ways = [
            *(_epoch(encoder, sequences, BATCH) for encoder in (LinearRecurrence(WIDTH, 1), LinearRecurrence(WIDTH, 2), Gru(WIDTH))),
            _epoch(Gru(WIDTH), sequences, LARGE),
            _epoch(Gru(WIDTH), sequences, None),
        ]
        ways[0]()
        one, two, small, large, padded = (min(turn) for turn in zip(*[[_cpu(way) for way in ways] for _ in range(5)], strict=True))
    return [len(sequences.time) / each for each in (one, two, min(small, large), padded)]


def _epoch(encoder: Any, sequences: Any, tokens: int | None) -> Callable[[], None]:
    """An epoch of training with one encoder, in buckets of so many tokens; padded without a number."""
    from whenbuy.models.neural.engine import spread_evenly, torch
    from whenbuy.models.neural.optimise import Optimiser
    from whenbuy.models.neural.reading import first_weights, states_of
    from whenbuy.models.neural.reading import padded as side_by_side
    from whenbuy.models.neural.streams import Streams
    from whenbuy.models.neural.tokens import Inputs

    rng = np.random.default_rng(0)
    reader = Inputs().learn(sequences, np.arange(len(sequences.time)))
    read_tokens, streams = reader.read(sequences), Streams.of(sequences)
    weights = first_weights(encoder, reader, rng) | {"layers/0": spread_evenly(rng, WIDTH, 28)}
    tensors = {name: torch().tensor(part, requires_grad=True) for name, part in weights.items()}
    optimiser = Optimiser()
    movers = optimiser.movers(tensors, ())

    def epoch() -> None:
        every = np.random.default_rng(1).permutation(len(streams))
        buckets = None if tokens is None else streams.batches(tokens, 2**62, np.random.default_rng(1))
        for batch in buckets or np.array_split(every, len(every) // 64):
            length = streams.length[batch]
            told = side_by_side(read_tokens, streams.start[batch], length)
            states = states_of(encoder, reader, tensors, told)
            place = torch().from_numpy((np.arange(1, 9)[:, None] * (length - 1) // 8).ravel())
            read = states[place, torch().arange(len(length)).repeat(8)]
            torch().nn.functional.softplus(read @ tensors["layers/0"]).mean().backward()
            optimiser.move(movers, 1e-3)

    return epoch


def stepping() -> tuple[float, float]:
    """Microseconds of one event to a new state and a curve: our kernels, and torch's own GRU cell and layers, eager."""
    from whenbuy.models.neural.engine import threads
    from whenbuy.models.neural.heads import HazardHead
    from whenbuy.models.neural.linear_recurrence import LinearRecurrence
    from whenbuy.models.neural.live import LiveNet
    from whenbuy.models.neural.net import Net, Shape
    from whenbuy.models.neural.tokens import Inputs
    from whenbuy.models.neural.windows import Windows

    sequences = events(50)
    head = HazardHead(tuple(float(day) for day in range(1, 29)))
    reader = Inputs().learn(sequences, np.arange(len(sequences.time)))
    nothing = np.zeros(0)
    shape = Shape(LinearRecurrence(WIDTH, 1), (WIDTH,), "relu", reader, Windows((), nothing, nothing, nothing.astype(bool)), (head,))
    live = LiveNet(Net(shape, shape.weights(np.random.default_rng(0), np.zeros(28, np.float32))))
    state = live.start()
    names = [{"kind": str(i % 6), "item_id": str(i % 400)} for i in range(1000)]
    numbers = {"amount": 3.0}

    def ours() -> None:
        for each in names:
            live.step(state, each, numbers, 1.0)
            live.answer(state, 0.5, nothing)

    known = {name: place for place, name in enumerate([*map(str, range(400)), *"abcdef"])}
    with threads(1) as torch, torch.inference_mode():
        cell, table, scale = torch.nn.GRUCell(WIDTH, WIDTH), torch.nn.Embedding(406, WIDTH), torch.nn.Linear(4, WIDTH)
        layers = torch.nn.Sequential(torch.nn.Linear(WIDTH + 6, WIDTH), torch.nn.ReLU(), torch.nn.Linear(WIDTH, 28))

        def theirs() -> None:
            made, silence = torch.zeros(1, WIDTH), torch.zeros(1, 6)
            for each in names[:200]:
                event = torch.tensor([known[each["kind"]], known[each["item_id"]]])
                told = table(event).sum(dim=0) + scale(torch.tensor([numbers["amount"], 1.0, 1.0, 1.0]))
                made = cell(told[None], made)
                layers(torch.cat([made, silence], dim=1)).numpy()

        ours(), theirs()
        best = [min(turn) for turn in zip(*[(_cpu(ours) / 1000, _cpu(theirs) / 200) for _ in range(7)], strict=True)]
    return 1e6 * best[0], 1e6 * best[1]


def _cpu(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start
