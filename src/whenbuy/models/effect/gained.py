"""Days gained: by how many days each offer has moved a customer's orders forward, at first and in the end.

Somebody on whom an offer works buys as if time ran faster for her: by day t she has bought what she would have bought by t + s(t), and
E[N(t) | offer] - E[N(t)] = λ(t) s(t) with her rate λ(t) after t without it (accelerated life: Cox and Oakes 1984, "Analysis of survival
data", ch. 5). What is pulled forward is given back: s falls to 0. What is extra stays. As the same days are worth more orders to those who
buy more, s differs less between customers than orders do.

y - m(x) = sum over the offers of (D_a - E[D_a | x]) λ(x) s_a(x) + noise (Robinson 1988; Nie and Wager 2021), with variance v(x) m(x). In
the first stretch s_a = z (φ + δ_a): what all offers do, and what one does of its own, each modified by features z. At the end of the last
one the noise is many times as large, and what is given back is a matter of the customer more than of the offer: s_a = s_a(first) (1 + z κ)
+ z (η + ω_a). All of it but the means of φ and κ is drawn in as far as the evidence asks (``drawn_in``), and numbers among the features
modify nothing unless the evidence for it is strong, so that little data leaves little more than those means. Between the two it moves
evenly. m(x) is what comes when nothing is sent: since chance, given x, decides what is, any m serves, and it takes off what differs anyway.

Where messages are seen to be opened, D_a is whether the offer was, and a term z ψ takes out that those who open may buy more anyway:
among those who were sent something, how much is told by opening beyond its chance. It is the same for all offers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import Bools, Floats, Ints, Singles
from whenbuy.models.effect.evidence import drawn_in
from whenbuy.models.effect.modifiers import Modifiers
from whenbuy.models.effect.residual import expected, received
from whenbuy.models.effect.trial import Trial

_CHUNK: Final = 8192
"""Rows of the regression at a time: so many stay in a processor's cache."""
_LEAST_ORDERS: Final = 0.02
_LEAST_RATE: Final = 1e-4
_MEAN: Final = "mean"
_NUMBER: Final = "number"
_SHARE: Final = 2.0
"""No more than so many times what was gained at first is gained or given back later by a deviation of a modifier."""


@dataclass(frozen=True, slots=True, eq=False)
class DaysGained:
    """Learned days gained.

    Parameters
    ----------
    modifiers
        How features are read: z (p columns, the first of ones).
    days
        Where the stretches end (g).
    first
        θ of the first stretch (m x p).
    kept
        κ (p): -1 where all is given back by the end of the last stretch; with one stretch 0.
    later
        η + ω of each offer (m x p); with one stretch 0.
    first_error
        Covariance of ``first`` (m x p x p).
    last_error
        Covariance of η, κ and ω together (m x 3p x 3p); with one stretch 0.
    """

    modifiers: Modifiers
    days: Floats
    first: Floats
    kept: Floats
    later: Floats
    first_error: Floats
    last_error: Floats

    def gained(self, values: Singles) -> Floats:
        """Return the days gained by each offer until the end of each stretch (n x m x g)."""
        z = self.modifiers.read(values)
        first = _weighed(z, self.first)
        since = first * (z * self.kept).sum(axis=1)[:, None] + _weighed(z, self.later)
        length = self.days - self.days[0]
        return np.asarray(first[:, :, None] + since[:, :, None] * (length / max(float(length[-1]), 1.0)))

    def error(self, values: Singles) -> Floats:
        """Return the standard deviation of the days gained at the end of the last stretch, given the data (n x m)."""
        z = self.modifiers.read(values)
        first, found = _weighed(z, self.first), np.empty((len(z), len(self.first)))
        share = 1 + (z * self.kept).sum(axis=1)
        for a, error in enumerate(self.first_error):
            found[:, a] = share**2 * _square(z, error)
            found[:, a] += _square(np.hstack([z, first[:, a : a + 1] * z, z]), self.last_error[a])
        return np.sqrt(found)


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """What the days gained are learned from, beside the trial: orders, and forecasts of models that had not seen the customer.

    Parameters
    ----------
    orders
        Orders until the end of the first stretch and of the last (n x 2; n x 1 where they are one).
    forecast
        Those that were forecast, if nothing is sent (likewise).
    rate
        Orders a day that a day gained by the end of the first stretch brings, and one gained by the end of the last (n x 2; n x 1).
    scatter
        v: how many times the forecast the variance of the orders is (n x 2; n x 1); everybody's the same where absent. Whoever buys in
        bursts says less than her orders seem to.
    """

    orders: Floats
    forecast: Floats
    rate: Floats
    scatter: Floats | None = None


def learn_days(trial: Trial, told: Told, modifiers: Modifiers, days: Floats) -> DaysGained:
    """Return the days gained that a trial teaches: in the first stretch, and by the end of the last."""
    z = modifiers.read(trial.values)
    group, m, p = _groups(trial.columns, modifiers), len(trial.offers), z.shape[1]
    sent, luck = _sent(trial)
    moved = (p, 0, m * p) if luck is None else (p, 0, m * p, p)  # φ, nothing, δ, ψ
    theta, error = _stage(z, sent, luck, None, told, *_judged(moved, group, 0, float(days[-1])))
    first, first_error = theta[:p] + theta[p : p + m * p].reshape(m, p), _summed(_blocks(error, m, p, p), p)
    if len(days) == 1:
        return DaysGained(modifiers, days, first, np.zeros(p), np.zeros((m, p)), first_error, np.zeros((m, 3 * p, 3 * p)))
    moved = (p, p, m * p) if luck is None else (p, p, m * p, p)  # η, κ, ω, ψ
    theta, error = _stage(z, sent, luck, _weighed(z, first), told, *_judged(moved, group, 1, float(days[-1])))
    later = theta[:p] + theta[2 * p : 2 * p + m * p].reshape(m, p)
    return DaysGained(modifiers, days, first, theta[p : 2 * p], later, first_error, _blocks(error, m, p, 2 * p))


def _sent(trial: Trial) -> tuple[Floats, Floats | None]:
    """Return how much of each offer reached each row beyond what was to be expected (n x m), and how much luck of opening was in it (n)."""
    if trial.opened is None:
        return received(trial) - expected(trial), None
    reached = (trial.arm[:, None] == np.arange(1, len(trial.offers) + 1)[None, :]) * trial.opened[:, None]
    return reached - expected(trial), np.where(trial.arm > 0, trial.opened - trial.dose, 0.0)


def _stage(
    z: Floats, sent: Floats, luck: Floats | None, first: Floats | None, told: Told, groups: list[Ints], widest: Floats, doubted: Bools
) -> tuple[Floats, Floats]:
    """Return coefficients and their covariance: of the first stretch, or of the last, less what was gained at first (n x m)."""
    k = 0 if first is None else 1
    noise = np.sqrt(np.maximum(told.forecast[:, k], _LEAST_ORDERS) * (1.0 if told.scatter is None else told.scatter[:, k]))
    rate = np.maximum(told.rate[:, k], _LEAST_RATE)
    left, size = told.orders[:, k] - told.forecast[:, k], rate / noise
    left = (left if first is None else left - (sent * first).sum(axis=1) * rate) / noise
    gram, moment = np.zeros((1, 1)), np.zeros(1)
    for rows, x in _columns(z, sent, luck, first):
        scaled = (x * size[rows, None]).astype(np.float32)
        gram, moment = gram + (scaled.T @ scaled).astype(np.float64), moment + scaled.T @ left[rows]
    variance = float(np.mean(left**2))
    return drawn_in(gram / variance, moment / variance, groups, widest, doubted)


def _columns(z: Floats, sent: Floats, luck: Floats | None, first: Floats | None) -> Iterator[tuple[slice, Floats]]:
    """Yield the columns of the regression, some rows at a time: of all offers, of what was gained at first, of each offer, of opening."""
    for start in range(0, len(z), _CHUNK):
        rows = slice(start, start + _CHUNK)
        here, given = z[rows], sent[rows]
        parts = [given.sum(axis=1)[:, None] * here]
        if first is not None:
            parts.append((given * first[rows]).sum(axis=1)[:, None] * here)
        parts.append((given[:, :, None] * here[:, None, :]).reshape(len(here), -1))
        if luck is not None:
            parts.append(luck[rows, None] * here)
        yield rows, np.hstack(parts)


def _groups(columns: tuple[str, ...], modifiers: Modifiers) -> dict[str, Ints]:
    """Return the places of the modifiers that are judged together: the one of ones, those of each attribute, and all numbers."""
    told = [columns[at].rpartition("=")[0] for at in modifiers.columns.tolist()]
    names = [_MEAN, *(f"={name}" if name else _NUMBER for name in told)]
    return {one: np.array([place for place, name in enumerate(names) if name == one], np.int64) for one in dict.fromkeys(names)}


def _judged(moved: Sequence[int], group: dict[str, Ints], free: int, days: float) -> tuple[list[Ints], Floats, Bools]:
    """Return the places of the coefficients of every role and group, their largest deviation, and which are doubted: those of numbers.

    That is as many days as all stretches have, or a share of what was gained (role 1). An offer's own coefficients are judged together over
    the offers. Of those that say what is given back of all offers alike (roles 0 and 1 where 1 is ``free``) each is judged by itself: one
    segment may be annoyed where the others are not. The mean of the role ``free`` is judged by nothing, so that what all offers do on
    average is not drawn in.
    """
    p, start = sum(len(rows) for rows in group.values()), 0
    single = [(name, place[None]) for name, rows in group.items() for place in rows]
    found, widest, doubted = list[Ints](), list[float](), list[bool]()
    for role, width in enumerate(moved):
        for name, rows in (single if role <= 1 == free else group.items()) if width else ():
            if (role, name) != (free, _MEAN):
                found.append(np.concatenate([start + at + rows for at in range(0, width, p)]))
                widest.append(_SHARE if role == 1 else days)
                doubted.append(name == _NUMBER)
        start += width
    return found, np.array(widest), np.array(doubted)


def _blocks(covariance: Floats, m: int, p: int, shared: int) -> Floats:
    """Return the covariance of the shared coefficients and each offer's own together (m x shared + p x shared + p)."""
    places = [np.concatenate([np.arange(shared), shared + a * p + np.arange(p)]) for a in range(m)]
    return np.stack([covariance[np.ix_(rows, rows)] for rows in places])


def _summed(error: Floats, p: int) -> Floats:
    """Return the covariance of the sum of two sets of coefficients from their joint one (m x p x p)."""
    return np.asarray(error[:, :p, :p] + error[:, :p, p:] + error[:, p:, :p] + error[:, p:, p:])


def _weighed(z: Floats, theta: Floats) -> Floats:
    """Return z θ_a of each row and offer (n x m), summed row by row: a product of matrices would depend on how many rows there are."""
    return np.stack([(z * each).sum(axis=1) for each in theta], axis=1)


def _square(x: Floats, matrix: Floats) -> Floats:
    """Return x' M x of each row (n), at least 0, summed row by row."""
    total = np.zeros(len(x))
    for place, row in enumerate(matrix):
        total += x[:, place] * (x * row).sum(axis=1)
    return np.maximum(total, 0.0)


TYPES: Final[dict[str, type]] = {DaysGained.__name__: DaysGained}
"""What a stored model of this file may be made of."""
