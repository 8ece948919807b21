"""Direct horizons: one classifier of "she buys within h days" for each of about ten horizons, joined into one curve.

Boosted classifiers are a chain. The one of the key horizon is grown in full; each of the others starts from the scores of its neighbour on
the way there and adds a share of the trees. So neighbours agree, all learn from one binned table, and the whole costs about two and a half
times what one classifier costs. Ten whole ones cost eight times and are no better. The trees of a random forest do not add up: there each
classifier stands alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from whenbuy.core.arrays import DAY, Floats, Ints, Singles
from whenbuy.core.errors import NotEnoughDataError, UsageError
from whenbuy.core.examples import Examples, Table
from whenbuy.core.forecast import TimeToEvent
from whenbuy.core.learner import refuse_known, refuse_leak, require_ripe
from whenbuy.models.fitting.grown_on import Chain, taught
from whenbuy.models.trees.arrays import Trees, linked
from whenbuy.models.trees.binned import Binned
from whenbuy.models.trees.boosting import Boosting
from whenbuy.models.trees.forest import Forest

_SURE: Final = 1e-9
"""No chance is nearer to 0 or 1 than this."""


@dataclass(frozen=True, slots=True)
class DirectHorizons:
    """A curve from direct classifiers, made monotone and joined by interpolating log-survival.

    A row teaches a horizon only where it was watched for the whole of it, whether she bought or not: among the rows that the censoring cut,
    only buyers could be told apart. The hazard is constant between horizons; beyond the last one the last hazard continues.

    Parameters
    ----------
    grid_days
        The days at which the curves are given, rising.
    grow
        How the trees are grown: boosting, or a random forest.
    key_days
        The horizon that matters most: the one nearest to it is grown in full, the others start from it.
    horizons
        About how many classifiers, spread geometrically over the days of the grid.
    further
        The share of the trees that each other classifier adds to its neighbour's.
    stride
        How many times as much of each of these trees is taken.
    max_rows
        Training rows above this number are left out by chance: it bounds the time.
    """

    grid_days: tuple[float, ...]
    grow: Boosting | Forest = Boosting(trees=300, learning_rate=0.025, row_fraction=0.5)
    key_days: float = 7.0
    horizons: int = 10
    further: float = 0.15
    stride: float = 1.5
    max_rows: int = 150_000

    def __post_init__(self) -> None:
        if self.horizons < 1 or not 0 <= self.further <= 1 or not self.stride > 0 or self.max_rows < 1:
            raise UsageError(
                f"{self.horizons} horizons with {self.further} of the trees and {self.stride} times the rate, on {self.max_rows} rows.",
                "At least one horizon, one row, a share from 0 to 1 and a stride above 0 are needed.",
                "Set horizons to about 10, further to about .15 and stride to about 1.5.",
            )
        require_chances(self.grow)

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "boosted" if isinstance(self.grow, Boosting) else "forest"

    def fit(self, train: Examples, valid: Examples | None = None) -> DirectHorizonsModel:
        """Return the curves that the training examples teach; ``valid`` is not needed.

        Raises
        ------
        NotEnoughDataError
            When within no horizon some bought and others did not.
        """
        del valid
        whole, train = len(train), thinned(train, self.max_rows, self.grow.seed)
        targets = [target for days in spread(self.grid_days, reach_days(train), self.horizons) if (target := _Target.of(train, days)).tells]
        if not targets:
            raise NotEnoughDataError(
                f"Within no horizon did some of {len(train):,} training examples buy and others not.",
                "A classifier needs both, among the rows that were watched for the whole horizon.",
                "Learn from more cutoffs, or give a longer log.",
            )
        values = np.ascontiguousarray(train.table.values)
        days = np.array([target.days for target in targets])
        key = int(np.abs(np.log(days / self.key_days)).argmin())
        trees, before = self._grown(values, targets, key)
        share = np.array([target.share for target in targets])
        known_until, grid = int(train.label("purchase").end.max()), np.array(self.grid_days, float)
        rows = np.array([len(target.rows) for target in targets], float) * (whole / len(train))
        return DirectHorizonsModel(self.name, train.table.names, days, trees, before, share, grid, known_until, self.grow, rows)

    def _grown(self, values: Singles, targets: Sequence[_Target], key: int) -> tuple[tuple[Trees, ...], tuple[int, ...]]:
        """Return the trees of each horizon, and the horizon from whose scores they start (-1: from nothing)."""
        binned = Binned.of(values)
        if not isinstance(self.grow, Boosting):
            grown = tuple(self.grow.grow(binned.take(one.rows), one.bought, one.weight) for one in targets)
            return grown, (-1,) * len(targets)
        usual = log_odds(np.array([target.share for target in targets]))
        trees = {key: self.grow.grow(binned.take(targets[key].rows), targets[key].bought, targets[key].weight)}
        raw = {key: trees[key].raw(values)}
        before = [i + (i < key) - (i > key) if i != key else -1 for i in range(len(targets))]
        few = round(self.further * self.grow.trees)
        for i in (*range(key - 1, -1, -1), *range(key + 1, len(targets))):
            offset, one = float(usual[i] - usual[before[i]]), targets[i]
            start = raw[before[i]] + offset
            trees[i] = Trees.constant(0.0, values.shape[1], "logistic")
            if few:
                rate = min(self.stride * self.grow.learning_rate, 1.0)
                grow = replace(self.grow, trees=few, learning_rate=rate, seed=self.grow.seed + i + 1)
                trees[i] = grow.grow(binned.take(one.rows), one.bought, one.weight, start[one.rows])
            trees[i] = replace(trees[i], base=offset)
            raw[i] = raw[before[i]] + trees[i].raw(values)
        return tuple(trees[i] for i in range(len(targets))), tuple(before)


@dataclass(frozen=True, slots=True, eq=False)
class DirectHorizonsModel:
    """Fitted direct classifiers.

    Parameters
    ----------
    columns
        The features that the trees read.
    horizons
        Their days, rising (h).
    trees
        Of each horizon (h).
    before
        The place of the horizon whose raw scores each one adds its own to; -1 where it stands alone (h).
    share
        How many of the training rows bought within each horizon (h): the answer for strangers.
    grow, rows
        How the trees were grown, and how many rows taught each horizon (h): what learning on needs.
    """

    name: str
    columns: tuple[str, ...]
    horizons: Floats
    trees: tuple[Trees, ...]
    before: tuple[int, ...]
    share: Floats
    grid_days: Floats
    known_until: int
    grow: Boosting | Forest | None = None
    rows: Floats | None = None

    @property
    def learns_on(self) -> bool:
        """Whether later examples can teach it: boosted trees grow on, those of a forest do not add up."""
        return isinstance(self.grow, Boosting) and self.rows is not None

    def update(self, later: Examples) -> DirectHorizonsModel:
        """Return the classifiers with more trees behind the old ones (see ``Chain.grown_on``).

        Raises
        ------
        UsageError
            When a label's window had closed by ``known_until``, or the trees do not add up.
        ImmatureError
            When no later row was watched for any horizon.
        """
        grow, label = self.grow, later.label("purchase")
        if not isinstance(grow, Boosting) or self.rows is None:
            raise UsageError(f"The model {self.name!r} cannot learn on.", "Only boosted trees add up.", "Fit again.")
        refuse_known(self.known_until, later, "purchase")
        require_ripe(sum(len(taught(later, days, self.known_until)[0]) for days in self.horizons.tolist()), label, "purchase")
        chain = Chain(self.horizons, self.trees, self.before, self.share, self.rows)
        new = chain.grown_on(grow, read_columns(later.table, self.columns), later, self.known_until)
        return replace(self, trees=new.trees, share=new.share, rows=new.rows, known_until=int(label.end.max()))

    def predict(self, examples: Examples, *, in_sample: bool = False) -> TimeToEvent:
        """Return the curve of each key; a stranger's is made of the shares of all training rows, marked ``prior``.

        Raises
        ------
        LeakError
            When a cutoff lies before the end of the labels that the model saw and ``in_sample`` was not said.
        ColumnError
            When the table lacks a feature that the trees read.
        """
        refuse_leak(self.known_until, examples.keys, in_sample=in_sample)
        stranger = np.isnan(examples.table.column("event_recency_days"))
        chance = self.chances(read_columns(examples.table, self.columns))
        fallen = -np.log1p(-chance)
        fallen[stranger] = -np.log1p(-monotone(self.share[None, :]))
        curve = joined(fallen, self.horizons, self.grid_days)
        return TimeToEvent.of(examples.keys, self.grid_days, np.exp(-curve), curve, self.name, prior=stranger, in_sample=in_sample)

    def chances(self, values: Singles) -> Floats:
        """Return P(she buys within each horizon), never falling (n x h)."""
        raw: dict[int, Floats] = {}
        chance = np.empty((len(values), len(self.horizons)))
        for i in sorted(range(len(self.trees)), key=lambda i: _links(self.before, i)):
            own = self.trees[i].raw(values)
            raw[i] = own if self.before[i] < 0 else raw[self.before[i]] + own
            chance[:, i] = linked(raw[i], self.trees[i].link)
        return monotone(chance)


@dataclass(frozen=True, slots=True, eq=False)
class _Target:
    """What the training rows teach of one horizon: which of them were watched that long, and who bought."""

    days: float
    rows: Ints
    bought: Floats
    weight: Floats | None

    @classmethod
    def of(cls, train: Examples, days: float) -> _Target:
        label = train.label("purchase")
        rows = np.flatnonzero(label.end - train.keys.cutoff >= round(days * DAY))
        bought = label.observed[rows] & (label.value[rows] < days)
        return cls(days, rows, bought.astype(float), None if train.weight is None else train.weight[rows])

    @property
    def share(self) -> float:
        """The share of the rows that bought."""
        return float(np.average(self.bought, weights=self.weight)) if len(self.rows) else 0.0

    @property
    def tells(self) -> bool:
        """Whether some bought and some did not."""
        return 0.0 < self.share < 1.0


def spread(days: Sequence[float], reach: float, count: int) -> tuple[float, ...]:
    """Return about so many of the days, spread geometrically from the first whole day to the last one within reach, both included.

    Days below one are used only where there are no others: a day is where the shop's rhythm begins.
    """
    within = [day for day in days if day <= reach]
    within = [day for day in within if day >= 1] or within
    if not within:
        return ()
    wanted = np.geomspace(within[0], within[-1], count + 1)
    places = np.abs(np.log(np.array(within)[None, :] / wanted[:, None])).argmin(axis=1)
    return tuple(within[place] for place in np.unique(places))


def require_chances(grow: Boosting | Forest) -> None:
    """Raise UsageError where trees do not learn chances."""
    if grow.objective != "binary":
        raise UsageError(
            f"Chances were to be learned by trees that minimise {grow.objective}.",
            "A curve is made of chances.",
            "Leave the objective at binary.",
        )


def thinned(train: Examples, most: int, seed: int) -> Examples:
    """Return at most so many of the examples, chosen by chance, in their order."""
    if len(train) <= most:
        return train
    return train.take(np.sort(np.random.default_rng(seed).choice(len(train), most, replace=False)))


def reach_days(train: Examples) -> float:
    """Return the days for which the longest watched row was watched."""
    return float((train.label("purchase").end - train.keys.cutoff).max(initial=0)) / DAY


def _links(before: tuple[int, ...], place: int) -> int:
    """Return how many other horizons one stands on."""
    return 0 if before[place] < 0 else 1 + _links(before, before[place])


def read_columns(table: Table, columns: tuple[str, ...]) -> Singles:
    """Return the columns that a model reads (n x f)."""
    if table.names == columns:
        return table.values
    return np.stack([table.column(name) for name in columns], axis=1).astype(np.float32)


def monotone(chance: Floats) -> Floats:
    """Return chances that never fall along a row (n x h): midway between the running maximum and the running minimum from behind.

    Where they never fell they stay as they are; the maximum alone would raise everybody who has a fall.
    """
    highest = np.maximum.accumulate(chance, axis=1)
    lowest = np.minimum.accumulate(chance[:, ::-1], axis=1)[:, ::-1]
    return np.clip((highest + lowest) / 2, _SURE, 1 - _SURE)


def joined(fallen: Floats, horizons: Floats, days: Floats) -> Floats:
    """Return the cumulative hazard at each of ``days`` (n x g) from that at the horizons (n x h), linear in between; at 0 it is 0.

    Beyond the last horizon the hazard of its stretch continues.
    """
    knots = np.concatenate([[0.0], horizons])
    known = np.hstack([np.zeros((len(fallen), 1)), fallen])
    right = np.clip(np.searchsorted(knots, days), 1, len(knots) - 1)
    part = (days - knots[right - 1]) / (knots[right] - knots[right - 1])
    return np.asarray(known[:, right - 1] + part * (known[:, right] - known[:, right - 1]))


def log_odds(chance: Floats) -> Floats:
    """Return log(p / (1 - p))."""
    return np.asarray(np.log(chance) - np.log1p(-chance))


TYPES: Final[dict[str, type]] = {kind.__name__: kind for kind in (DirectHorizons, DirectHorizonsModel)}
"""What a stored model of this file may be made of."""
