"""The simulated shop: a log like a real one, and beside it the truth that no real log tells."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import DAY, MISSING, Codes, Floats
from whenbuy.core.clock import Clock
from whenbuy.core.errors import NotFoundError, UsageError
from whenbuy.core.forecast import TimeToEvent, instants
from whenbuy.core.history import History
from whenbuy.core.keys import Keys
from whenbuy.core.log import CODED, KINDS, ORDERS, SCALES, Column, Dictionary, EventLog, order_by_time
from whenbuy.core.profile import Profile
from whenbuy.ingest.simulated.calendar import BEYOND_DAYS, ShopTime, offers
from whenbuy.ingest.simulated.care import TOPICS
from whenbuy.ingest.simulated.contacts import Audience, Contacts, draw_contacts, warped
from whenbuy.ingest.simulated.foreseen import Foreseen, Ledger
from whenbuy.ingest.simulated.lived import CARED_KINDS, COUPON, Lived, draw_cared, further_rows, live, settle
from whenbuy.ingest.simulated.parameters import Parameters, Promotion
from whenbuy.ingest.simulated.people import (
    Points,
    births_without_purchase,
    clocks,
    draw_people,
    draw_purchases,
    draw_visits,
    moments,
    names,
)
from whenbuy.ingest.simulated.personal import PersonalTime
from whenbuy.ingest.simulated.promotions import Promotions
from whenbuy.ingest.simulated.rows import CHANNELS, TEXTS, Catalogue, Rows, Till, bots, delay, lose, repeat, together
from whenbuy.ingest.simulated.truth import Ahead, AsItWas, Posterior, WhatIf, latent_truth, people_of, posterior_truth
from whenbuy.ingest.simulated.worth import NothingSent, OfferTruth, offer_truth, offered_curves

PROMOTION: Final = "promotion"
"""The offer_id of the personal promotion that a shop tries by lot."""


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedShop:
    """A shop whose laws are known.

    Parameters
    ----------
    history
        What a merchant would have: the log, and profiles of users (price class, region), items, and public campaigns (offers).
    people
        What nobody can see, one row per user: her rate, gap shape, when she left, her tastes (see draw_people).
    parameters
        The laws.
    decisions
        Where the shop sends offers in rounds: what it decided for whom, as it would log it (see Contacts.frame); None elsewhere.
    """

    history: History
    people: pl.DataFrame
    parameters: Parameters
    decisions: pl.DataFrame | None
    _time: ShopTime
    _own: PersonalTime
    _contacts: Contacts
    _purchases: Points
    _visits: Points
    _lived: Lived | None = None

    @property
    def sha256(self) -> str:
        """The hash of the laws: results on shops with the same one can be compared."""
        return self.parameters.sha256

    def truth(
        self, keys: Keys, grid_days: Floats, *, promoted: bool | None = None, promotion: Promotion | None = None,
    ) -> TimeToEvent:  # fmt: skip
        """Return the best curves of the next purchase that anybody could forecast.

        They are the average over all that cannot be seen (rate, gap shape, leaving) given all that was seen before each cutoff, under
        the true laws: calibrated, and beaten by nobody. See ``whenbuy.ingest.simulated.truth`` for what counts as seen and why.

        Parameters
        ----------
        keys
            Users and cutoffs, at midnights.
        grid_days
            Days after the cutoff (g), rising.
        promoted
            None: as it was. True: as if every key got a personal promotion at her cutoff. False: as if nobody had one from then on. The
            difference of the last two is the true effect of the promotion on each customer. Where offers are sent in rounds False means
            that nothing is sent any more; what one of them adds is said by ``offered`` and ``offer_truth``.
        promotion
            Which promotion; the one of the parameters by default.

        Raises
        ------
        UsageError
            When a key was not seen before her cutoff, the grid leaves the shop's calendar, or there is no promotion to speak of.
        """
        user, ahead = people_of(keys, self.people), self._what_if(keys, promoted, promotion)
        return posterior_truth(keys, grid_days, user, self._posterior(), ahead)

    def latent_truth(
        self, keys: Keys, grid_days: Floats, *, promoted: bool | None = None, promotion: Promotion | None = None,
    ) -> TimeToEvent:  # fmt: skip
        """Return the curves for somebody who knew each user's rate, gap shape and when she leaves: for oracles. As ``truth`` otherwise."""
        user, ahead = people_of(keys, self.people), self._what_if(keys, promoted, promotion)
        return latent_truth(keys, grid_days, user, self.people, self.parameters, self._own, self._purchases, ahead)

    def offered(self, keys: Keys, grid_days: Floats, offer: str, channel: str) -> TimeToEvent:
        """Return the true curves as if every key were sent one offer at her cutoff on one channel, and nothing else from then on.

        Raises
        ------
        UsageError
            As for ``truth``, or when the shop sends no offers in rounds.
        NotFoundError
            When it has no such offer or channel.
        """
        law, user = self._law(), people_of(keys, self.people)
        places = (_position(law.offers, offer, "offer"), _position(law.channels, channel, "channel"))
        return offered_curves(keys, grid_days, user, *places, self._posterior(), self._audience(law), self._contacts)

    def offer_truth(self, keys: Keys, send_days: tuple[float, ...] = (0.0,), horizon_days: float = 42.0) -> OfferTruth:
        """Return what every offer would truly be worth to every key, on each channel, sent so many days after her cutoff.

        Its ``best_plan(budget)`` is the oracle's plan, and ``earned`` the true profit of any other. An offer is judged by the orders until
        ``horizon_days`` after the cutoff: what comes back later is not seen, so the horizon should reach beyond the last send day by the
        time for which an offer works and is paid back.

        Raises
        ------
        UsageError
            As for ``truth``, when the shop sends no offers in rounds, or a send day does not lie within the horizon.
        """
        law, user = self._law(), people_of(keys, self.people)
        if not send_days or min(send_days) < 0 or max(send_days) >= horizon_days:
            raise UsageError(
                f"Offers were to be sent after {', '.join(f'{day:g}' for day in send_days) or 'no'} days, judged after {horizon_days:g}.",
                "Send days lie between the cutoff and the horizon.", "Change them, or lengthen the horizon.",
            )  # fmt: skip
        return offer_truth(keys, user, send_days, horizon_days, self._posterior(), self._audience(law), self._contacts, self.order_value)

    def foreseen(self, keys: Keys, horizon_days: int = 28, *, dwell_above_s: float = 120.0) -> Foreseen:
        """Return the best chances that anybody could give for what every key will do within so many days of her cutoff.

        Whether she is active, contacts the service, is refunded, opens a message, follows its link or unsubscribes; whether she stays
        longer than ``dwell_above_s`` seconds on her next visit; whether she is lost and why. See ``whenbuy.ingest.simulated.foreseen``.

        Raises
        ------
        UsageError
            As for ``truth``, or when the shop has no laws about how it treats its customers.
        """
        if (law := self.parameters.care) is None or self._lived is None:
            raise UsageError(
                "The truth was asked how customers are treated, and this shop has no laws about it.", "It must have them.",
                "Simulate with Parameters.frozen('service').",
            )  # fmt: skip
        user, points = people_of(keys, self.people), (self._purchases, self._visits)
        ledger = Ledger.of(self.people, self.parameters, law, self._own, points, self._lived, self.history)
        return ledger.foreseen(user, keys.cutoff, horizon_days, dwell_above_s)

    @property
    def order_value(self) -> float:
        """What an order without an offer was worth on average: money, in the shop's currency."""
        log = self.history.log
        orders, amount = log.columns[ORDERS].values, log.columns["amount"]
        plain = (amount.values != MISSING) & (log.kind == log.code("purchase"))
        if "offer_id" in log.columns:
            plain &= log.columns["offer_id"].values < 0
        return float(amount.values[plain].sum() / max(int(orders[plain].sum()), 1) / amount.scale)

    def _law(self) -> Promotions:
        if (law := self.parameters.promotions) is None:
            raise UsageError(
                "The truth was asked about offers, and this shop sends none in rounds.", "It must do so.",
                "Simulate with Parameters.frozen('promotions').",
            )  # fmt: skip
        return law

    def _audience(self, law: Promotions) -> Audience:
        return Audience.of(self.people, self.parameters, law)

    def _posterior(self) -> Posterior:
        return Posterior.of(self.people, self.parameters, self._own, self._purchases, self._visits)

    def _what_if(self, keys: Keys, promoted: bool | None, promotion: Promotion | None) -> Ahead:
        if promoted is None:
            return AsItWas(self._own)
        if (law := self.parameters.promotions) is not None and not promoted:
            return NothingSent.of(self._own, self._audience(law), self._contacts, keys.cutoff)
        chosen = promotion or self.parameters.promotion
        if promoted and chosen is None:
            raise UsageError(
                "The truth was asked about a promotion, and this shop has none.", "It must be said which.",
                "Pass promotion=Promotion(…), or simulate with Parameters.frozen('promotion').",
            )  # fmt: skip
        return WhatIf.of(self._own, self.people, self.parameters, self._time, chosen if promoted else None)

    def __repr__(self) -> str:
        return f"SimulatedShop({len(self.people)} users, {len(self.history.log)} events, parameters {self.sha256[:12]})"


def simulate(
    users: int = 2000, days: int = 364, seed: int = 0, parameters: Parameters | None = None, *, dirty: bool = False,
) -> SimulatedShop:  # fmt: skip
    """Return a shop of so many users and days.

    A user appears with her first visit (at a time that follows the shop's calendar, often a purchase), then buys with gamma gaps around
    her own rate and looks in between, until she leaves. Everything runs in shop time: faster on Saturdays, before Christmas, in
    campaigns and at low prices. The same arguments give the same bytes. Memory is about 250 B per event while it is made.

    Parameters
    ----------
    users
        How many users come; all are seen before the log ends.
    days
        Length of the log in days, from the first day of the parameters on (UTC).
    seed
        What chance starts from.
    parameters
        The laws; the frozen ones when absent. ``Parameters.frozen("retailrocket")`` with 1,407,580 users and 137 days has the size of
        that data: 2.76 million events.
    dirty
        Whether some rows are sent twice and bots visit (as further users without a truth).

    Raises
    ------
    UsageError
        When there is no user or no day.
    """
    if users < 1 or not 1 <= days <= 36_500 or seed < 0:
        raise UsageError(
            f"A shop of {users} users and {days} days with seed {seed} was asked for.",
            "It needs at least one user, 1 to 36,500 days and a seed from 0 on.",
            "Change the numbers.",
        )
    laws = Parameters.frozen() if parameters is None else parameters
    streams = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(8)]
    time = ShopTime.of(laws, days)
    end = time.start + days * DAY
    people = draw_people(users, laws, time, days, streams[0])
    far = end if laws.promotions is None else end + BEYOND_DAYS // 2 * DAY
    purchases = draw_purchases(people, laws, time, far, streams[1])
    visits = draw_visits(people, laws, time, far, streams[2])
    lived = None
    if laws.care is not None:
        people, lived, purchases, visits = live(draw_cared(people, laws.care, streams[7]), laws.care, purchases, visits, end, streams[7])
    own, contacts, decisions = PersonalTime.plain(time, clocks(people, laws)), Contacts.none(), None
    if laws.promotions is not None:
        plain, everybody = own, np.arange(users)
        contacts, own = draw_contacts(people, laws, laws.promotions, time, purchases, end, streams[6])
        purchases, visits = warped(purchases, plain, own, end), warped(visits, plain, own, end)
        left = own.instants(plain.of_instants(moments(people, "left"), everybody), everybody)
        people = people.with_columns(left=instants(left))
        decisions = contacts.frame(people, laws.promotions)
    till = Till(people, laws, time, Catalogue.draw(laws, streams[3]), streams[3], contacts)
    came = np.flatnonzero(births_without_purchase(people))
    births = Points.of(users, came, moments(people, "born")[came])
    parts = till.orders(purchases) + till.visits(visits, births, len(purchases.time)) + till.shown() + till.answers(purchases, streams[6])
    sessions = len(purchases.time) + len(births.time) + len(visits.time)
    if laws.care is not None and lived is not None:
        plain_rows = together(parts)
        settle(lived, plain_rows, people, laws.care, streams[7])
        parts = [plain_rows, *further_rows(lived, plain_rows)]
    rows = lose(together(parts), sessions, laws, streams[4])
    del parts
    log = _log(rows, till, _Sizes(users, days, len(purchases.time), sessions), streams[4], streams[5] if dirty else None)
    known = ["price_class", "region", *(name for name in ("segment", "plan") if name in people.columns)]
    history = History(
        log, Clock(),
        Profile("user", people.select(pl.col("user_id").alias("id"), *known), timeless=True),
        _items(till.catalogue),
        offers(laws, days),
        laws.faults.lateness_days,
    )  # fmt: skip
    return SimulatedShop(history, people, laws, decisions, time, own, contacts, purchases, visits, lived)


def _position(names: tuple[str, ...], name: str, what: str) -> int:
    if name not in names:
        raise NotFoundError(f"The shop has no {what} {name!r}.", f"It has: {', '.join(names)}.", "Name one of them.")
    return names.index(name)


@dataclass(frozen=True, slots=True)
class _Sizes:
    users: int
    days: int
    orders: int
    sessions: int


def _log(rows: Rows, till: Till, size: _Sizes, rng: np.random.Generator, dirt: np.random.Generator | None) -> EventLog:
    """Return the event log of the rows, made dirty where chance for that is given."""
    known_at, users, sessions = delay(rows, till.parameters, rng), size.users, size.sessions
    if dirt is not None:
        rows, known_at = repeat(rows, known_at, till.parameters, dirt)
        machines = together(bots(users, size.days, replace(till, rng=dirt), sessions))
        rows = {name: np.concatenate([values, machines[name]]) for name, values in rows.items()}
        known_at = np.concatenate([known_at, machines["time"]])
        users, sessions = int(machines["user"][-1]) + 1, sessions + users
    end = till.time.start + size.days * DAY
    order = np.lexsort((known_at, rows["user"]))
    order = order[known_at[order] < end]
    count = np.bincount(rows["user"][order], minlength=users)
    offsets = np.concatenate([[0], np.cumsum(count)]).astype(np.int64)
    time, known_at = rows["time"][order], known_at[order]
    if (time == known_at).all():
        time = known_at
    item = rows["item_id"][order]
    columns = {ORDERS: Column(rows["orders"][order])}
    columns |= {name: Column(rows[name][order], scale=scale) for name, scale in SCALES.items()}
    coded, law = _dictionaries(till.catalogue, size.orders, sessions), till.parameters.promotions
    if law is not None:
        coded["channel"] = Dictionary.of([*CHANNELS, *law.channels])
    for name in ("order_id", "session_id", "item_id", "channel", "text"):
        columns[name] = Column(rows[name][order], coded[name])
    columns["category"] = Column(_of_item(till.catalogue.category, item), coded["category"])
    columns["brand"] = Column(_of_item(till.catalogue.brand, item), coded["brand"])
    further: dict[str, Column] = {}
    kinds: tuple[str, ...] = KINDS
    if till.parameters.care is not None:
        columns["offer_id"], kinds = Column(rows["offer_id"][order], Dictionary.of([COUPON])), CARED_KINDS
        further = {"topic": Column(rows["topic"][order], Dictionary.of(TOPICS))}
    elif law is not None or till.parameters.promotion is not None:
        columns["offer_id"] = Column(rows["offer_id"][order], Dictionary.of([PROMOTION] if law is None else law.offers))
    columns["currency"] = Column(np.where(columns["amount"].values == MISSING, -1, 0).astype(np.int32), coded["currency"])
    return EventLog(
        Dictionary(names("u", users, len(str(size.users)))), kinds, offsets, known_at, time, rows["kind"][order],
        {name: columns[name] for name in (ORDERS, *SCALES, *CODED) if name in columns} | further, end,
        None if time is known_at else order_by_time(offsets, time),
    )  # fmt: skip


def _of_item(attribute: Codes, item: Codes) -> Codes:
    return np.where(item >= 0, attribute[item], np.int32(-1)).astype(np.int32)


def _dictionaries(catalogue: Catalogue, orders: int, sessions: int) -> dict[str, Dictionary]:
    kinds, brands = len(catalogue.first) - 1, int(catalogue.brand.max()) + 1
    return {
        "order_id": Dictionary(names("o", orders, 7)),
        "session_id": Dictionary(names("s", sessions, 7)),
        "item_id": Dictionary(names("i", len(catalogue.category), 6)),
        "category": Dictionary(names("c", kinds, 2)),
        "brand": Dictionary(names("b", brands, 2)),
        "channel": Dictionary.of(CHANNELS),
        "text": Dictionary.of(TEXTS),
        "currency": Dictionary.of(["EUR"]),
    }


def _items(catalogue: Catalogue) -> Profile:
    coded = _dictionaries(catalogue, 0, 0)
    table = pl.DataFrame(
        {
            "id": coded["item_id"].ids,
            "category": coded["category"].names(catalogue.category),
            "brand": coded["brand"].names(catalogue.brand),
            "list_price": np.round(catalogue.price, 2),
        }
    )
    return Profile("item", table, timeless=True)
