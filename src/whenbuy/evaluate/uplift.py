"""Scores of an effect: does the order by uplift find those whom the action moves, and what would acting on it have earned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from whenbuy.core.arrays import Bools, Floats, Ints
from whenbuy.core.errors import UsageError
from whenbuy.evaluate.measure import Measure, Sums, Whole, ratio


def uplift_measures(uplift: Floats, treated: Bools, outcome: Floats) -> tuple[Measure, ...]:
    """Return Qini and AUUC of an order of people by their uplift, where chance decided who was treated.

    Of the first k people N_t were treated and N_c left alone, with outcomes that sum to Y_t and Y_c. Qini is the mean over k of
    Q(k) - Q(n) / 2, over n, with Q(k) = Y_t - Y_c N_t / N_c (Radcliffe 2007, s. 4): the gain over acting on people by chance. AUUC is the
    mean over k of (Y_t / N_t - Y_c / N_c) k, over n (Gutierrez and Gérardy 2017, s. 3.3). A term over nobody counts as 0. Between people of
    equal uplift both curves are straight: their order is nobody's.

    Parameters
    ----------
    uplift
        What the action was said to add (n).
    treated
        Who was treated (n).
    outcome
        What came true (n): a visit, a purchase, an amount.
    """
    order = np.argsort(-uplift, kind="stable").astype(np.int64)
    ends = np.append(np.flatnonzero(np.diff(uplift[order])), len(order) - 1).astype(np.int64)
    note = "" if 0 < treated.sum() < len(treated) else "nobody was treated, or nobody was left alone"
    curves = _Curves(order, ends, treated[order].astype(float), outcome[order].astype(float))

    def measure(name: str, read: Callable[[Floats], float], words: str) -> Measure:
        return Measure(name, None if note else Whole(len(order), read), "higher", words, note=note)

    return (
        measure("qini", curves.qini, "area between the gain of acting by uplift and that of acting by chance, per person; 0 is chance"),
        measure("auuc", curves.auuc, "area under the uplift curve, per person; half of the mean effect is chance"),
    )


def profit_measures(
    outcome: Floats, treated: Bools, chosen: Bools, propensity: Floats | float, cost: Floats | float = 0.0
) -> tuple[Measure, ...]:
    """Return what acting on the people chosen would have earned beyond acting on nobody, where it is known how the treated were drawn.

    Inverse propensity weights: outcome x (treated / p - (1 - treated) / (1 - p)) estimates the effect on a person without bias (Horvitz and
    Thompson 1952).

    Parameters
    ----------
    outcome
        What each person brought (n): margin in the shop's currency.
    treated
        Who was treated (n).
    chosen
        Whom the policy would treat (n).
    propensity
        The probability with which each was treated (n, or one number), strictly between 0 and 1.
    cost
        What treating one costs (n, or one number).

    Raises
    ------
    UsageError
        When a propensity is 0 or 1.
    """
    p = np.broadcast_to(np.asarray(propensity, float), outcome.shape)
    if len(p) and not 0 < p.min() <= p.max() < 1:
        raise UsageError(
            f"Propensities from {p.min():g} to {p.max():g} were given.", "Both arms must have been possible for everybody.",
            "Leave out those who were always or never treated.",
        )  # fmt: skip
    effect = outcome * np.where(treated, 1 / p, -1 / (1 - p))
    spent = np.broadcast_to(np.asarray(cost, float), outcome.shape)
    parts = np.stack([np.ones(len(outcome)), effect * chosen, spent * chosen, chosen], axis=1)
    nothing = "" if parts[:, 2].any() else "nothing would have been spent"
    return (
        Measure("profit", Sums(parts, lambda s: ratio(s[..., 1] - s[..., 2], s[..., 0])), "higher",
                "what acting on those chosen adds to acting on nobody, less its cost, per person"),
        Measure("return_on_spend", None if nothing else Sums(parts, lambda s: ratio(s[..., 1], s[..., 2])), "higher",
                "what acting on those chosen adds, over its cost: above 1 it pays", note=nothing),
        Measure("share_chosen", Sums(parts, lambda s: ratio(s[..., 3], s[..., 0])), "context", "share of people on whom the policy acts"),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class _Curves:
    """The gains of acting on the first k people: rows in falling order of uplift, and the places where a run of equal uplift ends."""

    order: Ints
    ends: Ints
    treated: Floats
    outcome: Floats

    def qini(self, weight: Floats) -> float:
        """Return the mean over k of Q(k) - Q(n) / 2, over n, when row i counts ``weight[i]`` times."""
        k, (n_t, n_c, y_t, y_c) = self._sums(weight)
        gain = y_t - y_c * np.divide(n_t, n_c, out=np.zeros_like(n_t), where=n_c > 0)
        return self._mean(k, gain) - float(gain[-1]) / (2 * float(k[-1])) if n_t[-1] and n_c[-1] else float("nan")

    def auuc(self, weight: Floats) -> float:
        """Return the mean over k of the difference of the mean outcomes times k, over n."""
        k, (n_t, n_c, y_t, y_c) = self._sums(weight)
        return self._mean(k, (_over(y_t, n_t) - _over(y_c, n_c)) * k) if n_t[-1] and n_c[-1] else float("nan")

    def _sums(self, weight: Floats) -> tuple[Floats, tuple[Floats, ...]]:
        """Return k and the four sums at the ends of runs of equal uplift (t each)."""
        mine = weight[self.order]
        columns = (mine * self.treated, mine * (1 - self.treated))
        sums = (*columns, *(column * self.outcome for column in columns))
        return np.cumsum(mine)[self.ends], tuple(np.cumsum(column)[self.ends] for column in sums)

    @staticmethod
    def _mean(k: Floats, gain: Floats) -> float:
        """Return the mean over every whole k, over n, of a curve that is known at some k and straight between."""
        before, start = np.concatenate([[0.0], k[:-1]]), np.concatenate([[0.0], gain[:-1]])
        steps = k - before
        rise = np.divide(gain - start, steps, out=np.zeros_like(steps), where=steps > 0)
        return float((steps * start + rise * steps * (steps + 1) / 2).sum() / k[-1] ** 2)


def _over(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.zeros_like(below), where=below > 0)
