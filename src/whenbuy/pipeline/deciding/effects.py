"""Effects: from a history and what was sent to the two purchase curves of every customer, and to the forecast without action."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import DAY, Bools, Floats, Instants, Ints, Singles
from whenbuy.core.effect import AHEAD, EXPOSURE, Ahead, CurveEffect, Exposure
from whenbuy.core.errors import NotEnoughDataError
from whenbuy.core.examples import Examples, Labels
from whenbuy.core.forecast import TimeToEvent, instants
from whenbuy.core.history import History
from whenbuy.core.keys import Keys
from whenbuy.features import Features, default_features
from whenbuy.features.encode import NAMES, Encode, FittedEncoding, Names
from whenbuy.features.offers import Offers
from whenbuy.models.effect.checks import Check, balance, negative_control, placebo
from whenbuy.models.effect.curve import CurveUplift, CurveUpliftModel, orders_label
from whenbuy.models.effect.propensity import Overlap, deciding, propensities
from whenbuy.models.effect.trial import Trial
from whenbuy.models.trees.arrays import Trees
from whenbuy.models.trees.boosting import Boosting
from whenbuy.pipeline.deciding.exposure import Exposures, exposures
from whenbuy.pipeline.learning.build import examples
from whenbuy.questions import OrderCount
from whenbuy.questions.asked import people

DAYS: Final = (7.0, 14.0, 28.0)
"""Where the stretches of the curves end unless the shop says otherwise."""
OPENED: Final = Boosting("binary", trees=120, learning_rate=0.08, leaves=4, min_leaf=50)
"""How the chance to open on one channel is learned."""
_BEFORE: Final = "the orders before it was sent"
_RARELY: Final = 50
"""Messages that were opened without which a channel's reach is not learned."""


@dataclass(frozen=True, slots=True, eq=False)
class Reach:
    """The chance that a customer opens a message on each channel.

    Parameters
    ----------
    channels
        Their names (c).
    trees
        The chance to open on each of them, from the features (c).
    """

    channels: tuple[str, ...]
    trees: tuple[Trees, ...]

    def chance(self, values: Singles) -> Floats:
        """Return the chance to open on each channel (n x c)."""
        return np.stack([trees.predict(values) for trees in self.trees], axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class OfferEffects:
    """What a shop's offers do, as learned from what was sent.

    Parameters
    ----------
    features, encoding
        What the models read of a customer: features of the log, and attributes as columns of 0 and 1.
    model
        The curves without and with each offer; where messages are seen to be opened, with the offer opened.
    reach
        The chance to open on each channel, where that is known.
    last_sent
        When each offer was last sent (m), UTC microseconds.
    checks
        What was checked of the trial: overlap, balance, placebo, negative control.
    notes
        What the reader should know, in sentences.
    rows
        How many decisions were learned from.
    """

    features: Features
    encoding: FittedEncoding | None
    model: CurveUpliftModel
    reach: Reach | None
    last_sent: Mapping[str, int]
    checks: tuple[Check, ...]
    notes: tuple[str, ...]
    rows: int

    def predict(self, history: History, as_of: int | str | None = None, users: Iterable[str] | None = None) -> CurveEffect:
        """Return both purchase curves of everybody known (or of the users named) as of a moment, for every offer.

        Where the chance to open is known per channel, the arms are called "offer@channel" and an arm's effect is that of the offer once
        opened, times that chance; else they are the offers. Which offers may still be sent is the plan's business: ``ended`` tells which
        were not sent any more lately.

        Raises
        ------
        LeakError
            When the moment lies before what was learned from.
        NotEnoughDataError
            When nobody was known by then.
        """
        keys = history.keys(users, as_of)
        if users is None:
            keys = keys.take(np.flatnonzero(people(history.before(keys))))
        if not len(keys):
            raise NotEnoughDataError("Nobody was known by then.", "An effect needs somebody to speak about.", "Ask as of a later date.")
        asked = _encoded(_asked(history, self.features, keys), self.encoding)
        asked = replace(asked, blocks={**asked.blocks, AHEAD: _ahead(history, keys.cutoff, self.model.days)})
        found = self.model.predict(asked)
        return found if self.reach is None else _by_channel(found, self.reach.channels, self.reach.chance(asked.table.values))

    def opens(self, history: History, as_of: int | str | None = None, users: Iterable[str] | None = None) -> Floats:
        """Return the chance that each user opens a message on each channel (n x c); every message is, where nothing is known."""
        keys = history.keys(users, as_of)
        if self.reach is None:
            return np.ones((len(keys), 1))
        return np.clip(self.reach.chance(_encoded(_asked(history, self.features, keys), self.encoding).table.values), 0.0, 1.0)

    def without_action(self, history: History, as_of: int | str | None = None, users: Iterable[str] | None = None) -> TimeToEvent:
        """Return the forecast without action: the curves if nothing is sent from the moment on.

        They were learned from customers who were sent nothing, weighed so that they stand for all; what was sent before the moment goes on
        working, and is in the features (``running`` shows it).
        """
        return self.predict(history, as_of, users).without

    def ended(self, as_of: int, days: float = 90.0) -> tuple[str, ...]:
        """Return the offers that were last sent more than so many days before an instant."""
        return tuple(offer for offer, at in self.last_sent.items() if at < as_of - round(days * DAY))


def fit_effects(
    history: History,
    decisions: pl.DataFrame | None = None,
    as_of: int | str | None = None,
    *,
    days: tuple[float, ...] = DAYS,
    features: Features | None = None,
    learner: CurveUplift | None = None,
    seed: int = 0,
) -> OfferEffects:
    """Return what the offers do, learned from decisions whose windows have closed.

    Where the logged propensities are the same for everybody, chance decided: the shares of the arms are the propensities. Elsewhere they
    are learned from the features, customers for whom only one arm was possible are left out, and where most of an arm would be left out
    its effect is refused. That all reasons for sending are among the features cannot be checked.

    Parameters
    ----------
    decisions
        See ``exposures``; the log's ``shown`` events without it.
    as_of
        Only what was known then is learned from; the log's end by default.
    days
        Where the stretches of the curves end; the last one is the horizon. Rounds should be as far apart.
    features
        The features of a customer; those of the log by default.
    learner
        How the curves are learned.

    Raises
    ------
    NotEnoughDataError
        When nothing was sent, everybody was sent something, an arm is too small, or customers of an arm have nobody like them in another.
    ImmatureError
        When no window has closed.
    """
    end = history.end if as_of is None else history.clock.instant(as_of)
    known = history.cut(end)
    found = exposures(known, decisions, end - round((days[-1] + known.lateness_days) * DAY) + 1)
    spec = features or default_features(known.log)
    train, encoding = _labelled(known, spec, found, days)
    notes, checks = list(found.notes), list[Check]()
    fold = _folds(found.keys.code, seed)
    sent = _exposure(train, found, fold)
    if not found.by_lot:
        overlap = Overlap.of(found.arm, sent.propensity)
        reasons = ", ".join(deciding(train.table.values, train.table.names, found.arm)) if overlap.cut.max() > 0.5 else ""
        overlap.require(("none", *found.offers), reasons)
        rows = np.flatnonzero(overlap.kept)
        checks.append(Check("overlap", True, f"{len(rows):,} of {len(found):,} customers have others like them in the other arms."))
        train, sent, found = train.take(rows), sent.take(rows), found.take(rows)
        notes.append("Chance did not decide who was sent what: effects are right only if the features hold all reasons for sending.")
    reach, sent = _reach(known, train, found, sent)
    train = replace(train, blocks={**train.blocks, EXPOSURE: sent, AHEAD: _ahead(known, train.keys.cutoff, np.array(days))})
    trial = Trial.of(train, orders_label(days[-1]))
    checks += [balance(trial), placebo(trial, seed), negative_control(_before(known, trial, train, days[-1]), _BEFORE)]
    model = (learner or CurveUplift(days, seed=seed)).fit(train)
    gap = _spacing_days(found)
    if gap < days[-1]:
        notes.append(f"Rounds are {gap:g} days apart, the curves reach over {days[-1]:g}: what is sent in the next round is in them.")
    last = {offer: int(found.keys.cutoff[found.arm == k + 1].max()) for k, offer in enumerate(found.offers)}
    return OfferEffects(spec, encoding, model, reach, last, tuple(checks), tuple(notes), len(trial))


def running(history: History, as_of: int | str | None = None, days: float = 28.0) -> pl.DataFrame:
    """Return which offers may be at work on whom: one row per customer and offer shown in the days before a moment and not redeemed.

    Columns: user_id, offer_id, shown_at, days_ago.
    """
    log, end = history.log, history.end if as_of is None else history.clock.instant(as_of)
    schema: dict[str, Any] = {"user_id": pl.String, "offer_id": pl.String, "shown_at": pl.Datetime("us", "UTC"), "days_ago": pl.Float64}
    if "offer_id" not in log.columns or "shown" not in log.kinds:
        return pl.DataFrame(schema=schema)
    seen = (log.known_at < end) & (log.time >= end - round(days * DAY)) & (log.columns["offer_id"].values >= 0)
    parts = {}
    for kind in ("shown", "redeemed"):
        rows = np.flatnonzero(seen & (log.kind == log.code(kind))) if kind in log.kinds else np.empty(0, np.int64)
        owner = np.searchsorted(log.offsets, rows, side="right") - 1
        rows, owner = rows[owner < len(log.users)], owner[owner < len(log.users)]
        parts[kind] = pl.DataFrame({"user": owner, "offer": log.columns["offer_id"].values[rows], "time": log.time[rows]})
    shown = parts["shown"].group_by("user", "offer", maintain_order=True).agg(pl.col("time").max())
    open_ = shown.join(parts["redeemed"], on=["user", "offer"], how="anti", maintain_order="left")
    dictionary = log.columns["offer_id"].dictionary
    assert dictionary is not None
    return pl.DataFrame(
        {
            "user_id": log.users.names(open_["user"].to_numpy().astype(np.int32)),
            "offer_id": dictionary.names(open_["offer"].to_numpy()),
            "shown_at": instants(open_["time"].to_numpy()),
            "days_ago": (end - open_["time"].to_numpy()) / DAY,
        },
        schema=schema,
    )


def _asked(history: History, features: Features, keys: Keys) -> Examples:
    """Return features and attributes as of each key's cutoff."""
    asked = examples(history, features, keys)
    attributes = history.before(keys).attributes()
    return replace(asked, blocks={NAMES: Names.of(attributes.select(pl.col(pl.String, pl.Categorical, pl.Enum, pl.Boolean)))})


def _ahead(history: History, cutoff: Instants, days: Floats) -> Ahead:
    """Return how many public campaigns run on an average day of each stretch after each cutoff (n), as far as they were announced."""
    if history.offers is None or "ends" not in history.offers.table.columns:
        return Ahead(np.zeros((len(cutoff), len(days))))
    begins = "begins" if "begins" in history.offers.table.columns else None
    running, parts = Offers(begins=begins).running(history.offers), []
    each, place = np.unique(cutoff, return_inverse=True)
    for first, last in pairwise((0.0, *days)):
        middays = np.linspace(first, last, 2 * math.ceil(last - first) + 1)[1::2]
        at = each[:, None] + np.round(middays * DAY).astype(np.int64)
        parts.append(running(np.repeat(each, len(middays)), at.ravel()).reshape(at.shape).mean(axis=1))
    return Ahead(np.stack(parts, axis=1)[place])


def _encoded(asked: Examples, encoding: FittedEncoding | None) -> Examples:
    return asked if encoding is None else encoding.prepare(asked)


def _labelled(history: History, features: Features, found: Exposures, days: tuple[float, ...]) -> tuple[Examples, FittedEncoding | None]:
    """Return the examples of all decisions with the orders until each day, and how attributes are read."""
    asked, past = _asked(history, features, found.keys), history.before(found.keys)
    labels: dict[str, Labels] = {
        orders_label(day): OrderCount(day).label(past, history.within(found.keys, day)) for day in days
    }  # fmt: skip
    asked = replace(asked, labels=labels)
    names = asked.block(NAMES, Names)
    if not names.columns:
        return asked, None
    encoding, told = Encode(columns=dict.fromkeys(_own(names, found), "skip"), default="onehot").learn(asked)
    return told, encoding


def _own(names: Names, found: Exposures) -> list[str]:
    """Return the attributes that are most customers' own, such as names and addresses: they teach nothing, and are not to be kept."""
    people = [len(np.unique(found.keys.code[code >= 0])) for code in names.codes.T]
    return [name for name, words, known in zip(names.columns, names.dictionaries, people, strict=True) if len(words) > known / 2]


def _exposure(train: Examples, found: Exposures, fold: Ints) -> Exposure:
    """Return what was sent, with shares as propensities where chance decided, and learned ones elsewhere."""
    m = len(found.offers)
    if not found.by_lot:
        return Exposure(found.offers, found.arm, propensities(train.table.values, found.arm, m, fold))
    chance = np.empty((len(found), m + 1))
    for at in np.unique(found.keys.cutoff):
        rows = found.keys.cutoff == at
        chance[rows] = np.bincount(found.arm[rows], minlength=m + 1) / rows.sum()
    return Exposure(found.offers, found.arm, chance)


def _before(history: History, trial: Trial, train: Examples, days: float) -> Trial:
    """Return the trial with an outcome that no offer can change: the orders of as many days before each decision."""
    keys = train.keys.take(np.flatnonzero(train.label(orders_label(days)).observed))
    keys = replace(keys, cutoff=keys.cutoff - round(days * DAY))
    return replace(trial, outcome=history.within(keys, days).orders().astype(np.float64))


def _reach(history: History, train: Examples, found: Exposures, sent: Exposure) -> tuple[Reach | None, Exposure]:
    """Return the chance to open on each channel and the doses that follow from it; nothing where messages are not seen to be opened."""
    rows = np.flatnonzero((found.arm > 0) & (found.channel >= 0))
    if "opened" not in history.log.kinds or not found.channels or not len(rows):
        return None, sent
    seen = _opened(history, found)
    if seen[rows].sum() < _RARELY:
        return None, sent
    c, grown = len(found.channels), []
    for each in range(c):
        here = rows[found.channel[rows] == each]
        grown.append(OPENED.grow(train.table.values[here], seen[here]))
    reach = Reach(found.channels, tuple(grown))
    chance = np.clip(reach.chance(train.table.values), 0.01, 1.0)
    share = np.bincount(found.channel[rows], minlength=c) / len(rows)
    dose = np.where(found.channel >= 0, chance[np.arange(len(found)), found.channel], 1.0)
    return reach, replace(sent, dose=dose, usual=chance @ share, opened=np.where(found.arm > 0, seen, 0.0).astype(np.float64))


def _opened(history: History, found: Exposures, days: float = 7.0) -> Bools:
    """Return whether each customer opened something within so many days of the decision (n)."""
    return np.asarray(history.within(found.keys, days).orders("opened") > 0)


def _by_channel(found: CurveEffect, channels: tuple[str, ...], chance: Floats) -> CurveEffect:
    """Return the effects of offers once opened as those of offers sent on channels on which they may be opened."""
    names, curves, low, high = [], [], [], []
    for k, offer in enumerate(found.offers):
        for c, channel in enumerate(channels):
            share = chance[:, c : c + 1]
            opened = found.with_offer[k]
            survival = found.without.survival + share * (opened.survival - found.without.survival)
            count = found.without.mean_count + share * (opened.mean_count - found.without.mean_count)
            curves.append(replace(opened, survival=survival, mean_count=count))
            names.append(f"{offer}@{channel}")
            low.append(found.low[:, k] * share[:, 0])
            high.append(found.high[:, k] * share[:, 0])
    return replace(
        found, offers=tuple(names), with_offer=tuple(curves), low=np.stack(low, axis=1), high=np.stack(high, axis=1)
    )  # fmt: skip


def _folds(code: Any, seed: int) -> Ints:
    """Return one of two folds for each row: all rows of a customer are in one."""
    who, place = np.unique(code, return_inverse=True)
    return np.random.default_rng(seed).permutation(np.arange(len(who)) % 2)[place].astype(np.int64)


def _spacing_days(found: Exposures) -> float:
    """Return the shortest time between two rounds, in days; for ever where there is one."""
    rounds = np.unique(found.keys.cutoff)
    return float(np.diff(rounds).min()) / DAY if len(rounds) > 1 else float("inf")


TYPES: Final[dict[str, type]] = {kind.__name__: kind for kind in (OfferEffects, Reach, Check)}
"""What stored effects may be made of, beside the types of features and models."""
