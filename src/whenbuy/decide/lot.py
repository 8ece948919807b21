"""Drawing by lot: some customers get one of the allowed options by chance, so that there is something to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np

from whenbuy.core.arrays import Bools, Floats, Ints
from whenbuy.decide.bandit import Bandit, drawn
from whenbuy.decide.gains import Pair, Response, Worth
from whenbuy.decide.guards import Guards

_ROWS: Final = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """What the lot gave.

    Parameters
    ----------
    row
        To whom, by position (m).
    pair
        Which offer on which channel (m), -1 for nothing.
    day
        When (m).
    gain, low, cost, extra
        What that is expected to earn, at the low end of its interval too, to cost, and to add in orders (m); 0 for nothing.
    """

    row: Ints
    pair: Ints
    day: Ints
    gain: Floats
    low: Floats
    cost: Floats
    extra: Floats

    @classmethod
    def joined(cls, parts: Sequence[Drawn]) -> Drawn:
        """Return several draws as one."""
        return cls(*(np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(cls)))


def draw(
    response: Response, worth: Worth, every: Sequence[Pair], contact_cost: Floats, runs: Ints, rows: Ints, before: int,
    rng: np.random.Generator, lottery: Lottery,
) -> Drawn:  # fmt: skip
    """Return one of the allowed pairs or nothing for each of some customers, as the lottery says, on the first day that it may go out."""
    days = response.extra.shape[2]
    first = np.stack([np.maximum(worth.first_day[rows, pair.channel], runs[pair.offer, 0]) for pair in every], axis=1)
    open_pairs = first < np.minimum(days, runs[[pair.offer for pair in every], 1])
    pair = drawn(lottery.chances(rows + before, open_pairs), rng.random(len(rows))) - 1  # the first one is nothing
    chosen, got = np.maximum(pair, 0), pair >= 0
    table = np.array([(one.offer, one.channel, one.arm) for one in every])
    _, channel, arm = table[chosen].T
    reach = np.where(np.array([one.own for one in every])[chosen], 1.0, worth.reach[rows, channel])
    day = np.where(got, first[np.arange(len(rows)), chosen], 0)
    place = (rows, arm, np.minimum(day, days - 1))
    cost = reach * response.redeemed[place] * worth.given[rows, arm] + contact_cost[channel]
    extra, low = reach * response.extra[place], reach * response.low[place]
    figures = (extra * worth.margin[rows] - cost, low * worth.margin[rows] - cost, cost, extra)
    return Drawn(rows + before, pair, day, *(np.where(got, values, 0.0) for values in figures))


def allowed(first_day: Ints, runs: Ints, every: Sequence[Pair], days: int) -> Bools:
    """Return which pairs could be sent to each customer on some day of the plan (n x pairs)."""
    starts = [np.maximum(first_day[:, pair.channel], runs[pair.offer, 0]) < min(days, int(runs[pair.offer, 1])) for pair in every]
    return np.stack(starts, axis=1) if starts else np.zeros((len(first_day), 0), bool)


@dataclass(frozen=True, slots=True, eq=False)
class Lottery:
    """How likely each pair is for those who are drawn by lot.

    Parameters
    ----------
    arms
        The names of the pairs, as ``gains.arm`` gives them.
    bandit
        What draws; none, where all allowed pairs and nothing are equally likely.
    """

    arms: tuple[str, ...]
    bandit: Bandit | None = None

    def chances(self, rows: Ints, open_pairs: Bools) -> Floats:
        """Return the chance of nothing and of each pair (m x 1 + pairs) for some customers, by which of them may be sent (m x pairs)."""
        if self.bandit is not None:
            return self.bandit.chances(rows, self.arms, open_pairs)
        open_arms = np.hstack([np.ones((len(rows), 1), bool), open_pairs])
        return np.asarray(open_arms / open_arms.sum(axis=1, keepdims=True))

    def of(self, pair: Ints, open_pairs: Bools) -> Floats:
        """Return the chance of one pair, or of nothing (-1), for each customer (n)."""
        if self.bandit is None:
            return np.asarray(1.0 / (open_pairs.sum(axis=1) + 1))
        found, n = np.empty(len(pair)), len(pair)
        for start in range(0, n, _ROWS):
            rows = np.arange(start, min(start + _ROWS, n))
            found[rows] = self.chances(rows, open_pairs[rows])[np.arange(len(rows)), pair[rows] + 1]
        return found


def propensity(pair: Ints, best: Ints, open_pairs: Bools, guards: Guards, lottery: Lottery) -> Floats:
    """Return the probability with which each customer got this offer on this channel, or nothing (n).

    With h held out, e drawn by lot, and the lot giving a pair with the chance c (1 / (k + 1) where all k allowed pairs and nothing are
    equally likely): (1 - h) ((1 - e) [it is the best] + e c), and h more for nothing. ``best`` is what the plan would give at its
    prices (n).
    """
    free = (1 - guards.explore) * (pair == best)
    if guards.explore > 0:
        free = free + guards.explore * lottery.of(pair, open_pairs)
    nothing = pair < 0
    return np.asarray(np.where(nothing, guards.hold_out, 0.0) + (1 - guards.hold_out) * free)
