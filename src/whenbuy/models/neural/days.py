"""Day by day: a linear recurrence over a customer's local days, each of which tells the chance to buy on the next.

Every day that anybody was known is a lesson, not only the cutoffs of the examples, and the curve follows exactly: the days after a read-out
are passed as days on which nothing happened, and what is left of her chances not to have bought is multiplied up (a discrete hazard, Cox
1972). One day costs one step of the encoder, so this is for shops whose customers come back within weeks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np

from whenbuy.core.arrays import DAY, Bools, Floats, Ints, Singles
from whenbuy.core.blocks import Sequences
from whenbuy.core.errors import DamagedError, NotEnoughDataError, SettingsError
from whenbuy.core.examples import Examples
from whenbuy.core.forecast import TimeToEvent
from whenbuy.core.learner import refuse_leak
from whenbuy.models.neural.engine import Tensor, Tensors, Weights, dropped, spread_evenly, torch, zeros
from whenbuy.models.neural.kernels.days import TOLD, days_of, roll
from whenbuy.models.neural.linear_recurrence import LinearRecurrence
from whenbuy.models.neural.optimise import Optimiser
from whenbuy.models.neural.reading import part_of
from whenbuy.models.neural.streams import Streams
from whenbuy.models.neural.training import Course, Losses, Training
from whenbuy.models.neural.training import train as trained

BLOCK: Final = "days"
"""The block of examples that it reads: tokens that know their local day."""
_LEAST: Final = 2
_PACE: Final = 7
"""Beyond the days that it rolls out, the pace of the last so many of them goes on."""
_FURTHEST: Final = 12.0
_NEW_DAYS: Final = 21
"""In so many days at the beginning of a log (a quarter of a short one) everybody looks new: they are read, but teach nothing."""


def _training() -> Training:
    """Return many small steps in few epochs: a sixth as many tokens a step as would fill a processor teach more in half the time."""
    return Training(Optimiser(learning_rate=3e-3, warm_up=0.2), epochs=3, batch_tokens=2048, held_out=0.05, budget_s=150.0)


@dataclass(frozen=True, slots=True)
class NeuralDays:
    """A net that answers when, day by day.

    Examples must carry the block ``days``. Training needs torch; prediction does not.

    Parameters
    ----------
    grid_days
        The days at which the curves are given, rising.
    encoder
        Reads the days. Days are evenly spaced, so its states need not fade with time.
    hidden
        The layer behind it, which sees what is told of the day itself again.
    dropout
        The share of that layer that is dropped in training.
    ahead
        So many days are rolled out.
    most
        Days above this number are left out, whole customers at a time: it bounds the time.
    training
        How long and in what portions it learns; a batch holds days instead of tokens.
    """

    grid_days: tuple[float, ...]
    encoder: LinearRecurrence = LinearRecurrence(64, 2, decay=False, dropout=0.1)
    hidden: int = 128
    dropout: float = 0.3
    ahead: int = 28
    most: int = 1_000_000
    training: Training = _training()
    reads: ClassVar[tuple[str, ...]] = (BLOCK,)

    def __post_init__(self) -> None:
        if min(self.hidden, self.ahead, self.most) < 1 or not 0.0 <= self.dropout < 1.0 or self.encoder.decay:
            raise SettingsError(
                f"Days were to be learned by {self}.",
                "Counts from 1, a share from 0 to below 1 and an encoder whose states do not fade are needed.",
                "Change them.",
            )

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return f"net-days-{self.encoder.name}"

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many numbers enter the layers behind the encoder, and leave each."""
        return (self.encoder.width + TOLD, self.hidden, 1)

    def weights(self, rng: np.random.Generator, usual: float) -> Weights:
        """Return first weights; the last layer answers the usual share of days with a purchase."""
        made: dict[str, Any] = {"days": np.concatenate([spread_evenly(rng, TOLD, self.encoder.width), zeros(1, self.encoder.width)])}
        made |= {f"encoder/{name}": part for name, part in self.encoder.weights(rng).items()}
        enter, hidden, _ = self.sizes
        made |= {"hidden": spread_evenly(rng, enter, hidden), "hidden_bias": zeros(hidden)}
        return made | {"out": spread_evenly(rng, hidden, 1) * np.float32(0.1), "out_bias": np.array([_odds(usual)], np.float32)}

    def fit(self, train: Examples, valid: Examples | None = None) -> NeuralDaysModel:
        """Return the net that the days before the cutoffs of these examples teach; some customers are kept back to judge an epoch.

        Raises
        ------
        NotEnoughDataError
            When there are fewer than two customers of two days, nobody bought, or a loss was no number in the first epoch.
        UsageError
            When torch is not installed.
        """
        torch()
        label = train.label("purchase")
        counted = np.flatnonzero(np.ones(len(train)) if train.weight is None else train.weight)
        told = Told.of(train.take(counted))
        rng = np.random.default_rng(self.training.seed)
        order = rng.permutation(len(told.streams))
        order = order[np.cumsum(told.lengths[order]) <= max(self.most, int(told.lengths[order[:_LEAST]].sum()))]
        order = order[told.lengths[order] > 1]
        if len(order) < _LEAST or not told.bought.any():
            raise NotEnoughDataError(
                f"{len(order):,} customers of {len(train):,} training examples were known for two days, and {int(told.bought.sum()):,} of "
                "their events are purchases.",
                "A curve is learned from days with a purchase and days without.",
                "Give a longer log, or check which events are purchases.",
            )
        away = max(1, round(self.training.held_out * len(order)))
        usual = told.usual(order)
        values, came, offsets = told.days(order, usual)
        counts = told.counts(order)
        mean, deviation = values.mean(axis=0), np.maximum(values.std(axis=0), 1e-3)
        values = (values - mean) / deviation
        task = _Days(self, values, came, counts, offsets, away)
        best, course = trained(task, self.weights(rng, usual), self.training)
        known_until = max(int(label.end.max(initial=0)), int(train.keys.cutoff.max(initial=0)))
        return NeuralDaysModel(self, best, mean, deviation, usual, course, known_until)


@dataclass(frozen=True, slots=True, eq=False)
class NeuralDaysModel:
    """A net that has learned to tell of each day whether she buys.

    Parameters
    ----------
    settings, weights, course, known_until
        How it was learned, what, how that went, and up to when.
    mean, deviation
        Of what is told of a day (TOLD each).
    usual
        The usual share of days with a purchase: the answer for strangers.

    Raises
    ------
    DamagedError
        When the weights are not those of such a net.
    """

    settings: NeuralDays
    weights: Weights
    mean: Singles
    deviation: Singles
    usual: float
    course: Course
    known_until: int

    def __post_init__(self) -> None:
        wanted = self.settings.weights(np.random.default_rng(0), 0.5)
        same = set(wanted) == set(self.weights) and all(self.weights[name].shape == part.shape for name, part in wanted.items())
        arrays = (*self.weights.values(), self.mean, self.deviation)
        if not same or self.mean.shape != (TOLD,) or self.deviation.shape != (TOLD,) or not all(np.isfinite(part).all() for part in arrays):
            raise DamagedError("The weights of a net do not fit it.", "They must be those that training made.", "Fit again.")

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return self.settings.name

    def predict(self, examples: Examples, *, in_sample: bool = False) -> TimeToEvent:
        """Return the curve of each key; of whom nothing is known is answered like everybody, marked ``prior``.

        Raises
        ------
        LeakError
            When a cutoff lies before the end of the labels that the model saw and ``in_sample`` was not said.
        """
        refuse_leak(self.known_until, examples.keys, in_sample=in_sample)
        settings, told = self.settings, Told.of(examples)
        odds = np.full((len(examples), settings.ahead), _odds(self.usual))
        odds[told.streams.row] = self._rolled(told)
        hazard = np.logaddexp(0.0, np.clip(odds, -_FURTHEST, _FURTHEST))
        fallen = _along(np.cumsum(hazard, axis=1), np.array(settings.grid_days, float))
        prior = np.ones(len(examples), bool)
        prior[told.streams.row] = False
        return TimeToEvent.of(
            examples.keys, np.array(settings.grid_days, float), np.exp(-fallen), fallen, self.name, prior=prior, in_sample=in_sample
        )

    def _rolled(self, told: Told) -> Floats:
        """Return the log-odds of each day ahead for each read-out."""
        settings, weights, streams = self.settings, self.weights, told.streams
        flat = settings.encoder.packed(part_of(weights, "encoder"))["flat"]
        head = np.concatenate([weights[name].ravel() for name in ("hidden_bias", "hidden", "out_bias", "out")])
        out = np.zeros((len(streams.row), settings.ahead))
        size = np.stack([self.mean, self.deviation])
        roll(
            streams.start, streams.offsets, streams.place, told.last, told.tokens, self.usual, size, flat, weights["days"], head,
            np.array(settings.sizes, np.int64), out,
        )  # fmt: skip
        return out


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """The block of days as it is read: the streams of those who are known, and of each read-out the last day that is over.

    Parameters
    ----------
    streams
        Who has tokens, and where she is read out.
    last
        The last day that is over at each read-out (n); the day of the latest token counts as over.
    day, bought, amount
        The local day of each token, whether it is a purchase, and its amount (t each).
    """

    streams: Streams
    last: Ints
    day: Ints
    bought: Bools
    amount: Floats

    @classmethod
    def of(cls, examples: Examples) -> Told:
        """Return what examples tell."""
        block = examples.block(BLOCK, Sequences)
        streams = Streams.of(block, np.flatnonzero(block.lengths))
        day = block.time // DAY
        latest = day[block.stop[streams.row] - 1]
        since = block.since_days[streams.row].astype(np.int64)
        kinds = block.dictionaries["kind"].ids.to_list()
        code = kinds.index("purchase") if "purchase" in kinds else -2
        amount = np.nan_to_num(block.numbers["amount"].astype(np.float64))
        return cls(streams, latest + np.maximum(since - 1, 0), day, block.codes["kind"] == code, amount)

    @property
    def tokens(self) -> Floats:
        """Day, purchase or not, and amount of each token, as the kernels want them (t x 3)."""
        return np.stack([self.day, self.bought, self.amount], axis=1).astype(np.float64)

    @property
    def lengths(self) -> Ints:
        """How many days each stream has, up to its last read-out (s)."""
        return self.last[self.streams.offsets[1:] - 1] - self.day[self.streams.start] + 1

    def usual(self, some: Ints) -> float:
        """Return the share of the days of some streams that have a purchase, between a thousandth and 999 of them."""
        start, stop = self.streams.start[some], self.streams.start[some] + self.streams.length[some]
        bought = sum(len(np.unique(self.day[a:b][self.bought[a:b]])) for a, b in zip(start.tolist(), stop.tolist(), strict=True))
        return float(np.clip(bought / max(int(self.lengths[some].sum()), 1), 1e-3, 1.0 - 1e-3))

    def days(self, some: Ints, usual: float) -> tuple[Singles, Singles, Ints]:
        """Return what is told after each day of some streams (d x TOLD), what came on the next (d), and where each begins (s + 1)."""
        streams = self.streams
        offsets = np.concatenate([[0], np.cumsum(self.lengths[some])]).astype(np.int64)
        values, came = np.empty((int(offsets[-1]), TOLD), np.float32), np.empty(int(offsets[-1]), np.float32)
        until, start = self.last[streams.offsets[1:] - 1][some], streams.start[some]
        days_of(start, start + streams.length[some], until, self.tokens, usual, offsets, values, came)
        return values, came, offsets

    def counts(self, some: Ints) -> Singles:
        """Return how much each day of some streams teaches (d): nothing at the beginning of the log."""
        first, begins = self.day[self.streams.start], int(self.day[self.streams.start].min())
        new = min(_NEW_DAYS, (int(self.last.max()) - begins) // 4)
        length = self.lengths[some]
        day = np.repeat(first[some] - np.cumsum(length) + length, length) + np.arange(length.sum())
        return (day >= begins + new).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    """Some streams of days side by side: what is told (time x rows x TOLD), what came, and how much it counts."""

    told: Tensor
    came: Tensor
    known: Tensor
    size: int
    named: str


@dataclass(frozen=True, slots=True, eq=False)
class _Days:
    """The task of telling each next day: the first ``away`` streams are judged on, the others learned from."""

    settings: NeuralDays
    values: Singles
    came: Singles
    counts: Singles
    offsets: Ints
    away: int

    @property
    def shares(self) -> Mapping[str, float]:
        """One loss."""
        return {"day": 1.0}

    @property
    def sparse(self) -> tuple[str, ...]:
        """No weights are moved by rows."""
        return ()

    @property
    def fingerprint(self) -> str:
        """A sha256 over the days."""
        return hashlib.sha256(self.values.tobytes() + self.came.tobytes() + self.offsets.tobytes()).hexdigest()

    def batches(self, rng: np.random.Generator) -> Iterator[_Batch]:
        """Return the batches of an epoch."""
        yield from self._some(np.arange(self.away, len(self.offsets) - 1), self.settings.training.batch_tokens, rng)

    def held_out(self) -> Iterator[_Batch]:
        """Return the batches on which an epoch is judged."""
        yield from self._some(np.arange(self.away), 4 * self.settings.training.batch_tokens, None)

    def losses(self, weights: Tensors, batch: _Batch, chance: Any) -> Losses:
        """Return the log-loss of all days."""
        library, settings = torch(), self.settings
        time, rows, told = batch.told.shape
        flat = batch.told.view(-1, told)
        x = library.addmm(weights["days"][-1], flat, weights["days"][:-1]).view(time, rows, -1)
        state = settings.encoder.passed(part_of(weights, "encoder"), x, batch.known, chance)
        read = library.cat([state.view(len(flat), -1), flat], dim=1)
        hidden = dropped(library.relu(library.addmm(weights["hidden_bias"], read, weights["hidden"])), settings.dropout, chance)
        odds = library.addmm(weights["out_bias"], hidden, weights["out"]).view(time, rows)
        each = library.nn.functional.softplus(odds) - batch.came * odds
        return {"day": ((each * batch.known).sum(), batch.known.sum())}

    def _some(self, streams: Ints, days: int, rng: np.random.Generator | None) -> Iterator[_Batch]:
        """Yield streams of like length together."""
        library = torch()
        start, length = self.offsets[streams], np.diff(self.offsets)[streams] - 1  # nobody knows what came after the last day
        whole = Streams(start, length, np.arange(len(streams) + 1), streams, length)
        for some in whole.batches(days, 2**62, rng):
            steps = np.arange(int(length[some].max()))[:, None]
            where = start[some] + np.minimum(steps, length[some] - 1)
            known = np.where(steps < length[some], self.counts[where], np.float32(0.0))
            told, came = library.from_numpy(self.values[where]), library.from_numpy(self.came[where])
            yield _Batch(told, came, library.from_numpy(known), int(length[some].sum()), f"customers of {len(steps)} days")


def _along(fallen: Floats, grid: Floats) -> Floats:
    """Return the cumulative hazard at the days of the grid (n x g); beyond the days that were rolled out the latest pace goes on."""
    days = fallen.shape[1]
    pace = (fallen[:, -1] - (fallen[:, -1 - _PACE] if days > _PACE else 0.0)) / min(_PACE, days)
    known = np.hstack([np.zeros((len(fallen), 1)), fallen])
    right = np.clip(np.ceil(grid).astype(np.int64), 1, days)
    part = np.minimum(grid - (right - 1), 1.0)
    within = known[:, right - 1] + part * (known[:, right] - known[:, right - 1])
    return np.asarray(within + pace[:, None] * np.maximum(grid - days, 0.0))


def _odds(chance: float) -> float:
    """Return log-odds."""
    return float(np.log(chance) - np.log1p(-chance))


TYPES: Final[dict[str, type]] = {kind.__name__: kind for kind in (NeuralDays, NeuralDaysModel)}
"""What a stored model of this file may be made of."""
