"""The rows that people leave in the log: views, carts, purchases, reviews and refunds.

Everything here is drawn independently of how often somebody buys and whether she has left, so that it says nothing about the next purchase
beyond the instants of visits and purchases themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from whenbuy.core.arrays import DAY, MISSING, Bools, Codes, Floats, Instants, Ints
from whenbuy.core.clock import Clock
from whenbuy.core.log import KINDS, SCALES
from whenbuy.ingest.simulated.calendar import HOUR, ShopTime
from whenbuy.ingest.simulated.contacts import Contacts
from whenbuy.ingest.simulated.parameters import Parameters
from whenbuy.ingest.simulated.people import Points, births_without_purchase, moments

Rows = dict[str, npt.NDArray[Any]]
"""Columns of equal length; a column that is absent is missing in every row."""

CHANNELS: Final = ("web", "app", "phone")
CLICKED: Final = 0.5
"""Share of those who open a message that follow its link; it says nothing more about them."""
TEXTS: Final = (
    "Broke after a day.", "Not what the picture shows.", "Arrived late and damaged.",
    "Too small for me.", "Cheap material.", "Would not order it again.",
    "It does what it should.", "Fine for the price.", "Nothing special.",
    "Good quality, quick delivery.", "Fits well.", "I like the colour.",
    "Perfect, my second one already.", "Exactly what I was looking for.", "Best purchase of the year.",
)  # fmt: skip
"""Three snippets for each rating from 1 to 5."""

ABSENT: Final[dict[str, tuple[type, int]]] = {
    "order_id": (np.int32, -1), "session_id": (np.int32, -1), "item_id": (np.int32, -1), "channel": (np.int32, -1), "text": (np.int32, -1),
    "offer_id": (np.int32, -1), "topic": (np.int32, -1),
    "unit_price": (np.int64, MISSING), "quantity": (np.int64, MISSING), "amount": (np.int64, MISSING),
    "dwell_s": (np.int64, MISSING), "rating": (np.int64, MISSING), "orders": (np.int64, 0), "may_be_late": (np.bool_, False),
}  # fmt: skip
"""Columns with their type and what stands where there is nothing."""

_MINUTE, _SECOND = DAY // 1440, DAY // 86_400


@dataclass(frozen=True, slots=True, eq=False)
class Catalogue:
    """The items of the shop, grouped by category: category c owns the items ``first[c] : first[c + 1]``."""

    first: Ints
    category: Codes
    brand: Codes
    price: Floats
    quality: Floats

    @classmethod
    def draw(cls, parameters: Parameters, rng: np.random.Generator) -> Catalogue:
        """Return an assortment: every category has an item, prices are log-normal around their category's level."""
        sold = parameters.assortment
        rest = rng.integers(0, sold.categories, sold.items - sold.categories)
        category = np.sort(np.concatenate([np.arange(sold.categories), rest])).astype(np.int32)
        first = np.searchsorted(category, np.arange(sold.categories + 1)).astype(np.int64)
        level = rng.normal(0, sold.price_spread / 2, sold.categories)
        spread = rng.normal(0, sold.price_spread, sold.items)
        price = sold.price_median * np.exp(level[category] + spread)
        brand = rng.integers(0, sold.brands, sold.items).astype(np.int32)
        return cls(first, category, brand, np.maximum(price, 0.5), rng.normal(3.8, 0.5, sold.items))

    def pick(self, first_category: Ints, second_category: Ints, parameters: Parameters, rng: np.random.Generator) -> Codes:
        """Return an item for each line, by its buyer's tastes (n)."""
        sold, n = parameters.assortment, len(first_category)
        luck = rng.uniform(0, 1, n)
        category = rng.integers(0, sold.categories, n)
        category = np.where(luck < sold.taste_first + sold.taste_second, second_category, category)
        category = np.where(luck < sold.taste_first, first_category, category)
        size = self.first[category + 1] - self.first[category]
        return (self.first[category] + (size * rng.uniform(0, 1, n) ** sold.popularity).astype(np.int64)).astype(np.int32)


@dataclass(frozen=True, slots=True, eq=False)
class Till:
    """Turns who, when and which item into rows with prices."""

    people: pl.DataFrame
    parameters: Parameters
    time: ShopTime
    catalogue: Catalogue
    rng: np.random.Generator
    contacts: Contacts | None = None

    def item(self, user: Ints) -> Codes:
        """Return an item to each user's taste (n)."""
        first, second = self.people["first_category"].to_numpy(), self.people["second_category"].to_numpy()
        return self.catalogue.pick(first[user], second[user], self.parameters, self.rng)

    def price(self, item: Codes, instant: Instants, user: Ints) -> Ints:
        """Return the price in cents of each item at each instant for each user (n): its own times the level of the day less discounts."""
        level = self.time.price[self.time.day(instant)]
        if (trial := self.parameters.promotion) is not None:
            level = level * np.where(self.promoted(user, instant), 1 - trial.discount, 1.0)
        if (law := self.parameters.promotions) is not None:
            level = level * np.append(1 - np.array(law.discounts), 1.0)[self.offered(user, instant)]
        return np.round(100 * self.catalogue.price[item] * level).astype(np.int64)

    def promoted(self, user: Ints, instant: Instants) -> Bools:
        """Return whether each user has the personal promotion at each instant (n)."""
        trial = self.parameters.promotion
        people = len(self.people)
        if trial is None:
            return np.zeros(len(user), bool)
        day, known = self.time.day(instant), user < people  # the others are machines
        mine = known & self.people["promoted"].to_numpy()[np.where(known, user, 0)]
        return np.asarray(mine & (day >= trial.day) & (day < trial.day + trial.length_days))

    def offered(self, user: Ints, instant: Instants) -> Codes:
        """Return which of the offers that are sent in rounds each user can use at each instant (n), -1 where none."""
        law, contacts = self.parameters.promotions, self.contacts
        if law is None or contacts is None or not len(contacts):
            return np.full(len(user), -1, np.int32)
        row = contacts.working(user, instant, law)
        return np.where(row >= 0, contacts.offer[row], -1).astype(np.int32)

    def shown(self) -> list[Rows]:
        """Return the rows that tell of personal promotions, at the instant at which they are shown."""
        if (trial := self.parameters.promotion) is not None:
            user = np.flatnonzero(self.people["promoted"].to_numpy())
            first = np.full(len(user), self.time.start + trial.day * DAY, np.int64)
            return [self._rows("shown", user, first) | {"offer_id": np.zeros(len(user), np.int32)}]
        return [] if self.contacts is None else [self._message("shown", self.contacts.take(self.contacts.offer >= 0))]

    def answers(self, orders: Points, rng: np.random.Generator) -> list[Rows]:
        """Return the rows of offers that are opened, clicked and redeemed, redeemed with the first order under each."""
        law, contacts = self.parameters.promotions, self.contacts
        if law is None or contacts is None or not contacts.opened.any():
            return []
        opened = contacts.take(contacts.opened)
        read = opened.sent_at + (rng.exponential(4.0, len(opened)) * HOUR).astype(np.int64)
        followed = rng.uniform(0, 1, len(opened)) < CLICKED
        looked = read + (rng.exponential(3.0, len(opened)) * _MINUTE).astype(np.int64)
        owner = orders.owner()
        row = contacts.working(owner, orders.time, law)
        first = np.flatnonzero((row >= 0) & (np.diff(row, prepend=-1) != 0))
        used = contacts.take(row[first].astype(np.int64))
        return [
            self._message("opened", opened) | {"time": read},
            self._message("clicked", opened.take(followed)) | {"time": looked[followed]},
            self._message("redeemed", used) | {"time": orders.time[first]},
        ]

    def _message(self, kind: str, sent: Contacts) -> Rows:
        """Return rows about what was sent, at the instant at which it was."""
        return self._rows(kind, sent.user, sent.sent_at) | {
            "offer_id": sent.offer,
            "channel": (len(CHANNELS) + sent.channel).astype(np.int32),
        }

    def views(self, user: Ints, instant: Instants, session: Ints, item: Codes) -> Rows:
        """Return view rows."""
        basket = self.parameters.basket
        dwell = basket.dwell_median_s * np.exp(basket.dwell_spread * self.rng.normal(0, 1, len(user)))
        return self._rows("view", user, instant) | {
            "session_id": session.astype(np.int32), "item_id": item, "unit_price": self.price(item, instant, user),
            "dwell_s": np.round(dwell * SCALES["dwell_s"]).astype(np.int64),
        }  # fmt: skip

    def carts(self, user: Ints, instant: Instants, session: Ints, item: Codes) -> Rows:
        """Return cart rows."""
        return self._rows("cart", user, instant) | {
            "session_id": session.astype(np.int32), "item_id": item, "unit_price": self.price(item, instant, user),
            "may_be_late": np.ones(len(user), bool),
        }  # fmt: skip

    def orders(self, orders: Points) -> list[Rows]:
        """Return the rows of all orders: the views and carts before them, their lines, and what followed."""
        basket, rng, owner = self.parameters.basket, self.rng, orders.owner()
        lines = 1 + rng.poisson(basket.lines_mean - 1, len(owner))
        order = np.repeat(np.arange(len(owner)), lines)
        user, bought = owner[order], orders.time[order]
        item = self.item(user)
        level = np.log(self.people["quantity_level"].to_numpy()[user])
        quantity = np.maximum(np.round(np.exp(level + basket.quantity_spread_lines * rng.normal(0, 1, len(user)))), 1).astype(np.int64)
        price = self.price(item, bought, user)
        purchases = self._rows("purchase", user, bought) | {
            "order_id": order.astype(np.int32), "session_id": order.astype(np.int32), "item_id": item, "unit_price": price,
            "quantity": SCALES["quantity"] * quantity, "amount": price * quantity,
            "orders": np.concatenate([[1], order[1:] != order[:-1]]).astype(np.int64)[: len(order)],
            "offer_id": np.where(self.promoted(user, bought), 0, self.offered(user, bought)).astype(np.int32),
        }  # fmt: skip
        looked, carted = self._before(user, bought)
        seen = np.repeat(np.arange(len(order)), 1 + rng.poisson(basket.views_per_line - 1, len(order)))
        between = looked[seen] + (rng.uniform(0, 1, len(seen)) * (carted - looked)[seen]).astype(np.int64)
        views = self.views(user[seen], between, order[seen], item[seen]) | {"may_be_late": np.ones(len(seen), bool)}
        kept = np.flatnonzero(rng.uniform(0, 1, len(order)) < basket.cart_share)
        carts = self.carts(user[kept], carted[kept], order[kept], item[kept])
        return [views, carts, purchases, self._reviews(purchases), self._refunds(purchases)]

    def visits(self, visits: Points, births: Points, first_session: int) -> list[Rows]:
        """Return the rows of visits without a purchase; first visits without one (``births``) look just the same."""
        basket, rng = self.parameters.basket, self.rng
        owner, start = np.concatenate([births.owner(), visits.owner()]), np.concatenate([births.time, visits.time])
        further = rng.poisson(basket.views_per_visit - 1, len(owner))
        session = np.repeat(np.arange(len(owner)), 1 + further)
        head = np.concatenate([[True], session[1:] != session[:-1]])[: len(session)]
        room = (start // DAY + 1) * DAY - 1 - start
        wait = (rng.exponential(basket.funnel_minutes * _MINUTE, len(session))).astype(np.int64)
        instant = start[session] + np.where(head, 0, np.minimum(wait, room[session]))
        views = self.views(owner[session], instant, first_session + session, self.item(owner[session])) | {"may_be_late": ~head}
        put = np.flatnonzero(rng.uniform(0, 1, len(owner)) < basket.visit_cart_share)
        last = np.cumsum(1 + further)[put] - 1
        moment = np.minimum(instant[last] + 20 * _SECOND, start[put] + room[put])
        return [views, self.carts(owner[put], moment, first_session + put, views["item_id"][last])]

    def _before(self, user: Ints, bought: Instants) -> tuple[Instants, Instants]:
        """Return when each line was first looked at and put into the cart (n each): the same day, and not before a first visit."""
        rng, came = self.rng, np.where(births_without_purchase(self.people), moments(self.people, "born"), 0)
        earliest = np.maximum(bought // DAY * DAY, came[user])
        wait = rng.exponential(self.parameters.basket.funnel_minutes * _MINUTE, len(bought)).astype(np.int64)
        looked = np.maximum(bought - 30 * _SECOND - wait, earliest)
        return looked, looked + ((bought - looked) * rng.uniform(0.3, 0.95, len(bought))).astype(np.int64)

    def _reviews(self, purchases: Rows) -> Rows:
        after, rng = self.parameters.afterwards, self.rng
        row = np.flatnonzero(rng.uniform(0, 1, len(purchases["user"])) < after.review_share)
        rating = np.clip(np.round(self.catalogue.quality[purchases["item_id"][row]] + rng.normal(0, 0.8, len(row))), 1, 5).astype(np.int64)
        spoken = rng.uniform(0, 1, len(row)) < after.review_text_share
        text = np.where(spoken, 3 * (rating - 1) + rng.integers(0, 3, len(row)), -1).astype(np.int32)
        return self._rows("review", purchases["user"][row], self._later(purchases["time"][row], after.review_median_days)) | {
            "item_id": purchases["item_id"][row], "rating": SCALES["rating"] * rating, "text": text, "may_be_late": np.ones(len(row), bool),
        }  # fmt: skip

    def _refunds(self, purchases: Rows) -> Rows:
        after = self.parameters.afterwards
        row = np.flatnonzero(self.rng.uniform(0, 1, len(purchases["user"])) < after.refund_share)
        same = ("order_id", "item_id", "unit_price", "quantity", "amount")
        instant = self._later(purchases["time"][row], after.refund_median_days)
        return self._rows("refund", purchases["user"][row], instant) | {name: purchases[name][row] for name in same} | {
            "may_be_late": np.ones(len(row), bool)
        }  # fmt: skip

    def _later(self, instant: Instants, median_days: float) -> Instants:
        spread = self.parameters.afterwards.delay_spread
        return instant + (median_days * DAY * np.exp(spread * self.rng.normal(0, 1, len(instant)))).astype(np.int64)

    def _rows(self, kind: str, user: Ints, instant: Instants) -> Rows:
        return {"user": user.astype(np.int32), "time": instant, "kind": np.full(len(user), KINDS.index(kind), np.uint8)}


def together(parts: Sequence[Rows]) -> Rows:
    """Return all rows, every column filled."""
    whole = {name: np.concatenate([part[name] for part in parts]) for name in ("user", "time", "kind")}
    for name, (dtype, absent) in ABSENT.items():
        whole[name] = np.concatenate([part.get(name, np.full(len(part["user"]), absent, dtype)) for part in parts])
    return whole


def lose(rows: Rows, sessions: int, parameters: Parameters, rng: np.random.Generator) -> Rows:
    """Return the rows with channels, and with some items, prices and channels missing."""
    faults, n = parameters.faults, len(rows["user"])
    channel = rng.choice(len(CHANNELS), sessions, p=(0.55, 0.38, 0.07)).astype(np.int32)
    inside = rows["session_id"] >= 0
    rows["channel"][inside] = channel[rows["session_id"][inside]]
    if (drift := parameters.drift) is not None:
        after = inside & (rows["time"] >= Clock().instant(parameters.calendar.start) + drift.day * DAY)
        rows["channel"][after] = rng.choice(len(CHANNELS), sessions, p=drift.channels)[rows["session_id"][after]]
    rows["channel"][rng.uniform(0, 1, n) < faults.channel_missing] = -1
    rows["item_id"][rng.uniform(0, 1, n) < faults.item_missing] = -1
    rows["unit_price"][rng.uniform(0, 1, n) < faults.price_missing] = MISSING
    return rows


def delay(rows: Rows, parameters: Parameters, rng: np.random.Generator) -> Instants:
    """Return when each row became known (n): at once, minutes or hours later, seldom days later."""
    faults = parameters.faults
    late = np.flatnonzero(rows["may_be_late"] & (rng.uniform(0, 1, len(rows["time"])) < faults.late_share))
    wait = faults.late_median_minutes * _MINUTE * np.exp(faults.late_spread * rng.normal(0, 1, len(late)))
    days = rng.uniform(0, 1, len(late)) < faults.late_days_share
    wait = np.where(days, rng.uniform(0.5, 1.0, len(late)) * faults.lateness_days * DAY, np.minimum(wait, faults.lateness_days * DAY))
    known_at = rows["time"].copy()
    known_at[late] += np.maximum(wait, _MINUTE).astype(np.int64)
    return known_at


def bots(users: int, days: int, till: Till, first_session: int) -> list[Rows]:
    """Return the rows of bots, whose codes follow the users': thousands of views in even rhythm, and never a purchase."""
    faults, rng = till.parameters.faults, till.rng
    count = max(1, round(users * faults.bots))
    each = rng.poisson(faults.bot_views, count) + 1
    bot = np.repeat(np.arange(count), each)
    start = till.time.start + rng.integers(0, max(1, days - 1), count) * DAY
    step = np.arange(len(bot)) - np.repeat(np.cumsum(each) - each, each)
    instant = start[bot] + 2 * _SECOND * step + rng.integers(0, 2_000, len(bot))
    items = len(till.catalogue.category)
    views = till.views(users + bot, instant, first_session + bot, (step % items).astype(np.int32))
    return [views | {"dwell_s": np.full(len(bot), 900, np.int64)}]


def repeat(rows: Rows, known_at: Instants, parameters: Parameters, rng: np.random.Generator) -> tuple[Rows, Instants]:
    """Return the rows with some of them sent twice; the second copy begins no order."""
    n = len(rows["user"])
    twice = np.flatnonzero(rng.uniform(0, 1, n) < parameters.faults.duplicates)
    again = {name: values[twice] for name, values in rows.items()}
    again["orders"] = np.zeros(len(twice), np.int64)
    return {name: np.concatenate([values, again[name]]) for name, values in rows.items()}, np.concatenate([known_at, known_at[twice]])
