"""Reading events: tokens into an encoder, and its states out of it, by torch while learning and by kernels (where it is live) after."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Final

import numpy as np

from whenbuy.core.arrays import Ints, Singles
from whenbuy.core.blocks import Sequences
from whenbuy.models.neural.encoder import Encoder
from whenbuy.models.neural.engine import Tensor, Tensors, Weights, torch
from whenbuy.models.neural.kernels.steps import fold
from whenbuy.models.neural.streams import Streams
from whenbuy.models.neural.tokens import Reader, Tokens, table_of

_BATCH: Final = 1 << 14


class Reading:
    """An encoder with its reader of tokens, and weights of both (``tokens/...`` and ``encoder/...``)."""

    def __init__(self, encoder: Encoder, reader: Reader, weights: Weights) -> None:
        self.encoder, self.reader, self.weights = encoder, reader, weights

    def read_out(self, sequences: Sequences) -> Singles:
        """Return what the encoder has made of each key's events (n x width), 0 where there are none.

        Where the encoder is live this is the fold of its steps by compiled kernels, without torch, and a row's bits never depend on the
        others. Other encoders run by torch, and rows agree within rounding.

        Raises
        ------
        UsageError
            When the encoder needs torch, and it is not installed.
        """
        streams = Streams.of(sequences)
        found = np.zeros((len(sequences), self.encoder.width), np.float32)
        if not streams.length.any():
            return found
        first, last = int(streams.start.min()), int((streams.start + streams.length).max())
        tokens = self.reader.read(sequences, first, last)
        if not self.encoder.live:
            return self._by_torch(tokens, streams, first, found)
        out = np.empty_like(found)
        cell, depth, flat, table, scale = self.cell
        fold(
            cell, depth, flat, table, scale, tokens.codes, tokens.numbers, tokens.gap_days,
            streams.start - first, streams.offsets, streams.place, out,
        )  # fmt: skip
        found[streams.row] = out
        return found

    def _by_torch(self, tokens: Tokens, streams: Streams, first: int, found: Singles) -> Singles:
        library = torch()
        weights = {name: library.from_numpy(part) for name, part in self.weights.items()}
        with library.no_grad():
            for batch in streams.batches(_BATCH, 2**62):
                reads, own = streams.reads(batch)
                place = streams.place[reads]
                told = place > 0
                if told.any():
                    streamed = padded(tokens, streams.start[batch] - first, streams.length[batch])
                    states = states_of(self.encoder, self.reader, weights, streamed).numpy()
                    found[streams.row[reads[told]]] = states[place[told] - 1, own[told]]
        return found

    @cached_property
    def cell(self) -> tuple[int, int, Singles, Singles, Singles]:
        """What the kernels need: which cell, its depth, its weights, the rows of the names, the weights of the numbers."""
        encoder: Any = self.encoder
        tokens = part_of(self.weights, "tokens")
        flat = encoder.packed(part_of(self.weights, "encoder"))["flat"]
        return encoder.cell, encoder.depth, flat, table_of(tokens, encoder.width), np.ascontiguousarray(tokens["scale"])


def first_weights(encoder: Encoder, reader: Reader, rng: np.random.Generator) -> dict[str, Singles]:
    """Return first weights of the tokens and the encoder."""
    made = {f"tokens/{name}": part for name, part in reader.weights(rng, encoder.width).items()}
    return made | {f"encoder/{name}": part for name, part in encoder.weights(rng).items()}


def states_of(encoder: Encoder, reader: Reader, weights: Tensors, tokens: Mapping[str, Tensor], chance: Any = None) -> Tensor:
    """Return what the encoder makes of each token and those before it (time x rows x width), by torch."""
    x = embedded(part_of(weights, "tokens"), tokens["codes"], tokens["numbers"], reader.small)
    return encoder.passed(part_of(weights, "encoder"), x, tokens["gap_days"], chance)


def part_of(weights: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the weights of one part of a net, by their names in it."""
    return {key.removeprefix(f"{name}/"): part for key, part in weights.items() if key.startswith(f"{name}/")}


def embedded(weights: Tensors, codes: Tensor, numbers: Tensor, small: int) -> Tensor:
    """Return tokens (time x rows x width) from rows of the table (time x rows x c) and numbers (time x rows x m)."""
    library = torch()
    bag = library.nn.functional.embedding_bag
    width = weights["scale"].shape[1]
    rows = codes.shape[0] * codes.shape[1]
    flat = codes.reshape(rows, codes.shape[-1])
    x = library.addmm(weights["scale"][-1], numbers.reshape(rows, numbers.shape[-1]), weights["scale"][:-1])
    if small:
        x = x + bag(flat[:, :small], weights["small"], mode="sum")
    if small < flat.shape[1]:
        x = x + bag(flat[:, small:] - len(weights["small"]), weights["large"], mode="sum", sparse=True)
    return x.view(*codes.shape[:2], width)


def padded(tokens: Tokens, start: Ints, length: Ints, order: Callable[[Ints, Ints], Ints] | None = None) -> dict[str, Tensor]:
    """Return some streams side by side as tensors (time x rows x ...); behind a stream's end its last token stands again.

    ``order`` may put the tokens (time x rows, beside the lengths) into another order.
    """
    library = torch()
    where = start + np.minimum(np.arange(max(int(length.max(initial=0)), 1))[:, None], np.maximum(length - 1, 0))
    where = np.minimum(where, len(tokens.codes) - 1)
    where = where if order is None else order(where, length)
    return {
        "codes": library.from_numpy(tokens.codes[where]),
        "numbers": library.from_numpy(tokens.numbers[where]),
        "gap_days": library.from_numpy(tokens.gap_days[where]),
    }
