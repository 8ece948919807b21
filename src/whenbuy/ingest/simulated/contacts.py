"""The rounds in which a shop sends offers: who is sent what with which probability, who opens it, and what that does to her time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import DAY, Bools, Codes, Floats, Instants, Ints
from whenbuy.core.effect import NONE
from whenbuy.core.forecast import instants
from whenbuy.ingest.simulated.calendar import HOUR, ShopTime
from whenbuy.ingest.simulated.parameters import Parameters
from whenbuy.ingest.simulated.people import Points, clocks, moments, price_classes
from whenbuy.ingest.simulated.personal import PersonalTime
from whenbuy.ingest.simulated.promotions import RESPONSES, Promotions

_LATELY_DAYS: Final = 45.0
_APART: Final = 1_000_000
"""Hours between users in one sorted column: more than any calendar holds."""


@dataclass(frozen=True, slots=True, eq=False)
class Contacts:
    """Decisions of the shop in the order of time: one per round and customer who was there.

    Parameters
    ----------
    user, sent_at
        Who, and when (n).
    offer, channel
        What she was sent and how (n); -1 for nothing.
    propensity
        The probability with which that was drawn (n).
    opened
        Whether she opened it (n).
    """

    user: Ints
    sent_at: Instants
    offer: Codes
    channel: Codes
    propensity: Floats
    opened: Bools

    def __len__(self) -> int:
        return len(self.user)

    @classmethod
    def none(cls) -> Contacts:
        """Return no decision at all."""
        whole, code = np.empty(0, np.int64), np.empty(0, np.int32)
        return cls(whole, whole, code, code, np.empty(0), np.empty(0, bool))

    def take(self, rows: Ints | Bools) -> Contacts:
        """Return some of the decisions."""
        return Contacts(*(getattr(self, name)[rows] for name in self.__slots__))

    def then(self, later: Contacts) -> Contacts:
        """Return these decisions and later ones."""
        return Contacts(*(np.concatenate([getattr(self, name), getattr(later, name)]) for name in self.__slots__))

    def frame(self, people: pl.DataFrame, law: Promotions) -> pl.DataFrame:
        """Return the decisions as a shop logs them: user_id, offer_id ("none" for nothing), channel, send_at, propensity, policy."""
        return pl.DataFrame(
            {
                "user_id": people["user_id"].gather(self.user),
                "offer_id": pl.Series([*law.offers, NONE]).gather(np.where(self.offer < 0, len(law.offers), self.offer)),
                "channel": pl.Series([*law.channels, None]).gather(np.where(self.channel < 0, len(law.channels), self.channel)),
                "send_at": instants(self.sent_at),
                "propensity": self.propensity,
                "policy": law.logging,
            }
        )

    def before(self, user: Ints, instant: Instants, days: float) -> Ints:
        """Return how many messages each user was sent in so many days before an instant (n), the instant itself left out."""
        sent = self.take(self.offer >= 0)
        hour = np.sort(sent.user * _APART + sent.sent_at // HOUR)
        base, back = user * _APART, round(days * DAY)
        until, since = (np.searchsorted(hour, base + (at + HOUR - 1) // HOUR, side="left") for at in (instant, instant - back))
        return (until - since).astype(np.int64)

    def working(self, user: Ints, instant: Instants, law: Promotions) -> Codes:
        """Return the row of the decision whose offer each user has opened and can use at each instant (n), -1 where there is none."""
        rows = np.flatnonzero(self.opened & (self.offer >= 0))
        hour = self.user[rows] * _APART + self.sent_at[rows] // HOUR
        order = np.argsort(hour, kind="stable")
        place = np.searchsorted(hour[order], user * _APART + instant // HOUR, side="right") - 1
        if not len(rows):
            return np.full(len(user), -1, np.int32)
        found = rows[order[np.maximum(place, 0)]]
        good = (place >= 0) & (self.user[found] == user) & (instant < self.sent_at[found] + round(law.length_days * DAY))
        return np.where(good, found, -1).astype(np.int32)


@dataclass(frozen=True, slots=True, eq=False)
class Audience:
    """What the laws say of each person, as arrays (users): price class, segment, way to answer; and how the laws depend on them.

    Parameters
    ----------
    paces
        As ``Promotions.paces`` gives them.
    opens
        Chance to open, by segment and channel.
    """

    law: Promotions
    price_class: Ints
    segment: Ints
    response: Ints
    paces: Floats
    opens: Floats

    @classmethod
    def of(cls, people: pl.DataFrame, parameters: Parameters, law: Promotions) -> Audience:
        """Return the audience of a shop."""
        segment, response = (
            people[name].cast(pl.Enum(values)).to_physical().to_numpy().astype(np.int64)
            for name, values in (("segment", law.segments), ("response", RESPONSES))
        )
        paces = law.paces(parameters.people.price_elasticities)
        return cls(law, price_classes(people, parameters), segment, response, paces, np.array(law.opens))

    def open_chance(self, user: Ints, channel: Ints, contacts: Ints) -> Floats:
        """Return the chance that each user opens a message on each channel after so many others (shapes as numpy joins them)."""
        return np.asarray(self.opens[self.segment[user], channel] * self.law.fatigue**contacts)

    def own_time(self, time: PersonalTime, contacts: Contacts) -> PersonalTime:
        """Return everybody's time under these contacts and no others."""
        sent = contacts.take(contacts.opened & (contacts.offer >= 0))
        pace = self.paces[self.price_class[sent.user], self.segment[sent.user], sent.offer, self.response[sent.user]]
        begins, pays = sent.sent_at, sent.sent_at + round(self.law.length_days * DAY)
        ends = pays + round(self.law.payback_days * DAY)
        factors = (pace[:, 0], pace[:, 1] / pace[:, 0], 1 / pace[:, 1])
        return time.changed(np.tile(sent.user, 3), np.concatenate([begins, pays, ends]), np.concatenate(factors))


def draw_contacts(
    people: pl.DataFrame, parameters: Parameters, law: Promotions, time: ShopTime, purchases: Points, end: int, rng: np.random.Generator,
) -> tuple[Contacts, PersonalTime]:  # fmt: skip
    """Return what the shop sent round by round, and everybody's time under it.

    ``purchases`` are the instants at which people would have bought by the plain calendar: what a round can see of them is where the
    offers of the rounds before have moved them.
    """
    plain = PersonalTime.plain(time, clocks(people, parameters))
    audience = Audience.of(people, parameters, law)
    contacts, own = Contacts.none(), plain
    born = moments(people, "born")
    for turn in range(law.rounds):
        at = time.start + (law.first_day + turn * law.every_days) * DAY
        if at >= end:
            break
        user = np.flatnonzero(born < at)
        recency = _recency_days(warped(purchases, plain, own, at), user, at)
        new = _decide(audience, user, recency, at, rng)
        fatigue = contacts.before(new.user, new.sent_at, law.fatigue_days)
        chance = audience.open_chance(new.user, np.maximum(new.channel, 0), fatigue)
        contacts = contacts.then(replace(new, opened=(rng.uniform(0, 1, len(new)) < chance) & (new.offer >= 0)))
        own = audience.own_time(plain, contacts)
    return contacts, own


def warped(points: Points, plain: PersonalTime, own: PersonalTime, end: int) -> Points:
    """Return points of the plain calendar where each person's own time puts them, those before ``end``."""
    owner = points.owner()
    moved = own.instants(plain.of_instants(points.time, owner), owner)
    kept = moved < end
    return Points.of(len(points.offsets) - 1, owner[kept], moved[kept])


def _recency_days(purchases: Points, user: Ints, at: int) -> Floats:
    """Return the days since each user's last purchase (n), very many where there is none."""
    last = purchases.offsets[user + 1] - 1
    bought = purchases.offsets[user + 1] > purchases.offsets[user]
    days = (at - purchases.time[np.maximum(last, 0)]) / DAY if len(purchases.time) else np.zeros(len(user))
    return np.where(bought, days, 1e6)


def _decide(audience: Audience, user: Ints, recency: Floats, at: int, rng: np.random.Generator) -> Contacts:
    """Return one decision per user, with the probability of what was drawn; nothing is opened yet."""
    law, n = audience.law, len(user)
    m, c = len(law.offers), len(law.channels)
    suits = audience.price_class[user] % m  # the offer that the shop believes to suit a price class
    if law.logging == "deterministic":
        sent = recency < _LATELY_DAYS
        offer = np.where(sent, suits, -1)
        return _contacts(user, at, offer, np.where(sent, 0, -1), np.ones(n))
    lean = law.tilt * np.clip((_LATELY_DAYS - recency) / 30, -2, 2) if law.logging == "biased" else np.zeros(n)
    share = 1 / (1 + (1 - law.share) / law.share * np.exp(-lean))
    weight = np.ones((n, m))
    if law.logging == "biased":
        weight[np.arange(n), suits] += 1
    weight /= weight.sum(axis=1, keepdims=True)
    sent = rng.uniform(0, 1, n) < share
    offer = np.minimum((rng.uniform(0, 1, n)[:, None] > np.cumsum(weight, axis=1)).sum(axis=1), m - 1)
    channel = rng.integers(0, c, n)
    propensity = np.where(sent, share * weight[np.arange(n), offer] / c, 1 - share)
    return _contacts(user, at, np.where(sent, offer, -1), np.where(sent, channel, -1), propensity)


def _contacts(user: Ints, at: int, offer: Ints, channel: Ints, propensity: Floats) -> Contacts:
    n = len(user)
    return Contacts(
        user.astype(np.int64), np.full(n, at, np.int64), offer.astype(np.int32), channel.astype(np.int32), propensity, np.zeros(n, bool)
    )
