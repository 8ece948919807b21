"""Effects: what an offer changes, as a number per customer or as the difference of two purchase curves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from whenbuy.core.arrays import Bools, Floats, Ints
from whenbuy.core.card import ROWS, card
from whenbuy.core.errors import NotFoundError, WhenbuyError
from whenbuy.core.forecast import TimeToEvent, instants
from whenbuy.core.keys import Keys

NONE = "none"
"""The arm in which nothing is sent; never the name of an offer."""


EXPOSURE = "exposure"
"""The block of examples that holds what each key was sent."""


@dataclass(frozen=True, slots=True, eq=False)
class Exposure:
    """What each key was sent at her cutoff, and what she could have been sent: a block of examples.

    Parameters
    ----------
    offers
        Names of the offers (m), without "none".
    arm
        0 where nothing was sent, else 1 + the position of the offer (n).
    propensity
        P(arm | what was known) of every arm, that of "none" first (n x m + 1); rows sum to 1. Drawn by the shop, or estimated.
    dose
        How much of its offer reached her (n): 1 where absent. A chance that she opens it on the channel on which it was sent makes the
        effect that of an offer that is opened.
    usual
        Mean of the dose over the channels on which she could have been sent something (n): 1 where absent.
    opened
        Whether she was seen to open what she was sent, 1 or 0 (n); absent where that is not logged.
    """

    offers: tuple[str, ...]
    arm: Ints
    propensity: Floats
    dose: Floats | None = None
    usual: Floats | None = None
    opened: Floats | None = None

    def __post_init__(self) -> None:
        _check_offers(self.offers)
        n, m = len(self.arm), len(self.offers)
        if self.propensity.shape != (n, m + 1):
            raise WhenbuyError(f"{n} keys and {m} offers were given propensities of shape {self.propensity.shape}.")
        if n and not (0 <= self.arm.min() <= self.arm.max() <= m and self.propensity.min() >= 0):
            raise WhenbuyError("A key was sent an offer that there is not, or with a propensity below 0.")
        if n and np.abs(self.propensity.sum(axis=1) - 1).max() > 1e-6:
            raise WhenbuyError("The propensities of a key do not sum to 1.")

    def __len__(self) -> int:
        return len(self.arm)

    def take(self, rows: slice | Ints) -> Exposure:
        """Return what some of the keys were sent."""
        parts = (None if part is None else part[rows] for part in (self.dose, self.usual, self.opened))
        return Exposure(self.offers, self.arm[rows], self.propensity[rows], *parts)


AHEAD = "ahead"
"""The block of examples that holds what the shop's calendar says of the days after each cutoff."""


@dataclass(frozen=True, slots=True, eq=False)
class Ahead:
    """The public campaigns of the days after each cutoff: a block of examples.

    Parameters
    ----------
    running
        How many run on an average day of each stretch of days (n x g).
    """

    running: Floats

    def __len__(self) -> int:
        return len(self.running)

    def take(self, rows: slice | Ints) -> Ahead:
        """Return those after some of the cutoffs."""
        return Ahead(self.running[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Effect:
    """What each offer adds to an outcome of each customer: E[outcome | offer] - E[outcome | none].

    Parameters
    ----------
    keys
        Who was asked, and as of when (n). The offer is sent at the cutoff.
    offers
        Names of the offers (m), without "none".
    uplift
        What each offer adds within the horizon (n x m); negative where it does harm.
    low, high
        The 80 % interval of the uplift (n x m each).
    outcome
        What is counted: "orders", "amount", "purchase" (0 or 1), "visit" (0 or 1).
    horizon_days
        The length over which it is counted.
    model
        The name of the model that answered.
    prior
        True where nothing was known of the key, so that the average effect answered (n); nowhere when absent.
    in_sample
        Whether the model had seen labels from after these cutoffs.
    """

    keys: Keys
    offers: tuple[str, ...]
    uplift: Floats
    low: Floats
    high: Floats
    outcome: str
    horizon_days: float
    model: str
    prior: Bools | None = None
    in_sample: bool = False

    def __post_init__(self) -> None:
        _check_offers(self.offers)
        _check_interval(self.keys, self.offers, self.uplift, self.low, self.high)

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, rows: slice | Ints) -> Effect:
        """Return the effects on some of the keys."""
        prior = None if self.prior is None else self.prior[rows]
        keys = self.keys.take(rows)
        return replace(self, keys=keys, uplift=self.uplift[rows], low=self.low[rows], high=self.high[rows], prior=prior)

    def of(self, offer: str) -> Floats:
        """Return the uplift of one offer (n).

        Raises
        ------
        NotFoundError
            When the effect of that offer is not known.
        """
        return np.asarray(self.uplift[:, position(self.offers, offer)])

    def best(self) -> tuple[Ints, Floats]:
        """Return the best offer of each key by its position, -1 where all do harm, and what it adds (n each; 0 where none is sent)."""
        best = self.uplift.argmax(axis=1).astype(np.int64)
        gain = self.uplift[np.arange(len(self)), best]
        return np.where(gain > 0, best, -1), np.maximum(gain, 0.0)

    def frame(self) -> pl.DataFrame:
        """Return one row per key and offer: user_id, as_of, offer, uplift, low, high."""
        return _by_offer(self.keys, self.offers, {"uplift": self.uplift, "low": self.low, "high": self.high})

    def plot(self) -> Any:
        """Return a chart of the effects with their 80 % ranges (at most 20 pairs of customer and offer are drawn)."""
        from whenbuy.core.chart.answers import ranges

        names = self.take(slice(0, max(1, 20 // len(self.offers)))).frame()
        rows = names.select(_pair(), "low", "high", middle="uplift", mean="uplift")
        return ranges(rows, f"{self.outcome} that an offer adds within {self.horizon_days:g} days, and 80 % range")

    def _repr_html_(self) -> str:
        some, n = self.take(slice(0, ROWS)), len(self)
        words = (
            f"What {len(self.offers)} {'offer adds' if len(self.offers) == 1 else 'offers add'} to {self.outcome} within "
            f"{self.horizon_days:g} days, by {self.model}: {n:,} {'key' if n == 1 else 'keys'}."
        )
        return card("Effect", words, some.frame(), chart=some.plot() if n else None, rows=n * len(self.offers))

    def __repr__(self) -> str:
        return f"Effect({len(self)} keys, offers={self.offers}, outcome={self.outcome!r}, model={self.model!r})"


@dataclass(frozen=True, slots=True, eq=False)
class CurveEffect:
    """What each offer changes on the purchase curve: the curve without it and the curves with it.

    The difference of the expected counts says how many orders are extra by a day. Some of them would have come later anyway: they were
    pulled forward, and the difference falls again. What is left at the grid's end is incremental.

    Parameters
    ----------
    keys
        Who was asked, and as of when (n).
    offers
        Names of the offers (m), without "none".
    without
        The curves when nothing is sent (n keys).
    with_offer
        The curves when each offer is sent at the cutoff (m forecasts of n keys, on the same grid).
    low, high
        The 80 % interval of the incremental orders at the grid's end (n x m each).
    model
        The name of the model that answered.
    prior
        True where nothing was known of the key (n); nowhere when absent.
    in_sample
        Whether the model had seen labels from after these cutoffs.
    """

    keys: Keys
    offers: tuple[str, ...]
    without: TimeToEvent
    with_offer: tuple[TimeToEvent, ...]
    low: Floats
    high: Floats
    model: str
    prior: Bools | None = None
    in_sample: bool = False

    def __post_init__(self) -> None:
        _check_offers(self.offers)
        if len(self.with_offer) != len(self.offers):
            raise WhenbuyError(f"{len(self.offers)} offers were given {len(self.with_offer)} curves.")
        for curves in (self.without, *self.with_offer):
            if len(curves) != len(self.keys) or not np.array_equal(curves.grid_days, self.without.grid_days):
                raise WhenbuyError("The curves of an effect differ in their keys or in their grid days.")
        _check_interval(self.keys, self.offers, self.incremental(self.horizon_days), self.low, self.high)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def horizon_days(self) -> float:
        """The last day of the grid: what comes later is not told apart."""
        return float(self.without.grid_days[-1])

    def take(self, rows: slice | Ints) -> CurveEffect:
        """Return the effects on some of the keys."""
        prior = None if self.prior is None else self.prior[rows]
        curves = tuple(each.take(rows) for each in self.with_offer)
        return replace(
            self, keys=self.keys.take(rows), without=self.without.take(rows), with_offer=curves, low=self.low[rows], high=self.high[rows],
            prior=prior,
        )  # fmt: skip

    def incremental(self, days: float) -> Floats:
        """Return how many more orders each offer is expected to have brought within so many days (n x m); negative where it does harm."""
        base = self.without.count_at(float(days))
        return np.stack([curves.count_at(float(days)) - base for curves in self.with_offer], axis=1)

    def pulled_forward(self, days: float) -> Floats:
        """Return how many of the orders within so many days would have come anyway, later within the grid (n x m), at least 0."""
        lasting = np.maximum(self.incremental(self.horizon_days), 0.0)
        return np.maximum(self.incremental(days) - lasting, 0.0)

    def effect(self, days: float | None = None) -> Effect:
        """Return the effect on the number of orders within so many days, by default until the grid's end.

        The interval at an earlier day is that of the grid's end, narrowed as the expected orders are fewer.
        """
        asked = self.horizon_days if days is None else float(days)
        end, uplift = self.incremental(self.horizon_days), self.incremental(asked)
        share = self.without.count_at(asked) / np.maximum(self.without.mean_count[:, -1], 1e-12)
        share = np.sqrt(np.clip(share, 0.0, 1.0))[:, None]  # the error of a sum of independent parts grows with its root
        low, high = uplift + (self.low - end) * share, uplift + (self.high - end) * share
        return Effect(self.keys, self.offers, uplift, low, high, "orders", asked, self.model, self.prior, self.in_sample)

    def frame(self) -> pl.DataFrame:
        """Return one row per key and offer: user_id, as_of, offer, orders_without, incremental, low, high, pulled_forward (at its peak)."""
        peak = np.max([self.pulled_forward(day) for day in self.without.grid_days], axis=0)
        base = np.repeat(self.without.mean_count[:, -1:], len(self.offers), axis=1)
        values = {"orders_without": base, "incremental": self.incremental(self.horizon_days), "low": self.low, "high": self.high}
        return _by_offer(self.keys, self.offers, values | {"pulled_forward": peak})

    def plot(self) -> Any:
        """Return a chart of the purchase curves without and with each offer (at most 20 curves are drawn)."""
        from whenbuy.core.chart.answers import curves

        some = self.take(slice(0, max(1, 20 // (1 + len(self.offers)))))
        arms = zip((NONE, *self.offers), (some.without, *some.with_offer), strict=True)
        return curves(pl.concat([each.frame().with_columns(pl.lit(name).alias("offer")).with_columns(_pair()) for name, each in arms]))

    def _repr_html_(self) -> str:
        some, n = self.take(slice(0, ROWS)), len(self)
        words = (
            f"What {len(self.offers)} {'offer changes' if len(self.offers) == 1 else 'offers change'} on the purchase curve within "
            f"{self.horizon_days:g} days, by {self.model}: {n:,} {'key' if n == 1 else 'keys'}."
        )
        note = "Incremental orders would not have come without the offer; orders pulled forward would have come later."
        return card("CurveEffect", words, some.frame(), chart=some.plot() if n else None, note=note, rows=n * len(self.offers))

    def __repr__(self) -> str:
        return f"CurveEffect({len(self)} keys, offers={self.offers}, {self.horizon_days:g} days, model={self.model!r})"


def position(offers: tuple[str, ...], offer: str) -> int:
    """Return the position of an offer among those whose effect is known.

    Raises
    ------
    NotFoundError
        When it is not among them.
    """
    if offer not in offers:
        raise NotFoundError(
            f"The effect of the offer {offer!r} is not known.", f"Known are: {', '.join(offers)}.",
            "Name one of them, or try it on some customers by lot first.",
        )  # fmt: skip
    return offers.index(offer)


def _check_offers(offers: tuple[str, ...]) -> None:
    if not offers or len(set(offers)) < len(offers) or NONE in offers:
        raise WhenbuyError(f"An effect was made for the offers {offers}.", f"At least one, each once, none called {NONE!r}.")


def _check_interval(keys: Keys, offers: tuple[str, ...], middle: Floats, low: Floats, high: Floats) -> None:
    shape = (len(keys), len(offers))
    if not middle.shape == low.shape == high.shape == shape:
        raise WhenbuyError(f"Effects of shape {middle.shape}, {low.shape} and {high.shape} were given for {shape} keys and offers.")
    if not (np.isfinite(middle).all() and np.isfinite(low).all() and np.isfinite(high).all()):
        raise WhenbuyError("An effect holds a value that is not a finite number.")
    slack = 1e-9 * (1 + np.abs(middle))
    if (low > middle + slack).any() or (high < middle - slack).any():
        raise WhenbuyError("An effect lies outside its own interval.")


def _by_offer(keys: Keys, offers: tuple[str, ...], values: dict[str, Floats]) -> pl.DataFrame:
    m = len(offers)
    rows = np.repeat(np.arange(len(keys)), m)
    head = {"user_id": keys.ids().gather(rows), "as_of": instants(keys.cutoff[rows])}
    head |= {"offer": pl.Series(list(offers), dtype=pl.String).gather(np.tile(np.arange(m), len(keys)))}
    return pl.DataFrame(head | {name: value.ravel() for name, value in values.items()})


def _pair() -> pl.Expr:
    return pl.concat_str("user_id", pl.lit(": "), "offer").alias("user_id")
