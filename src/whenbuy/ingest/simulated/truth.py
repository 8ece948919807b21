"""The true curves of the simulated shop.

Two truths exist. A *forecast* can at best know the laws of the shop, its public calendar and everything that was seen before the cutoff.
``posterior_truth`` gives exactly that: the average over everything that nobody can see (her rate, her gap shape, her hazard of
leaving, whether she has left), weighed by how well it explains what was seen. No forecaster can be better on average, and
this one is calibrated, so it is what forecasts are compared with. ``latent_truth`` knows the hidden facts as well; it is not
reachable, and a forecast that matched it would be a leak. It serves oracles, which ask what perfect knowledge would be worth.

What is seen and matters: the instants of purchases (buying habits, silence), the instants of visits without a purchase (she was still
there) and the price class (whose shop time runs). What is seen and says nothing about the next purchase, because it is drawn
independently of rate, gaps and leaving: items, amounts, quantities, channels, reviews, refunds, region, and which rows are late or missing.
Purchases and the first view of a visit are never late, so "known before the cutoff" and "happened before it" are the same for them.
A session never crosses midnight; a cutoff *within* a day can fall between a cart and its purchase, and there the
truth does not read the cart. Stand at midnights (UTC), as forecasts do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import polars as pl
from scipy.special import gammaln

from whenbuy.core.arrays import DAY, Floats, Instants, Ints
from whenbuy.core.errors import UsageError
from whenbuy.core.forecast import TimeToEvent
from whenbuy.core.keys import Keys
from whenbuy.ingest.simulated.calendar import ShopTime, boosts
from whenbuy.ingest.simulated.parameters import Parameters, Promotion
from whenbuy.ingest.simulated.people import Points, moments, price_classes
from whenbuy.ingest.simulated.personal import PersonalTime
from whenbuy.ingest.simulated.posterior import LEAVINGS, latent_curves, posterior_curves, signs
from whenbuy.ingest.simulated.renewal import renewal

CHUNK: Final = 8_192
"""Keys looked at together."""


class Ahead(Protocol):
    """What is supposed to lie ahead."""

    def shop_days(self, cutoff: Instants, days: Floats, who: Ints) -> tuple[Floats, Floats]:
        """Return each person's own shop time at each cutoff (n) and how much passes until each day after it (n x d)."""


@dataclass(frozen=True, slots=True, eq=False)
class AsItWas:
    """Everything happens as it did: each person's own time runs on."""

    own: PersonalTime

    def shop_days(self, cutoff: Instants, days: Floats, who: Ints) -> tuple[Floats, Floats]:
        """Return the shop time at each cutoff and how much passes until each day after it."""
        now = self.own.of_instants(cutoff, who)
        later = cutoff[:, None] + np.round(days * DAY).astype(np.int64)[None, :]
        return now, self.own.of_instants(later, np.broadcast_to(who[:, None], later.shape)) - now[:, None]


@dataclass(frozen=True, slots=True, eq=False)
class WhatIf:
    """As if everybody got the personal promotion of the trial at her cutoff, or nobody did from then on.

    The past ran by each user's own time. What lies ahead runs by the clock without promotions, and faster by the promotion's boost while
    that lasts: intensity × notice × (1 - discount) ** -elasticity, the law by which the shop itself draws.

    Parameters
    ----------
    own, plain
        The time by which the past ran, and that of people without a promotion.
    boost
        By how much the promotion quickens each person's time (users); nobody gets one without it.
    length_days
        For how long.
    """

    own: PersonalTime
    plain: PersonalTime
    boost: Floats | None = None
    length_days: float = 0.0

    @classmethod
    def of(cls, own: PersonalTime, people: pl.DataFrame, parameters: Parameters, time: ShopTime, promotion: Promotion | None) -> WhatIf:
        """Return what lies ahead if everybody gets a promotion, or nobody gets one."""
        base = price_classes(people, parameters)
        plain = PersonalTime.plain(time, base)
        return cls(own, plain) if promotion is None else cls(own, plain, boosts(parameters, promotion)[base], promotion.length_days)

    def shop_days(self, cutoff: Instants, days: Floats, who: Ints) -> tuple[Floats, Floats]:
        """Return the shop time at each cutoff and how much passes until each day after it."""
        _, ahead = AsItWas(self.plain).shop_days(cutoff, days, who)
        if self.boost is not None:
            _, quick = AsItWas(self.plain).shop_days(cutoff, np.minimum(days, self.length_days), who)
            ahead = ahead + (self.boost[who][:, None] - 1) * quick
        return self.own.of_instants(cutoff, who), ahead


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """What the past of every person says, by the true laws: from it the best curves can be read that anybody could forecast.

    Parameters
    ----------
    own
        Each person's time, by which her past ran.
    """

    own: PersonalTime
    born: Floats
    seen: tuple[Any, ...]
    laws: tuple[Any, ...]

    @classmethod
    def of(cls, people: pl.DataFrame, parameters: Parameters, own: PersonalTime, purchases: Points, visits: Points) -> Posterior:
        """Return the posterior of a shop."""
        law, tables = parameters.people, renewal(parameters.people.gap_shapes)
        born = own.of_instants(moments(people, "born"), np.arange(len(people)))
        seen = (
            born, people["buys_at_once"].to_numpy().astype(np.int64),
            purchases.offsets, purchases.time, own.of_instants(purchases.time, purchases.owner()),
            visits.offsets, visits.time, own.of_instants(visits.time, visits.owner()),
        )  # fmt: skip
        nodes, weights = np.polynomial.legendre.leggauss(LEAVINGS)
        laws = (
            np.array([
                [law.rate_shape, law.rate_shape / law.rate_mean],
                [law.leaving_shape, law.leaving_scale_days],
                [law.visit_shape, law.visit_shape / law.visit_mean],
            ]),
            tables.shapes, np.array(law.gap_shares), gammaln(tables.shapes), tables.survival, tables.reach, tables.count,
            (nodes + 1) / 2, weights / 2,
        )  # fmt: skip
        return cls(own, born, seen, laws)

    def look(self, who: Ints, cutoff: Instants, now: Floats, ahead: Floats) -> tuple[Floats, Floats]:
        """Return P(buys within) and expected purchases on each way ahead (n x q x f each); see ``posterior_curves``."""
        return posterior_curves(signs(who, cutoff, *self.seen), now - self.born[who], ahead, *self.laws)


def posterior_truth(keys: Keys, grid_days: Floats, user: Ints, posterior: Posterior, what_if: Ahead | None = None) -> TimeToEvent:
    """Return the best forecast that anybody could give; ``user`` says which person each key is (n)."""
    supposed = what_if or AsItWas(posterior.own)
    fine, asked = fine_days(grid_days)
    buys, counts = np.empty((len(keys), len(grid_days))), np.empty((len(keys), len(grid_days)))
    for start in range(0, len(keys), CHUNK):
        part = slice(start, start + CHUNK)
        cutoff, who = keys.cutoff[part], user[part]
        now, ahead = supposed.shop_days(cutoff, fine, who)
        bought, counted = posterior.look(who, cutoff, now, ahead[:, None, :])
        buys[part], counts[part] = bought[:, 0, asked], counted[:, 0, asked]
    return TimeToEvent.of(keys, grid_days, 1 - buys, counts, "truth")


def latent_truth(
    keys: Keys, grid_days: Floats, user: Ints, people: pl.DataFrame, parameters: Parameters, own: PersonalTime, purchases: Points,
    what_if: Ahead | None = None,
) -> TimeToEvent:  # fmt: skip
    """Return the curve given each user's own rate, gap shape and the moment she leaves."""
    tables, everybody = renewal(parameters.people.gap_shapes), np.arange(len(people))
    none = Points(np.zeros(len(people) + 1, np.int64), np.empty(0, np.int64))
    born = own.of_instants(moments(people, "born"), everybody)
    past = signs(
        user, keys.cutoff, born, people["buys_at_once"].to_numpy().astype(np.int64),
        purchases.offsets, purchases.time, own.of_instants(purchases.time, purchases.owner()),
        none.offsets, none.time, np.empty(0),
    )  # fmt: skip
    now, ahead = (what_if or AsItWas(own)).shop_days(keys.cutoff, grid_days, user)
    left = own.of_instants(moments(people, "left"), everybody)[user]
    shape = people["gaps"].cast(pl.Enum(parameters.people.gap_names)).to_physical().to_numpy().astype(np.int64)
    buys, counts = latent_curves(
        now - born[user] - past[:, 2], left - now, ahead, people["rate"].to_numpy()[user], shape[user],
        tables.survival, tables.reach, tables.count,
    )  # fmt: skip
    return TimeToEvent.of(keys, grid_days, 1 - buys, counts, "latent truth")


def people_of(keys: Keys, people: pl.DataFrame) -> Ints:
    """Return the row of each key in ``people`` (n), matched by name.

    Raises
    ------
    UsageError
        When a key is no user of this shop, or was not seen before her cutoff: nothing could be known of her.
    """
    if keys.entity != "user":
        raise UsageError(f"The truth was asked about an entity of the kind {keys.entity!r}.", "It speaks of users.")
    rows = people.select(pl.col("user_id").alias("id")).with_row_index("row")
    row = keys.names.ids.alias("id").to_frame().join(rows, on="id", how="left", maintain_order="left")["row"]
    user = row.cast(pl.Int64).fill_null(-1).to_numpy()[keys.code]
    stranger = user < 0
    early = ~stranger & (moments(people, "born")[user] >= keys.cutoff)
    if (stranger | early).any():
        first = keys.ids()[int(np.flatnonzero(stranger | early)[0])]
        raise UsageError(
            f"The truth was asked about {first!r}, who is no customer of this shop or was not seen before the cutoff.",
            "It speaks of customers that were seen before their cutoffs (bots have no truth).",
            "Take the keys from history.keys() or history.panel() of a clean log.",
        )
    return user


def fine_days(grid_days: Floats) -> tuple[Floats, Ints]:
    """Return grid days so dense that leaving is even between them (at most a day apart), and where the asked ones stand in them."""
    fine = np.unique(np.concatenate([grid_days, [0.05, 0.2, 0.5], np.arange(1, np.ceil(grid_days[-1]))]))
    fine = fine[fine <= grid_days[-1]]
    return fine, np.searchsorted(fine, grid_days)
