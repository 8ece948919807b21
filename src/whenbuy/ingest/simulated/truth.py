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

import numpy as np
import polars as pl
from scipy.special import gammaln

from whenbuy.core.arrays import DAY, Floats, Instants, Ints
from whenbuy.core.errors import UsageError
from whenbuy.core.forecast import TimeToEvent
from whenbuy.core.keys import Keys
from whenbuy.ingest.simulated.calendar import ShopTime, boosts
from whenbuy.ingest.simulated.parameters import Parameters, Promotion
from whenbuy.ingest.simulated.people import Points, clocks, moments, price_classes
from whenbuy.ingest.simulated.posterior import LEAVINGS, latent_curves, posterior_curves, signs
from whenbuy.ingest.simulated.renewal import renewal

_CHUNK = 8_192


@dataclass(frozen=True, slots=True)
class WhatIf:
    """Whose curve is asked: as it was, or as if everybody got a personal promotion at her cutoff, or nobody did.

    Parameters
    ----------
    promoted
        None: as it was. True: everybody gets the promotion from her cutoff on. False: nobody gets one from then on.
    promotion
        Which one.
    """

    promoted: bool | None
    promotion: Promotion | None = None

    def shop_days(
        self, cutoff: Instants, days: Floats, who: Ints, people: pl.DataFrame, parameters: Parameters, time: ShopTime,
    ) -> tuple[Floats, Floats]:  # fmt: skip
        """Return the shop time at each cutoff (n) and how much passes until each day after it (n x d).

        The past ran by each user's own clock. What lies ahead runs by the clock without promotions, and faster by the promotion's boost
        while that lasts: intensity × notice × (1 - discount) ** -elasticity, the law by which the shop itself draws.
        """
        own, base = clocks(people, parameters)[who], price_classes(people, parameters)[who]
        now, ahead = _shop_days(cutoff, days, own if self.promoted is None else base, time)
        if self.promoted and self.promotion is not None:
            boost = boosts(parameters, self.promotion)[base]
            _, quick = _shop_days(cutoff, np.minimum(days, self.promotion.length_days), base, time)
            ahead = ahead + (boost[:, None] - 1) * quick
        return (now if self.promoted is None else time.of_instants(cutoff, own)), ahead


def posterior_truth(
    keys: Keys, grid_days: Floats, user: Ints, people: pl.DataFrame, parameters: Parameters, time: ShopTime,
    purchases: Points, visits: Points, ahead_of: WhatIf | None = None,
) -> TimeToEvent:  # fmt: skip
    """Return the best forecast that anybody could give; ``user`` says which row of ``people`` each key is (n)."""
    law, tables = parameters.people, renewal(parameters.people.gap_shapes)
    clock, what_if = clocks(people, parameters), ahead_of or WhatIf(None)
    born = time.of_instants(moments(people, "born"), clock)
    seen = (
        born, people["buys_at_once"].to_numpy().astype(np.int64),
        purchases.offsets, purchases.time, time.of_instants(purchases.time, clock[purchases.owner()]),
        visits.offsets, visits.time, time.of_instants(visits.time, clock[visits.owner()]),
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
    fine, asked = _fine_days(grid_days)
    buys, counts = np.empty((len(keys), len(grid_days))), np.empty((len(keys), len(grid_days)))
    for start in range(0, len(keys), _CHUNK):
        part = slice(start, start + _CHUNK)
        cutoff, who = keys.cutoff[part], user[part]
        now, ahead = what_if.shop_days(cutoff, fine, who, people, parameters, time)
        past = signs(who, cutoff, *seen)
        bought, counted = posterior_curves(past, now - born[who], ahead, *laws)
        buys[part], counts[part] = bought[:, asked], counted[:, asked]
    return TimeToEvent.of(keys, grid_days, 1 - buys, counts, "truth")


def latent_truth(
    keys: Keys, grid_days: Floats, user: Ints, people: pl.DataFrame, parameters: Parameters, time: ShopTime, purchases: Points,
    ahead_of: WhatIf | None = None,
) -> TimeToEvent:  # fmt: skip
    """Return the curve given each user's own rate, gap shape and the moment she leaves."""
    tables, clock = renewal(parameters.people.gap_shapes), clocks(people, parameters)
    none = Points(np.zeros(len(people) + 1, np.int64), np.empty(0, np.int64))
    born = time.of_instants(moments(people, "born"), clock)
    past = signs(
        user, keys.cutoff, born, people["buys_at_once"].to_numpy().astype(np.int64),
        purchases.offsets, purchases.time, time.of_instants(purchases.time, clock[purchases.owner()]),
        none.offsets, none.time, np.empty(0),
    )  # fmt: skip
    now, ahead = (ahead_of or WhatIf(None)).shop_days(keys.cutoff, grid_days, user, people, parameters, time)
    left = time.of_instants(moments(people, "left"), clock)[user]
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


def _shop_days(cutoff: Instants, days: Floats, clock: Ints, time: ShopTime) -> tuple[Floats, Floats]:
    """Return the shop time at each cutoff (n) and how much passes until each day after it (n x d)."""
    now = time.of_instants(cutoff, clock)
    later = cutoff[:, None] + np.round(days * DAY).astype(np.int64)[None, :]
    return now, time.of_instants(later, clock[:, None]) - now[:, None]


def _fine_days(grid_days: Floats) -> tuple[Floats, Ints]:
    """Return grid days so dense that leaving is even between them (at most a day apart), and where the asked ones stand in them."""
    fine = np.unique(np.concatenate([grid_days, [0.05, 0.2, 0.5], np.arange(1, np.ceil(grid_days[-1]))]))
    fine = fine[fine <= grid_days[-1]]
    return fine, np.searchsorted(fine, grid_days)
