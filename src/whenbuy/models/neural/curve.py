"""The curve of a net: when each customer buys next, read off her events one by one, her windows and her silence."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from whenbuy.core.arrays import DAY, Floats, Singles
from whenbuy.core.blocks import Sequences
from whenbuy.core.errors import SettingsError
from whenbuy.core.examples import Examples
from whenbuy.core.forecast import TimeToEvent
from whenbuy.models.neural.encoder import Encoder
from whenbuy.models.neural.heads import CountHead, HazardHead, Head
from whenbuy.models.neural.learn import RECENCY, NetLearner, NetModel, learned
from whenbuy.models.neural.linear_recurrence import LinearRecurrence
from whenbuy.models.neural.live import LiveNet
from whenbuy.models.neural.net import SEQUENCES, Net
from whenbuy.models.neural.next_event import NextHead
from whenbuy.models.neural.pretrain import Events, Pretraining
from whenbuy.models.neural.training import Tell
from whenbuy.models.rows.asked import Asked, Layout, Row, Told


@dataclass(frozen=True, slots=True)
class NeuralCurve(NetLearner):
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
    inputs, hidden, activation, dropout, windows, max_rows, training
        See `NetLearner`.
    """

    grid_days: tuple[float, ...]
    encoder: Encoder = LinearRecurrence()
    further: tuple[Head, ...] = ()
    following: NextHead | None = None
    before: Pretraining | None = None

    def __post_init__(self) -> None:
        NetLearner.__post_init__(self)
        if self.encoder.width == 0 and (self.following is not None or self.before is not None):
            raise SettingsError(
                f"{self.encoder.name} was to learn from single events.", "It reads window features alone.", "Choose another encoder."
            )

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return f"net-{self.encoder.name}"

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
        found = learned(
            self, self.encoder, (when, *self.further), train, valid, folder=folder, tell=tell, start=start, following=self.following
        )
        return NeuralCurveModel(self, *found, when.reach(when.targets(train)), _count_days(train, self.further))


@dataclass(frozen=True, slots=True, eq=False)
class NeuralCurveModel(NetModel):
    """A net that has learned when.

    Parameters
    ----------
    settings, net, everybody, course, known_until
        See `NetModel`.
    reach
        How many bins of the grid were ever watched.
    count_days
        The length of the window in which its count head counts; 0 without one.
    """

    settings: NeuralCurve
    reach: int
    count_days: float

    def predict(self, examples: Examples, *, in_sample: bool = False) -> TimeToEvent:
        """Return the curve of each key. Raises what ``told`` raises."""
        out, prior = self.told(examples, in_sample=in_sample)
        grid, (fallen, count) = np.array(self.settings.grid_days, float), self._fallen(out)
        return TimeToEvent.of(examples.keys, grid, np.exp(-fallen), count, self.name, prior=prior, in_sample=in_sample)

    def row(self, layout: Layout) -> Row | None:
        """Return what it says of one customer at a time, compiled; None where it reads events, or a feature is not in the layout."""
        places, seen = layout.places(self.net.shape.windows.names), layout.place(RECENCY)
        if self.net.reading is not None or places is None or seen < 0:
            return None
        net, nothing, read = LiveNet(self.net), np.zeros(0, np.float32), np.array(places, np.int64)

        def curve(asked: Asked, counted: bool) -> Told:
            del counted
            values = asked.values[0]
            prior = math.isnan(values[seen])
            out = self.everybody if prior else net.answer(nothing, 0.0, values[read])
            fallen, count = self._fallen(out[None])
            survival = np.exp(-fallen[0])
            return survival, np.maximum(count[0], 1.0 - survival), prior

        return Row(curve=curve)

    def _fallen(self, out: Singles) -> tuple[Floats, Floats]:
        """Return the cumulative hazard and the expected orders along the grid (n x g each)."""
        fallen = HazardHead(self.settings.grid_days).fallen(out[:, : len(self.settings.grid_days)], self.reach)
        return fallen, fallen if not self.count_days else fallen * self._paces(out, fallen)[:, None]

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


def _count_days(train: Examples, heads: tuple[Head, ...]) -> float:
    """Return the length of the window that the count head looks over, 0 without one."""
    for head in heads:
        if isinstance(head, CountHead):
            label = train.label(head.question)
            return float(np.median((label.end - train.keys.cutoff)[label.observed]) / DAY)
    return 0.0


TYPES: Final[dict[str, type]] = {kind.__name__: kind for kind in (NeuralCurve, NeuralCurveModel)}
"""What a stored model of this file may be made of."""
