"""Exposures: what was sent to whom, who could have been sent it, and what to log or to try where that is not known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from scipy.special import ndtri

from whenbuy.core.arrays import DAY, Bools, Floats, Instants, Ints
from whenbuy.core.effect import NONE
from whenbuy.core.errors import ColumnError, ImmatureError, NotEnoughDataError, UsageError
from whenbuy.core.history import History
from whenbuy.core.keys import Keys
from whenbuy.models.effect.trial import LEAST
from whenbuy.questions.asked import people

_COLUMNS: Final = ("user_id", "offer_id", "send_at")
_EVEN: Final = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Exposures:
    """Decisions of the past: at each, one customer was sent an offer or nothing.

    Parameters
    ----------
    keys
        Who, and when it was decided (n): what was known before says what the decision could rest on.
    offers, channels
        Names of the offers (m) and of the channels (c; none where they are not logged).
    arm
        0 for nothing, else 1 + position of the offer (n).
    channel
        Position of the channel (n), -1 for none.
    by_lot
        Whether chance alone decided: logged propensities do not depend on the customer.
    logged
        The propensity of what was drawn (n), NaN where it was not logged.
    notes
        What should be known of them, in sentences.
    """

    keys: Keys
    offers: tuple[str, ...]
    channels: tuple[str, ...]
    arm: Ints
    channel: Ints
    by_lot: bool
    logged: Floats
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.arm)

    def take(self, rows: Ints | Bools) -> Exposures:
        """Return some of the decisions."""
        places = np.arange(len(self))[rows]
        return Exposures(
            self.keys.take(places), self.offers, self.channels, self.arm[places], self.channel[places], self.by_lot, self.logged[places],
            self.notes,
        )  # fmt: skip

    def frame(self) -> pl.DataFrame:
        """Return one row per arm: offer, customers, share."""
        count = np.bincount(self.arm, minlength=len(self.offers) + 1)
        return pl.DataFrame({"offer": [NONE, *self.offers], "customers": count, "share": count / max(len(self), 1)})


def exposures(history: History, decisions: pl.DataFrame | None = None, until: int | None = None) -> Exposures:
    """Return the decisions that can teach what offers do.

    Parameters
    ----------
    history
        The shop.
    decisions
        What the shop decided, as ``whenbuy plan`` writes it: ``user_id``, ``offer_id`` ("none" or nothing where nothing was sent),
        ``send_at``, and where known ``channel`` and ``propensity``. Without it the ``shown`` events of the log are read: everybody who was
        known on a day on which an offer was shown counts as decided upon, and who was not shown one as left alone.
    until
        Only decisions before this instant; the log's end by default.

    Raises
    ------
    NotEnoughDataError
        When nothing was ever sent, or everybody was sent something.
    ColumnError
        When a column of the decisions is missing.
    """
    end = history.end if until is None else until
    found = _of_log(history, end) if decisions is None else _of_decisions(history, decisions, end)
    if not (found.arm > 0).any():
        raise NotEnoughDataError(
            "No customer was ever sent an offer that the log knows of.",
            "Log an event of the kind 'shown' with its offer_id (and channel) whenever a customer is shown an offer, 'redeemed' when she "
            "uses it, and keep the decisions with their propensities.",
            "Begin with a pilot by lot: whenbuy.pipeline.deciding.exposure.pilot says how many customers it takes.",
        )
    return _known_arms(found)


def _known_arms(found: Exposures) -> Exposures:
    """Return the decisions without offers that hardly anybody got; refuse where nobody was left alone."""
    count = np.bincount(found.arm, minlength=len(found.offers) + 1)
    if count[0] < LEAST:
        raise NotEnoughDataError(
            f"Of {len(found):,} customers decided upon {count[0]} were left alone: the offers went to everybody.",
            f"What an offer adds is seen against at least {LEAST} customers like the others who were sent nothing.",
            "Leave a share drawn by lot alone next time (--hold-out 10%).",
        )
    kept = np.flatnonzero(count[1:] >= LEAST)
    if not len(kept):
        raise NotEnoughDataError(
            f"The offer most often sent went to {count[1:].max(initial=0)} customers.",
            f"At least {LEAST} are needed.",
            "Send it to more, by lot.",
        )
    few = [
        f"{found.offers[k]!r} was sent to {count[k + 1]} customers: too few to learn what it does."
        for k in range(len(found.offers))
        if k not in kept
    ]
    place = np.full(len(found.offers) + 1, -1, np.int64)
    place[0], place[kept + 1] = 0, np.arange(1, len(kept) + 1)
    arm = place[found.arm]
    told = found.take(arm >= 0)
    return Exposures(
        told.keys, tuple(found.offers[k] for k in kept), found.channels, arm[arm >= 0], told.channel, found.by_lot, told.logged,
        (*found.notes, *few),
    )  # fmt: skip


def _of_decisions(history: History, decisions: pl.DataFrame, end: int) -> Exposures:
    if absent := [name for name in _COLUMNS if name not in decisions.columns]:
        raise ColumnError(
            f"The decisions have no column {', '.join(absent)}; they have {', '.join(decisions.columns)}.",
            f"They need {', '.join(_COLUMNS)}.", "Rename their columns.",
        )  # fmt: skip
    table = decisions.with_columns(
        at=pl.col("send_at").cast(pl.Datetime("us")).cast(pl.Int64),
        offer=pl.col("offer_id").cast(pl.String).fill_null(NONE),
        by=pl.col("channel").cast(pl.String) if "channel" in decisions.columns else pl.lit(None, pl.String),
        chance=pl.col("propensity").cast(pl.Float64) if "propensity" in decisions.columns else pl.lit(None, pl.Float64),
    ).filter(pl.col("at") < end)
    code = history.log.users.codes(table["user_id"].cast(pl.String).to_list())
    known = np.flatnonzero(code >= 0)
    notes = [f"{len(code) - len(known):,} decisions are about customers whom the log does not know."] if len(known) < len(code) else []
    table, code = table[known], code[known]
    keys = Keys("user", code.astype(np.int32), table["at"].to_numpy(), history.log.users)
    offers = tuple(sorted(set(table["offer"].unique().to_list()) - {NONE}))
    channels = tuple(sorted(table["by"].drop_nulls().unique().to_list()))
    arm, by = _places(table["offer"], (NONE, *offers)), _places(table["by"], channels)
    chance = table["chance"].fill_null(float("nan")).to_numpy()
    by_lot = _even(chance, arm, by, keys.cutoff)
    if np.isfinite(chance).all() and len(chance) and (chance >= 1 - _EVEN).all():
        notes.append("Every decision was made with certainty (propensity 1): chance decided nothing.")
    return Exposures(keys, offers, channels, arm, by, by_lot, chance, tuple(notes))


def _of_log(history: History, end: int) -> Exposures:
    """Return the decisions that ``shown`` events tell of: one per round (a day on which offers were shown) and customer known then."""
    log = history.log
    rows = np.flatnonzero((log.kind == log.code("shown")) & (log.time < end))
    if not len(rows) or "offer_id" not in log.columns:
        none = np.empty(0, np.int64)
        return Exposures(Keys("user", none.astype(np.int32), none, log.users), (), (), none, none, False, np.empty(0))
    offer, dictionary = log.columns["offer_id"].values[rows], log.columns["offer_id"].dictionary
    by = log.columns.get("channel")
    owner = np.searchsorted(log.offsets, rows, side="right") - 1
    inside = (owner < len(log.users)) & (offer >= 0)
    rows, offer, owner = rows[inside], offer[inside], owner[inside]
    midnight = history.clock.midnight_before(log.time[rows])
    days, count = np.unique(midnight, return_counts=True)
    keys = history.panel(days[count >= min(LEAST, int(count.max(initial=0)))])
    keys = keys.take(np.flatnonzero(people(history.before(keys))))
    table = pl.DataFrame({"code": owner.astype(np.int32), "cutoff": midnight, "offer": offer})
    table = table.with_columns(by=pl.Series(by.values[rows] if by is not None else np.full(len(rows), -1, np.int32)))
    asked = pl.DataFrame({"code": keys.code, "cutoff": keys.cutoff})
    joined = asked.join(
        table.unique(["code", "cutoff"], keep="first", maintain_order=True), ["code", "cutoff"], "left", maintain_order="left"
    )
    assert dictionary is not None
    names = dictionary.names(joined["offer"].fill_null(-1).to_numpy()).fill_null(NONE)
    channel = pl.Series([None] * len(keys), dtype=pl.String)
    if by is not None and by.dictionary is not None:
        channel = by.dictionary.names(joined["by"].fill_null(-1).to_numpy())
    offers = tuple(sorted(set(names.unique().to_list()) - {NONE}))
    channels = tuple(sorted(channel.drop_nulls().unique().to_list()))
    notes = ("Propensities were not logged: who was sent what is explained by features, which may not be the whole reason.",)
    return Exposures(
        keys, offers, channels, _places(names, (NONE, *offers)), _places(channel, channels), False, np.full(len(keys), np.nan), notes
    )


def _places(names: pl.Series, known: tuple[str, ...]) -> Ints:
    table = pl.DataFrame({"name": pl.Series(list(known), dtype=pl.String), "place": np.arange(len(known), dtype=np.int64)})
    found = names.alias("name").to_frame().join(table, on="name", how="left", maintain_order="left")["place"]
    return found.fill_null(-1).to_numpy().astype(np.int64)


def _even(chance: Floats, arm: Ints, channel: Ints, at: Instants) -> bool:
    """Return whether logged propensities are the same for everybody who was decided upon at one time and sent the same."""
    if not len(chance) or not np.isfinite(chance).all() or chance.max() >= 1 - _EVEN:
        return False
    table = pl.DataFrame({"at": at, "arm": arm, "channel": channel, "chance": chance})
    spread = table.group_by("at", "arm", "channel").agg((pl.col("chance").max() - pl.col("chance").min()).alias("spread"))
    return bool((spread["spread"] < _EVEN).all())


@dataclass(frozen=True, slots=True)
class Pilot:
    """A trial by lot that is large enough.

    Parameters
    ----------
    per_arm
        Customers in each arm, "none" among them.
    arms
        How many arms, "none" among them.
    horizon_days
        How long to wait before it is judged.
    orders
        Orders per customer to be expected in that time.
    uplift
        Extra orders per customer that it would show.
    power, level
        With which chance it would show them, and with which it would show something where there is nothing (one-sided).
    """

    per_arm: int
    arms: int
    horizon_days: float
    orders: float
    uplift: float
    power: float
    level: float

    @property
    def customers(self) -> int:
        """All customers that take part."""
        return self.per_arm * self.arms

    def words(self) -> str:
        """Return the proposal in a sentence."""
        return (
            f"Draw {self.customers:,} customers by lot into {self.arms} equal arms of {self.per_arm:,}, one of which is sent nothing, and "
            f"wait {self.horizon_days:g} days: an offer that adds {self.uplift:.3g} orders to the usual {self.orders:.3g} is then seen "
            f"with a chance of {100 * self.power:.0f} %."
        )


def pilot(
    history: History, offers: int = 1, *, as_of: int | str | None = None, horizon_days: float = 28.0, rise: float = 0.1, power: float = 0.8,
    level: float = 0.05,
) -> Pilot:  # fmt: skip
    """Return how large a trial by lot must be to show that an offer raises orders by a share.

    n = (z(1 - level) + z(power))² (σ₀² + σ₁²) / uplift² per arm, the variance being that of the orders per customer in the last whole
    horizon, and growing with the mean (Lehr 1992 is the case of two equal variances).

    Parameters
    ----------
    offers
        How many offers are tried at once.
    rise
        The smallest rise that should be seen, as a share of the orders without an offer.

    Raises
    ------
    UsageError
        When a number is out of its range.
    ImmatureError
        When the log is shorter than the horizon.
    NotEnoughDataError
        When nobody bought in the last horizon.
    """
    if offers < 1 or not rise > 0 or not 0 < power < 1 or not 0 < level < 0.5 or horizon_days <= 0:
        raise UsageError(
            f"A pilot was asked for: offers={offers}, rise={rise:g}, power={power:g}, level={level:g}, {horizon_days:g} days.",
            "At least one offer, a rise and days above 0, a power between 0 and 1, a level between 0 and .5.", "Change the numbers.",
        )  # fmt: skip
    end = history.end if as_of is None else history.clock.instant(as_of)
    start = end - round((horizon_days + history.lateness_days) * DAY)
    if not len(history.log) or start <= history.log.start:
        raise ImmatureError(
            f"The log is shorter than {horizon_days:g} days.", "A pilot is planned from the orders of one horizon.", "Choose a shorter one."
        )
    keys = history.keys(as_of=start)
    keys = keys.take(np.flatnonzero(people(history.before(keys))))
    orders = history.within(keys, horizon_days).orders().astype(float)
    if not len(orders) or not orders.any():
        raise NotEnoughDataError(
            f"None of {len(orders):,} customers bought in {horizon_days:g} days.",
            "A pilot is planned from what is bought.",
            "Lengthen the horizon.",
        )
    mean, variance, rises = float(orders.mean()), float(orders.var()), rise * float(orders.mean())
    z = float(ndtri(1 - level) + ndtri(power))
    per_arm = math.ceil(z**2 * variance * (2 + rise) / rises**2)
    return Pilot(per_arm, offers + 1, horizon_days, mean, rises, power, level)
