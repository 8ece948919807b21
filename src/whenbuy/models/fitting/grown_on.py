"""Chains of boosted classifiers that learn on: more trees behind the old ones, grown from what happened since."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from whenbuy.core.arrays import DAY, Bools, Floats, Ints, Singles
from whenbuy.core.examples import Examples
from whenbuy.models.trees.arrays import Trees, linked
from whenbuy.models.trees.binned import Binned
from whenbuy.models.trees.boosting import Boosting


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """Classifiers of one horizon each (h), every one but the first standing on the raw scores of another.

    Parameters
    ----------
    horizons
        Their days, rising (h).
    trees
        Of each horizon (h).
    before
        The place of the horizon on whose raw scores each one stands; -1 where it stands alone (h).
    share
        How many of the rows that taught it bought within each horizon (h).
    rows
        How many rows taught each horizon (h).
    """

    horizons: Floats
    trees: tuple[Trees, ...]
    before: tuple[int, ...]
    share: Floats
    rows: Floats

    @property
    def order(self) -> list[int]:
        """The places of the horizons, each behind the one that it stands on."""
        return sorted(range(len(self.trees)), key=self._links)

    def grown_on(self, grow: Boosting, values: Singles, later: Examples, known_until: int) -> Chain:
        """Return the chain as later examples change it.

        A row teaches a horizon that it had not been watched for when the chain learned, and is now. First the level is moved, by the part
        of a Newton step that later rows have in all rows; then trees are grown on, as many as the old ones times that part. A horizon for
        which nobody was watched since keeps its own trees and moves with the one that it stands on.

        Parameters
        ----------
        grow
            How the trees were grown.
        values
            What they read of the later examples (n x f).
        later
            The examples, with labels of ``purchase``.
        known_until
            The end of what was learned from.
        """
        binned, weight = Binned.of(values), np.ones(len(later)) if later.weight is None else later.weight
        trees, share, count, raw = list(self.trees), self.share.copy(), self.rows.copy(), dict[int, Floats]()
        for i in self.order:
            rows, bought = taught(later, float(self.horizons[i]), known_until)
            start = np.zeros(len(later)) if self.before[i] < 0 else raw[self.before[i]]
            if len(rows) and weight[rows].sum() > 0:
                part = len(rows) / (len(rows) + self.rows[i])
                trees[i] = _moved(trees[i], start[rows] + trees[i].raw(values[rows]), bought, weight[rows], part)
                if more := round(part * (len(trees[i].starts) - 1)):
                    on = replace(grow, trees=more, seed=grow.seed + i + int(count[i]) % 1_000_003)
                    trees[i] = on.grow(binned.take(rows), bought.astype(float), weight[rows], start[rows], after=trees[i])
                share[i] = (1 - part) * share[i] + part * float(np.average(bought, weights=weight[rows]))
                count[i] += len(rows)
            raw[i] = start + trees[i].raw(values)
        return replace(self, trees=tuple(trees), share=share, rows=count)

    def _links(self, place: int) -> int:
        """Return how many other horizons one stands on."""
        return 0 if self.before[place] < 0 else 1 + self._links(self.before[place])


def taught(later: Examples, days: float, known_until: int) -> tuple[Ints, Bools]:
    """Return the rows that teach a horizon what was not known by an instant, and which of them bought within it."""
    label, reached = later.label("purchase"), later.keys.cutoff + round(days * DAY)
    rows = np.flatnonzero((reached > known_until) & (reached <= label.end)).astype(np.int64)
    return rows, label.observed[rows] & (label.value[rows] < days)


def _moved(trees: Trees, raw: Floats, bought: Bools, weight: Floats, part: float) -> Trees:
    """Return the trees with their level moved by a part of a Newton step towards what came."""
    chance = linked(raw, "logistic")
    step = float(weight @ (bought - chance)) / max(float(weight @ (chance * (1 - chance))), 1e-12)
    return replace(trees, base=float(trees.base + part * step))
