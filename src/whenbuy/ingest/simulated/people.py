"""The people of the simulated shop, and the instants at which they look and buy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from whenbuy.core.arrays import DAY, Bools, Floats, Instants, Ints
from whenbuy.core.forecast import instants
from whenbuy.ingest.simulated.calendar import ShopTime
from whenbuy.ingest.simulated.parameters import Parameters
from whenbuy.ingest.simulated.promotions import RESPONSES, Promotions


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Instants of many users: user u owns ``time[offsets[u] : offsets[u + 1]]``, rising."""

    offsets: Ints
    time: Instants

    @classmethod
    def of(cls, users: int, user: Ints, time: Instants) -> Points:
        """Return points grouped by user; a user's own must be given in rising order or not far from it."""
        order = np.lexsort((time, user))
        return cls(np.concatenate([[0], np.cumsum(np.bincount(user, minlength=users))]).astype(np.int64), time[order])

    def owner(self) -> Ints:
        """Return the user of each point (n)."""
        return np.repeat(np.arange(len(self.offsets) - 1, dtype=np.int64), np.diff(self.offsets))


def draw_people(users: int, parameters: Parameters, time: ShopTime, days: int, rng: np.random.Generator) -> pl.DataFrame:
    """Return the latent truth of each user.

    ``user_id``; ``price_class`` and ``region`` (the two that the shop knows); ``rate``: purchases per shop day; ``gap_shape`` and
    ``gaps``: the gamma shape of the gaps and its name; ``visit_rate``: visits without a purchase per shop day; ``leaving_rate``: hazard of
    leaving per shop day; ``born``: the first visit; ``buys_at_once``: whether it was a purchase; ``left``: when she left (the end of the
    calendar where she stays beyond it); ``quantity_level``; ``first_category``, ``second_category``: her tastes; where the shop tries a
    personal promotion, ``promoted``: whether she gets it; where it sends offers in rounds, ``segment`` (the shop knows it) and
    ``response``: how she answers them.
    """
    people, assortment, basket = parameters.people, parameters.assortment, parameters.basket
    price_class = rng.choice(len(people.price_classes), users, p=people.price_class_shares)
    gaps = rng.choice(len(people.gap_shapes), users, p=people.gap_shares)
    end = time.of_instants(np.full(len(people.price_classes), time.start + days * DAY), np.arange(len(people.price_classes)))
    luck, growth = rng.uniform(0, 1, users), np.log(people.growth)
    born_at = (luck if growth == 0 else np.log1p(luck * np.expm1(growth)) / growth) * end[price_class]
    clock, promoted = price_class, None
    if (trial := parameters.promotion) is not None:  # by lot, among those who came before it; a stream of its own
        early = born_at < time.of_instants(np.full(users, time.start + trial.day * DAY), price_class)
        promoted = early & (rng.spawn(1)[0].uniform(0, 1, users) < trial.share)
        clock = price_class + promoted * len(people.price_classes)
    leaving_rate = rng.gamma(people.leaving_shape, 1 / people.leaving_scale_days, users)
    stays = rng.exponential(1, users) / np.maximum(leaving_rate, 1e-300)
    width = len(str(users))
    drawn = pl.DataFrame(
        {
            "user_id": names("u", users, width),
            "price_class": pl.Series(people.price_classes).gather(price_class),
            "region": pl.Series(people.regions).gather(rng.integers(0, len(people.regions), users)),
            "rate": rng.gamma(people.rate_shape, people.rate_mean / people.rate_shape, users),
            "gap_shape": np.asarray(people.gap_shapes)[gaps],
            "gaps": pl.Series(people.gap_names).gather(gaps),
            "visit_rate": rng.gamma(people.visit_shape, people.visit_mean / people.visit_shape, users),
            "leaving_rate": leaving_rate,
            "born": instants(time.instants(born_at, price_class)),
            "buys_at_once": rng.uniform(0, 1, users) < people.buys_at_once,
            "left": instants(time.instants(born_at + stays, clock)),
            "quantity_level": basket.quantity_median * np.exp(basket.quantity_spread_people * rng.normal(0, 1, users)),
            "first_category": rng.integers(0, assortment.categories, users),
            "second_category": rng.integers(0, assortment.categories, users),
        }
    )
    if (law := parameters.promotions) is not None:
        drawn = drawn.with_columns(**_answers(users, law, rng.spawn(1)[0]))
    return drawn if promoted is None else drawn.with_columns(promoted=pl.Series(promoted))


def _answers(users: int, law: Promotions, rng: np.random.Generator) -> dict[str, pl.Series]:
    """Return the segment of each person and how she answers offers."""
    segment = rng.choice(len(law.segments), users, p=law.segment_shares)
    bounds = np.cumsum(np.array(law.response_shares), axis=1)[segment]
    response = np.minimum((rng.uniform(0, 1, users)[:, None] > bounds).sum(axis=1), len(RESPONSES) - 1)
    return {"segment": pl.Series(law.segments).gather(segment), "response": pl.Series(RESPONSES).gather(response)}


def price_classes(people: pl.DataFrame, parameters: Parameters) -> Ints:
    """Return the position of each person's price class (n)."""
    return people["price_class"].cast(pl.Enum(parameters.people.price_classes)).to_physical().to_numpy().astype(np.int64)


def clocks(people: pl.DataFrame, parameters: Parameters) -> Ints:
    """Return which clock of the shop's time runs for each person (n): that of her price class, or of the promoted ones of it."""
    base = price_classes(people, parameters)
    if parameters.promotion is None:
        return base
    return base + people["promoted"].to_numpy().astype(np.int64) * len(parameters.people.price_classes)


def moments(people: pl.DataFrame, column: str) -> Instants:
    """Return a column of date-times as instants (n)."""
    return people[column].cast(pl.Int64).to_numpy()


def names(prefix: str, count: int, width: int) -> pl.Series:
    """Return ``count`` names: the prefix and a number."""
    return prefix + pl.select(pl.int_range(1, count + 1, eager=False).cast(pl.String).str.zfill(width).alias("id"))["id"]


def draw_purchases(
    people: pl.DataFrame, parameters: Parameters, time: ShopTime, end: int, rng: np.random.Generator,
) -> Points:  # fmt: skip
    """Return when each person bought: a gamma renewal process in shop time, from her first visit until she leaves or the log ends."""
    clock = clocks(people, parameters)
    born, stop = _span(people, clock, time, end)
    shape, rate = people["gap_shape"].to_numpy(), people["rate"].to_numpy()
    at_once = np.flatnonzero(people["buys_at_once"].to_numpy())
    users, moments_ = [at_once], [born[at_once]]
    active, at = np.arange(len(people)), born
    while len(active):
        gap = rng.standard_gamma(shape[active]) / (shape[active] * np.maximum(rate[active], 1e-300))
        at = at + gap
        going = at < stop[active]
        active, at = active[going], at[going]
        users.append(active)
        moments_.append(at)
    return _points(people, np.concatenate(users), np.concatenate(moments_), clock, time)


def draw_visits(
    people: pl.DataFrame, parameters: Parameters, time: ShopTime, end: int, rng: np.random.Generator,
) -> Points:  # fmt: skip
    """Return when each person looked without buying: a Poisson process in shop time, from her first visit until she leaves."""
    clock = clocks(people, parameters)
    born, stop = _span(people, clock, time, end)
    count = rng.poisson(people["visit_rate"].to_numpy() * (stop - born))
    user = np.repeat(np.arange(len(people)), count)
    at = born[user] + rng.uniform(0, 1, len(user)) * (stop - born)[user]
    return _points(people, user, at, clock, time)


def _span(people: pl.DataFrame, clock: Ints, time: ShopTime, end: int) -> tuple[Floats, Floats]:
    """Return from when until when each person can be seen, in shop days."""
    return (
        time.of_instants(moments(people, "born"), clock),
        time.of_instants(np.minimum(moments(people, "left"), end), clock),
    )


def _points(people: pl.DataFrame, user: Ints, shop_days: Floats, clock: Ints, time: ShopTime) -> Points:
    instant = np.maximum(time.instants(shop_days, clock[user]), moments(people, "born")[user])
    return Points.of(len(people), user, instant)


def births_without_purchase(people: pl.DataFrame) -> Bools:
    """Return who came first to look (n)."""
    return ~people["buys_at_once"].to_numpy()
