"""The next event: its kind, its item and its time together, from what was made of all events before it.

Names are told by how well the state fits the very rows of the table that stand for them in the input, so what is learned of an item when it
is read serves when it is foretold. Large columns are learned against a sample of their names (Jean et al. 2015). The logarithm of the gap
is told as a mixture of normal distributions (Shchur et al. 2020), its mean in days by least squares beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from whenbuy.core.arrays import Floats, Ints, Singles
from whenbuy.core.errors import SettingsError
from whenbuy.core.log import Dictionary
from whenbuy.models.neural.engine import Tensor, Tensors, Weights, spread_evenly, torch, zeros
from whenbuy.models.neural.reading import part_of
from whenbuy.models.neural.tokens import GAP, SMALL, Names, Reader, minutes

_NARROWEST: Final = -3.0
"""The logarithm of the smallest deviation of a part of the mixture, so that gaps that are always the same cannot make a loss endless."""


@dataclass(frozen=True, slots=True)
class NextHead:
    """What is told of the next event.

    Parameters
    ----------
    columns
        The columns of names, where the log has them.
    parts
        Normal distributions of which the time is mixed.
    samples
        Names of a large column that each batch is learned against.
    share
        How much it counts beside the heads at the read-outs.
    squared
        How much the squared error of the mean gap counts beside the likelihood of the mixture.
    """

    columns: tuple[str, ...] = ("kind", "item_id")
    parts: int = 6
    samples: int = 512
    share: float = 0.2
    squared: float = 0.2

    def __post_init__(self) -> None:
        if self.parts < 1 or self.samples < 1 or self.share < 0 or self.squared < 0:
            raise SettingsError(f"The next event was to be told by {self}.", "Counts from 1 and shares from 0 are needed.", "Change them.")

    def told(self, reader: Reader) -> tuple[Names, ...]:
        """Return the columns that are told of those that are read."""
        return tuple(column for column in reader.columns if column.column in self.columns)

    def weights(self, reader: Reader, width: int, rng: np.random.Generator) -> Weights:
        """Return first weights."""
        made: dict[str, Singles] = {"time": spread_evenly(rng, width, 3 * self.parts + 1) * np.float32(0.1)}
        bias = zeros(3 * self.parts + 1)
        bias[self.parts : 2 * self.parts] = np.linspace(-1.5, 1.5, self.parts)
        made["time_bias"] = bias
        for column in self.told(reader):
            made[f"{column.column}"] = spread_evenly(rng, width, width)
            made[f"{column.column}_bias"] = zeros(column.rows, 1)
        return made

    def losses(
        self, weights: Tensors, tokens: Tensors, reader: Reader, states: Tensor, codes: Tensor, gap_days: Tensor, chance: Any
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """Return the sums of the losses of names and time, and over how many events.

        Parameters
        ----------
        weights, tokens
            Those of this head, and those of the tokens.
        states
            What was made of all events before each (e x width).
        codes, gap_days
            What came (e x c; e).
        """
        library = torch()
        count = library.tensor(float(len(states)))
        found = {"time": (self._time_loss(weights, states, reader, gap_days), count)}
        for place, column in enumerate(reader.columns):
            if column.column in self.columns:
                fit = states @ weights[column.column]
                row = codes[:, place].long() - reader.unmet[place]
                found[column.column] = (self._name_loss(weights, tokens, reader, place, fit, row, chance), count)
        return found

    def _name_loss(self, weights: Tensors, tokens: Tensors, reader: Reader, place: int, fit: Tensor, row: Tensor, chance: Any) -> Tensor:
        library = torch()
        column, functional = reader.columns[place], library.nn.functional
        bias, first = weights[f"{column.column}_bias"][:, 0], reader.unmet[place]
        if column.rows <= SMALL:
            return functional.cross_entropy(fit @ tokens["small"][first : first + column.rows].T + bias, row, reduction="sum")
        first -= reader.small_rows
        drawn = library.randint(column.rows, (self.samples,), generator=chance)
        asked, at = library.unique(library.cat([row, drawn]), return_inverse=True)
        rows = functional.embedding(asked + first, tokens["large"], sparse=True)
        return functional.cross_entropy(fit @ rows.T + bias[asked], at[: len(row)], reduction="sum")

    def _time_loss(self, weights: Tensors, states: Tensor, reader: Reader, gap_days: Tensor) -> Tensor:
        library = torch()
        out = states @ weights["time"] + weights["time_bias"]
        mean, deviation = reader.usual.get(GAP, (0.0, 1.0))
        scaled = ((gap_days * 1440.0).log1p() - mean) / deviation
        k = self.parts
        spread = out[:, 2 * k : 3 * k].clamp(_NARROWEST, 3.0)
        each = -0.5 * ((scaled[:, None] - out[:, k : 2 * k]) / spread.exp()).square() - spread
        likelihood = library.logsumexp(library.log_softmax(out[:, :k], dim=1) + each, dim=1)
        wide = library.nn.functional.softplus(out[:, 3 * k]) - gap_days / reader.gap_days
        return (0.9189385 - likelihood + self.squared * wide.square()).sum()


@dataclass(frozen=True, slots=True, eq=False)
class NextEvent:
    """What comes next, for each key.

    Parameters
    ----------
    names
        The names of each column that is told.
    chance
        P(the next event has this name), by column (n x names); a name that training did not meet is none of them.
    gap_days
        The expected days from the latest event to the next (n).
    weight, mean, deviation
        The mixture of log(1 + minutes to the next event) (n x parts).
    """

    names: Mapping[str, Dictionary]
    chance: Mapping[str, Singles]
    gap_days: Floats
    weight: Floats
    mean: Floats
    deviation: Floats

    def log_density(self, gap_days: Floats) -> Floats:
        """Return the logarithm of the density of a gap, per day (n)."""
        known = np.maximum(np.asarray(gap_days, float), 0.0)
        scaled = (minutes(known)[:, None] - self.mean) / self.deviation
        each = np.log(self.weight) - 0.5 * scaled**2 - np.log(self.deviation) - 0.5 * np.log(2 * np.pi)
        top = each.max(axis=1)
        return np.asarray(top + np.log(np.exp(each - top[:, None]).sum(axis=1)) + np.log(1440.0) - np.log1p(1440.0 * known))

    def by(self, gap_days: Floats) -> Floats:
        """Return P(the next event comes within so many days of the latest one) (n)."""
        from scipy.special import ndtr

        scaled = (minutes(np.maximum(np.asarray(gap_days, float), 0.0))[:, None] - self.mean) / self.deviation
        return np.asarray((self.weight * ndtr(scaled)).sum(axis=1))


def following_losses(
    head: NextHead, reader: Reader, weights: Tensors, states: Tensor, tokens: Mapping[str, Tensor], length: Ints, chance: Any
) -> dict[str, tuple[Tensor, Tensor]]:
    """Return the losses of what is told of the next event, after each event that has one behind it."""
    library = torch()
    time, stream = (library.from_numpy(part) for part in pairs_of(length))
    own = part_of(weights, "next")
    losses = head.losses(
        own, part_of(weights, "tokens"), reader, states[time, stream],
        tokens["true"][time + 1, stream], tokens["gap_days"][time + 1, stream], chance,
    )  # fmt: skip
    return {f"next {name}": pair for name, pair in losses.items()}


def next_of(head: NextHead, reader: Reader, weights: Mapping[str, Any], tokens: Mapping[str, Any], states: Singles) -> NextEvent:
    """Return what comes next after these states (n x width), without torch."""
    out = (_product(states, weights["time"]) + weights["time_bias"]).astype(np.float64)
    k = head.parts
    usual, deviation = reader.usual.get(GAP, (0.0, 1.0))
    share = _soft(out[:, :k])
    spread = np.exp(np.clip(out[:, 2 * k : 3 * k], _NARROWEST, 3.0)) * deviation
    names, chance = {}, {}
    for place, column in enumerate(reader.columns):
        if column.column not in head.columns or column.buckets:
            continue
        first = reader.unmet[place]
        large = column.rows > SMALL
        part = tokens["large" if large else "small"][first - large * reader.small_rows :][: column.rows]
        names[column.column] = column.known
        scores = _product(_product(states, weights[column.column]), part.T) + weights[f"{column.column}_bias"][:, 0]
        chance[column.column] = np.asarray(_soft(scores)[:, 1:], np.float32)
    gap = np.logaddexp(0.0, out[:, 3 * k]) * reader.gap_days
    return NextEvent(names, chance, gap, share, out[:, k : 2 * k] * deviation + usual, spread)


def _product(states: Singles, weights: Singles) -> Singles:
    """Return states (n x f) times weights (f x k); where these are small without BLAS, so that no bit depends on who else is asked."""
    if weights.shape[1] > SMALL:
        return states @ weights
    out = np.zeros((len(states), weights.shape[1]), np.float32)
    for feature, row in enumerate(weights):
        out += states[:, feature, None] * row
    return out


def pairs_of(length: Ints) -> tuple[Ints, Ints]:
    """Return where in padded streams (time, stream) an event has one behind it."""
    steps = np.arange(max(int(length.max(initial=1)) - 1, 0))
    time, stream = np.nonzero(steps[:, None] < length - 1)
    return time, stream


def _soft(scores: Any) -> Any:
    """Return exp(x) / sum exp(x) along the last axis."""
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


TYPES: Final[dict[str, type]] = {"NextHead": NextHead}
"""What a stored model of this file may be made of."""
