"""Heads: what a net answers at a read-out, the loss by which it learns to, and how its numbers become the answer.

Every head sees the same numbers of the last layer, so one pass answers all. A loss is a sum over the rows that say something of its
question, and how much they weigh: its mean is the head's own score on validation rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Protocol

import numpy as np
import numpy.typing as npt

from whenbuy.core.arrays import DAY, Floats, Singles
from whenbuy.core.errors import NotEnoughDataError
from whenbuy.core.examples import Examples
from whenbuy.models.neural.engine import Tensor, torch

Targets = Mapping[str, npt.NDArray[np.float32]]
"""What came true, as a loss wants it: arrays with a row per key."""


class Head(Protocol):
    """One answer of a net."""

    @property
    def share(self) -> float:
        """How much its loss counts beside those of the other heads."""

    @property
    def question(self) -> str:
        """Whose labels it learns from."""

    @property
    def name(self) -> str:
        """The name under which its score is reported."""

    @property
    def outputs(self) -> int:
        """How many numbers of the last layer are its own."""

    def targets(self, examples: Examples) -> Targets:
        """Return what came true. ``at`` (n) is how much each row counts: 0 where nothing is known."""

    def first(self, targets: Targets) -> Singles:
        """Return what everybody would be answered (outputs): where learning begins, and the answer for strangers.

        Raises
        ------
        NotEnoughDataError
            When the targets say nothing.
        """

    def loss(self, out: Tensor, targets: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the sum of the losses of the rows, and what they weigh together."""


@dataclass(frozen=True, slots=True)
class HazardHead:
    """When: the chance to buy in each bin of the grid, given that she did not before; its loss is the log-loss of the censored curve.

    A bin counts only where it was watched whole, for those who bought in it and those who did not: among bins that the censoring cut, only
    buyers could be told apart (discrete hazard, Cox 1972; Gensheimer and Narasimhan 2019).

    Parameters
    ----------
    grid_days
        The ends of the bins in days, rising.
    """

    question: ClassVar[str] = "purchase"
    grid_days: tuple[float, ...]
    share: float = 1.0

    @property
    def name(self) -> str:
        """The name under which its score is reported."""
        return "when"

    @property
    def outputs(self) -> int:
        """One log-odds per bin."""
        return len(self.grid_days)

    def targets(self, examples: Examples) -> Targets:
        """Return for each bin whether she was still waiting and watched (``waits``), and whether she bought in it (``came``)."""
        label = examples.label(self.question)
        grid = np.array(self.grid_days)
        watched = (label.end - examples.keys.cutoff)[:, None] / DAY >= grid - 1e-9
        bins = np.where(label.observed, np.searchsorted(grid, label.value, side="right"), len(grid))
        place = np.arange(len(grid))
        came = watched & (bins[:, None] == place)
        waits = watched & (bins[:, None] >= place)
        return {"waits": waits.astype(np.float32), "came": came.astype(np.float32), "at": counts(examples, waits.any(axis=1))}

    def first(self, targets: Targets) -> Singles:
        """Return the log-odds of each bin over all rows; bins that nobody was watched for go on like the latest others."""
        at = targets["at"][:, None]
        waits, came = (targets["waits"] * at).sum(axis=0), (targets["came"] * at).sum(axis=0)
        if not came.sum() > 0:
            raise NotEnoughDataError(
                f"Nobody bought within a whole bin of {len(at):,} training examples.",
                "A curve is learned from purchases.",
                "Give a longer log, or check which events are purchases.",
            )
        share = np.clip((came + 0.5) / (waits + 1.0), 1e-6, 1 - 1e-6)
        seen = waits > 0
        share[~seen] = share[seen][-7:].mean()
        return np.asarray(np.log(share) - np.log1p(-share), np.float32)

    def loss(self, out: Tensor, targets: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the summed log-loss of the curves, and what the rows weigh."""
        each = torch().nn.functional.softplus(out) - targets["came"] * out
        at = targets["at"]
        return ((each * targets["waits"]).sum(dim=1) * at).sum(), at.sum()

    def reach(self, targets: Targets) -> int:
        """Return how many bins anybody was watched for."""
        return int((targets["waits"] > 0).any(axis=0).sum())

    def fallen(self, out: Singles, reach: int) -> Floats:
        """Return the cumulative hazard at each day of the grid (n x g); beyond what was watched the latest quarter's pace goes on."""
        hazard = np.logaddexp(0.0, out.astype(np.float64))
        grid = np.array(self.grid_days)
        fallen = np.cumsum(hazard, axis=1)
        if reach < len(grid):
            last = grid[reach - 1]
            begin = min(int(np.searchsorted(grid, 0.75 * last, side="left")), reach - 2)
            before, since = (fallen[:, begin], grid[begin]) if begin >= 0 else (0.0, 0.0)
            pace = (fallen[:, reach - 1] - before) / (last - since)
            fallen[:, reach:] = fallen[:, reach - 1 : reach] + pace[:, None] * (grid[reach:] - last)
        return np.asarray(fallen)


@dataclass(frozen=True, slots=True)
class CountHead:
    """How many: the logarithm of the expected number of orders in the window of its question, learned by the Poisson likelihood."""

    question: str = "orders"
    share: float = 0.2

    @property
    def name(self) -> str:
        """The name under which its score is reported."""
        return self.question

    @property
    def outputs(self) -> int:
        """The logarithm of the mean."""
        return 1

    def targets(self, examples: Examples) -> Targets:
        """Return the numbers that were seen."""
        label = examples.label(self.question)
        return {"value": np.where(label.observed, label.value, 0.0).astype(np.float32), "at": counts(examples, label.observed)}

    def first(self, targets: Targets) -> Singles:
        """Return the logarithm of the mean."""
        return np.log(np.array([_mean(targets)], np.float32))

    def loss(self, out: Tensor, targets: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the summed Poisson deviance without what no answer changes."""
        log_mean = out[:, 0].clamp(-12.0, 12.0)
        return ((log_mean.exp() - targets["value"] * log_mean) * targets["at"]).sum(), targets["at"].sum()


@dataclass(frozen=True, slots=True)
class AmountHead:
    """How much, given that something is spent: logarithms of the mean (gamma deviance) and of the median (absolute error of logarithms)."""

    question: str = "amount"
    share: float = 0.2

    @property
    def name(self) -> str:
        """The name under which its score is reported."""
        return self.question

    @property
    def outputs(self) -> int:
        """The logarithms of mean and median."""
        return 2

    def targets(self, examples: Examples) -> Targets:
        """Return the amounts above 0 that were seen."""
        label = examples.label(self.question)
        told = label.observed & (label.value > 0)
        return {"value": np.where(told, label.value, 1.0).astype(np.float32), "at": counts(examples, told)}

    def first(self, targets: Targets) -> Singles:
        """Return the logarithms of the mean and the median of all."""
        mean = _mean(targets)
        return np.log(np.array([mean, max(float(np.median(targets["value"][targets["at"] > 0])), 1e-6)], np.float32))

    def loss(self, out: Tensor, targets: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the summed gamma deviance of the mean and absolute error of the logarithm of the median."""
        log_mean = out[:, 0].clamp(-20.0, 20.0)
        log_value = targets["value"].log()
        each = (log_value - log_mean).exp() + log_mean - log_value - 1.0 + (log_value - out[:, 1]).abs()
        return (each * targets["at"]).sum(), targets["at"].sum()


@dataclass(frozen=True, slots=True)
class ClassesHead:
    """From which classes she buys, given that she buys: one log-odds per class, learned from the windows with a purchase.

    Parameters
    ----------
    classes
        How many are asked about.
    balanced
        Whether those who bought from a class count as much as those who did not, class by class. The odds that this changes are put right
        when the head answers.
    """

    classes: int
    question: str = "classes"
    balanced: bool = False
    share: float = 0.2

    @property
    def name(self) -> str:
        """The name under which its score is reported."""
        return self.question

    @property
    def outputs(self) -> int:
        """One log-odds per class."""
        return self.classes

    def targets(self, examples: Examples) -> Targets:
        """Return who bought from what, among those who bought from some class; ``rare`` is how much a purchase counts, by class."""
        label = examples.label(self.question)
        came = (label.value > 0) & label.observed[:, None]
        at = counts(examples, came.any(axis=1))
        share = np.clip((came * at[:, None]).sum(axis=0) / max(float(at.sum()), 1.0), 1e-4, 1 - 1e-4)
        rare = (1 - share) / share if self.balanced else np.ones(self.classes)
        return {"came": came.astype(np.float32), "at": at, "rare": np.tile(rare.astype(np.float32), (len(at), 1))}

    def first(self, targets: Targets) -> Singles:
        """Return the log-odds of each class (of balanced rows: 0)."""
        _mean({"value": targets["came"].max(axis=1), "at": targets["at"]})
        at = targets["at"][:, None]
        share = np.clip((targets["came"] * at).sum(axis=0) / at.sum(), 1e-4, 1 - 1e-4)
        return np.asarray(np.log(share / (1 - share)) + np.log(targets["rare"][0]), np.float32)

    def loss(self, out: Tensor, targets: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the summed log-loss, mean over the classes."""
        soft, came = torch().nn.functional.softplus, targets["came"]
        each = came * targets["rare"] * soft(-out) + (1.0 - came) * soft(out)
        return (each.mean(dim=1) * targets["at"]).sum(), targets["at"].sum()


def counts(examples: Examples, told: Any) -> Singles:
    """Return how much each row counts: its weight where something is told of it, else 0."""
    return np.asarray(told if examples.weight is None else told * examples.weight, np.float32)


def _mean(targets: Targets) -> float:
    """Return the mean of what came true."""
    at = targets["at"].astype(np.float64)
    mean = float((targets["value"] * at).sum() / at.sum()) if at.sum() > 0 else 0.0
    if not mean > 0:
        raise NotEnoughDataError(
            f"Of {len(at):,} training examples none saw what is asked about.", "A net learns from what came true.", "Give a longer log."
        )
    return mean


TYPES: Final[dict[str, type]] = {kind.__name__: kind for kind in (HazardHead, CountHead, AmountHead, ClassesHead)}
"""What a stored model of this file may be made of."""
