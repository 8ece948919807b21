"""Random campaigns, customers and effects, for the tests of plans."""

from datetime import date, timedelta

import numpy as np
import polars as pl

from whenbuy.core.arrays import DAY
from whenbuy.core.clock import Clock
from whenbuy.core.decision import Budget, Channel, Offer
from whenbuy.core.effect import CurveEffect
from whenbuy.core.forecast import TimeToEvent
from whenbuy.core.keys import Keys
from whenbuy.core.log import Dictionary
from whenbuy.decide.campaign import Campaign, Orders
from whenbuy.decide.guards import Guards, Reachable

MADE_AT = 19_800 * DAY
ZONES = (None, "UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Auckland")


def effect(n, arms, days=28, seed=0, size=0.1, cutoff=MADE_AT):
    """Curves of n customers without and with each arm: rates that differ, offers that add, pull forward or do harm."""
    rng = np.random.default_rng(seed)
    names = Dictionary(pl.Series([f"u{i}" for i in range(n)], dtype=pl.String))
    keys = Keys("user", np.arange(n, dtype=np.int32), np.full(n, cutoff, np.int64), names)
    grid = np.arange(1.0, days + 1)
    hazard = rng.gamma(1.0, 0.03, (n, 1)) * rng.uniform(0.5, 1.5, (n, days)) + 1e-4
    more = rng.uniform(1.0, 1.6, (n, 1))
    without = TimeToEvent.of(keys, grid, np.exp(-np.cumsum(hazard, 1)), np.cumsum(hazard * more, 1), "test")
    curves = []
    for _ in arms:
        factor = np.where(grid <= 7, rng.uniform(0.6, 2.5, (n, 1)), rng.uniform(0.7, 1.05, (n, 1)))
        curves.append(TimeToEvent.of(keys, grid, np.exp(-np.cumsum(hazard * factor, 1)), np.cumsum(hazard * more * factor, 1), "test"))
    middle = np.stack([curve.mean_count[:, -1] - without.mean_count[:, -1] for curve in curves], 1)
    return CurveEffect(keys, tuple(arms), without, tuple(curves), middle - size, middle + size, "test")


def reachable(n, channels, rng, contacts=0, consent=0.8, zones=ZONES):
    owner = rng.integers(0, n, contacts)
    return Reachable(
        rng.random((n, channels)) < consent, pl.Series([zones[i] for i in rng.integers(0, len(zones), n)], dtype=pl.String),
        owner, MADE_AT - rng.integers(0, 14 * DAY, contacts),
    )  # fmt: skip


def random_case(seed, most=12):
    """One random instance: campaign, orders, effect and who can be reached."""
    rng = np.random.default_rng(seed)
    n, days = int(rng.integers(1, most + 1)), int(rng.integers(1, 9))
    channels = tuple(_channel(rng, name) for name in ("email", "sms", "push")[: rng.integers(1, 4)])
    made_at = MADE_AT + int(rng.integers(0, 24)) * DAY // 24
    today = date(1970, 1, 1) + timedelta(days=19_800)
    offers = tuple(_offer(rng, f"o{k}", channels, today) for k in range(rng.integers(1, 4)))
    while all(one.ends is not None or one.starts is not None for one in offers):  # at least one runs
        offers = (Offer("o0", discount=0.1), *offers[1:])
    budget = Budget(float(rng.choice([np.inf, 0.0, *rng.gamma(1.0, 3.0, 4)])), float(rng.choice([np.inf, np.inf, *rng.integers(0, 8, 3)])))
    guards = Guards(rng.choice([0.0, 0.1, 0.5]), rng.choice([0.0, 0.0, 0.2]), int(rng.choice([0, 1, 1, 2, 2])), float(rng.uniform(1, 10)))
    campaign = Campaign(offers, channels, budget, guards, made_at, Clock(str(rng.choice(["UTC", "Europe/Berlin"]))), days, seed)
    found = effect(n, [one.id for one in offers], 10, seed, cutoff=made_at)
    orders = Orders(found.keys.ids(), rng.gamma(4.0, 20.0, n), np.ones((n, len(offers))), float(rng.uniform(0.1, 0.9)))
    return campaign, orders, found, reachable(n, len(channels), rng, int(rng.integers(0, 2 * n)))


def _channel(rng, name):
    quiet_from, quiet_until = (int(rng.integers(0, 24)) * 60 for _ in range(2))
    at = quiet_until if quiet_from != quiet_until else int(rng.integers(0, 1440))
    most = None if rng.random() < 0.6 else int(rng.integers(0, 6))
    return Channel(name, float(rng.choice([0.0, 0.02, 0.5])), float(rng.uniform(0.3, 1)), most, at, quiet_from, quiet_until)


def _offer(rng, name, channels, today):
    ends = None if rng.random() < 0.8 else today + timedelta(days=int(rng.integers(-3, 6)))
    return Offer(
        name, discount=float(rng.choice([0.0, 0.1, 0.3])), cost=float(rng.choice([0.0, 2.0])), valid_days=float(rng.uniform(1, 14)),
        once=bool(rng.random() < 0.5), channels=() if rng.random() < 0.7 else (channels[0].name,), ends=ends,
        starts=None if rng.random() < 0.8 or ends else today + timedelta(days=int(rng.integers(0, 4))),
        stock=None if rng.random() < 0.6 else int(rng.integers(0, 5)),
    )  # fmt: skip
