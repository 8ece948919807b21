"""The curve of a net: when each customer buys next, read off her events one by one, her windows and her silence."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from whenbuy.core.arrays import DAY, Bools, Floats, Singles
from whenbuy.core.blocks import Sequences
from whenbuy.core.errors import SettingsError
from whenbuy.core.examples import Examples
from whenbuy.core.forecast import TimeToEvent
from whenbuy.core.learner import refuse_leak
from whenbuy.models.neural.encoder import Encoder
from whenbuy.models.neural.engine import Activation
from whenbuy.models.neural.heads import CountHead, HazardHead, Head
from whenbuy.models.neural.learn import Layout, learned
from whenbuy.models.neural.linear_recurrence import LinearRecurrence
from whenbuy.models.neural.net import SEQUENCES, Net
from whenbuy.models.neural.next_event import NextHead
from whenbuy.models.neural.pretrain import Events, Pretraining
from whenbuy.models.neural.tokens import Inputs
from whenbuy.models.neural.training import Course, Tell, Training

RECENCY: Final = "event_recency_days"
"""The feature by which strangers are told: nobody else has none."""


@dataclass(frozen=True, slots=True)
class NeuralCurve:
    """A net that answers when.

    Examples must carry the block ``sequences``, unless the encoder is `Mlp`. Training needs torch; prediction does not where the encoder is
    live. Users that nothing is known of are answered like everybody, marked ``prior``; items and kinds that training never met are read as
    such.

    Parameters
    ----------
    grid_days
        The days at which the curves are given, rising.
    encoder
        Reads the events.
    further
        Heads that learn beside the curve from the same pass, each with its share of the loss. A count of orders makes ``mean_count``.
    following
        What is told of the next event beside, after every one.
    before
        How the encoder learns from the events alone before it learns when; with the encoder and inputs of the curve.
    inputs, hidden, activation, dropout, windows
        See `Layout`.
    training
        How long and in what portions it learns.
    """

    grid_days: tuple[float, ...]
    encoder: Encoder = LinearRecurrence()
    further: tuple[Head, ...] = ()
    following: NextHead | None = None
    before: Pretraining | None = None
    inputs: Inputs = Inputs()
    hidden: tuple[int, ...] = (128, 64)
    activation: Activation = "relu"
    dropout: float = 0.3
    windows: bool = True
    training: Training = Training()

    def __post_init__(self) -> None:
        self.layout  # noqa: B018 - it checks itself
        if self.encoder.width == 0 and (self.following is not None or self.before is not None):
            raise SettingsError(
                f"{self.encoder.name} was to learn from single events.", "It reads window features alone.", "Choose another encoder."
            )

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return f"net-{self.encoder.name}"

    @property
    def layout(self) -> Layout:
        """What it reads and how it is layered."""
        return Layout(self.encoder, self.inputs, self.hidden, self.activation, self.dropout, self.windows)

    def fit(self, train: Examples, valid: Examples | None = None) -> NeuralCurveModel:
        """Return the net that these examples teach; the epoch that was best on ``valid`` is kept.

        Without ``valid`` a share of the users is kept back for it.

        Raises
        ------
        NotEnoughDataError
            When nobody bought, there are fewer than two users, or a loss was no number in the first epoch.
        UsageError
            When torch is not installed.
        """
        return self.resume(train, valid)

    def resume(
        self,
        train: Examples,
        valid: Examples | None = None,
        *,
        folder: Path | None = None,
        tell: Tell | None = None,
        start: Net | Events | None = None,
    ) -> NeuralCurveModel:
        """Return what ``fit`` does; training goes on from the checkpoint in ``folder``, speaks to ``tell``, and begins at ``start``."""
        when = HazardHead(self.grid_days)
        if start is None and self.before is not None:
            first = None if folder is None else folder / "before"
            start = replace(self.before, encoder=self.encoder, inputs=self.inputs).learn(
                train.block(SEQUENCES, Sequences), folder=first, tell=tell
            )
        net, course = learned(
            self.layout, (when, *self.further), self.training, train, valid,
            folder=folder, tell=tell, start=start, following=self.following,
        )  # fmt: skip
        targets = when.targets(train)
        everybody = np.concatenate([head.first(head.targets(train)) for head in net.shape.heads])
        known_until = max(int(part.label("purchase").end.max()) for part in (train, valid) if part is not None)
        return NeuralCurveModel(self, net, everybody, when.reach(targets), _count_days(train, self.further), course, known_until)


@dataclass(frozen=True, slots=True, eq=False)
class NeuralCurveModel:
    """A net that has learned when.

    Parameters
    ----------
    settings
        How it was learned.
    net
        The net.
    everybody
        What its heads would answer about anybody (outputs): the answer for strangers.
    reach
        How many bins of the grid were ever watched.
    count_days
        The length of the window in which its count head counts; 0 without one.
    course
        How the training went.
    known_until
        The end of the last label window that it saw.
    """

    settings: NeuralCurve
    net: Net
    everybody: Singles
    reach: int
    count_days: float
    course: Course
    known_until: int

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return self.settings.name

    def predict(self, examples: Examples, *, in_sample: bool = False) -> TimeToEvent:
        """Return the curve of each key.

        Raises
        ------
        LeakError
            When a cutoff lies before the end of the labels that the model saw and ``in_sample`` was not said.
        ColumnError
            When the table lacks a feature.
        UsageError
            When the encoder needs torch, and it is not installed.
        """
        refuse_leak(self.known_until, examples.keys, in_sample=in_sample)
        out = self.net.outputs(examples)
        prior = strangers(examples)
        out[prior] = self.everybody
        grid = np.array(self.settings.grid_days, float)
        fallen = HazardHead(self.settings.grid_days).fallen(out[:, : len(grid)], self.reach)
        count = fallen if not self.count_days else fallen * self._paces(out, fallen)[:, None]
        return TimeToEvent.of(examples.keys, grid, np.exp(-fallen), count, self.name, prior=prior, in_sample=in_sample)

    def _paces(self, out: Singles, fallen: Floats) -> Floats:
        """Return how many orders the count head expects for each that the hazard does (n)."""
        heads = self.net.shape.heads
        place = next(i for i, head in enumerate(heads) if isinstance(head, CountHead))
        expected = np.exp(np.clip(out[:, sum(head.outputs for head in heads[:place])].astype(np.float64), -12.0, 12.0))
        grid = np.array(self.settings.grid_days)
        knots = np.concatenate([[0.0], grid])
        right = int(np.clip(np.searchsorted(knots, self.count_days), 1, len(knots) - 1))
        known = np.hstack([np.zeros((len(fallen), 1)), fallen])
        part = (self.count_days - knots[right - 1]) / (knots[right] - knots[right - 1])
        within = known[:, right - 1] + part * (known[:, right] - known[:, right - 1])
        return np.asarray(expected / np.maximum(within, 1e-9))


def strangers(examples: Examples) -> Bools:
    """Return of which keys nothing is known."""
    if RECENCY in examples.table.names:
        return np.isnan(examples.table.column(RECENCY))
    return np.asarray(examples.block(SEQUENCES, Sequences).lengths == 0)


def _count_days(train: Examples, heads: tuple[Head, ...]) -> float:
    """Return the length of the window that the count head looks over, 0 without one."""
    for head in heads:
        if isinstance(head, CountHead):
            label = train.label(head.question)
            return float(np.median((label.end - train.keys.cutoff)[label.observed]) / DAY)
    return 0.0


TYPES: Final[dict[str, type]] = {kind.__name__: kind for kind in (NeuralCurve, NeuralCurveModel)}
"""What a stored model of this file may be made of."""
