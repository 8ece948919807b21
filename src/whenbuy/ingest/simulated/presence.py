"""Whether somebody is still there, and if not, why: what a silence says in the shop that treats its customers well or badly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import betaln

from whenbuy.core.arrays import DAY, Bools, Floats, Instants, Ints
from whenbuy.ingest.simulated.care import CAUSES, Care
from whenbuy.ingest.simulated.parameters import Population
from whenbuy.ingest.simulated.personal import PersonalTime


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What the past of some keys says (n each).

    Parameters
    ----------
    user, cutoff, born, last
        Who, as of when; her first visit and her last sign of life.
    purchases, visits, asks
        Purchases after her first visit, visits without one, unprompted enquiries.
    sent, opened
        Messages until her last sign of life, and how many of all she opened.
    gone
        Whether she has unsubscribed.
    pair, at, fatal
        Of each episode from her last sign of life on (m): whose, when, and the chance to leave by each of CAUSES (m x 5).
    ignored, quiet
        Whether it is a message, a price rise, that came after that sign (m).
    plan
        Her message plan.
    own
        The shop time of each user.
    """

    user: Ints
    cutoff: Instants
    born: Instants
    last: Instants
    purchases: Ints
    visits: Ints
    asks: Ints
    sent: Ints
    opened: Ints
    gone: Bools
    pair: Ints
    at: Instants
    fatal: Floats
    ignored: Bools
    quiet: Bools
    plan: Ints
    own: PersonalTime


@dataclass(frozen=True, slots=True, eq=False)
class Presence:
    """P(still there) (n), P(left for each cause, or for none that the shop can change) (n x 6), and the messages ignored since (n)."""

    here: Floats
    causes: Floats
    ignored: Ints


def presence(seen: Seen, law: Care, people: Population) -> Presence:
    """Return whether each key is still there.

    Compared are, by how well they explain the silence since her last sign of life: she is there; she left at one of the troubles or
    messages since; she left at some moment for reasons of her own, with density -d/ds (scale / (scale + s)) ** shape in shop time. While
    she is there a silence of s is as likely as (b / (b + s)) ** a for each gamma-Poisson process whose posterior is Gamma(a, b), and k
    ignored messages as B(a, b + k) / B(a, b).
    """
    n = len(seen.user)
    born = seen.own.of_instants(seen.born, seen.user)
    days = int(np.max((seen.cutoff - seen.last) // DAY, initial=0)) + 1
    edges = np.maximum(seen.cutoff[:, None] - np.arange(days, -1, -1)[None, :] * DAY, seen.last[:, None])
    since = seen.own.of_instants(edges, np.broadcast_to(seen.user[:, None], edges.shape)) - born[:, None]
    middle = (since[:, 1:] + since[:, :-1]) / 2
    halfway = (edges[:, 1:] + edges[:, :-1]) // 2
    rows = np.lexsort((seen.at, seen.pair))
    pair, at, fatal = seen.pair[rows], seen.at[rows], seen.fatal[rows]
    start = np.searchsorted(pair, np.arange(n))
    stays = np.log1p(-fatal).sum(axis=1)
    after = _running(stays, pair, start)
    ignored, quiet = (_running(flags[rows].astype(np.float64), pair, start) for flags in (seen.ignored, seen.quiet))
    silence = _Silence.of(seen, law, people, born)
    scale, shape = people.leaving_scale_days, people.leaving_shape

    def leaves_not(s: Floats) -> Floats:
        return np.asarray((scale / (scale + s)) ** shape)

    at_shop = seen.own.of_instants(at, seen.user[pair]) - born[pair]
    spoken = silence(pair, at_shop, at, ignored, quiet)
    each = leaves_not(at_shop) * np.exp(after - stays + spoken)
    causes = np.zeros((n, len(CAUSES) + 1))
    through = np.ones(len(pair))
    for cause in range(len(CAUSES)):
        causes[:, cause] = np.bincount(pair, each * through * fatal[:, cause], minlength=n)
        through = through * (1 - fatal[:, cause])
    place = _place(pair, at, seen, halfway)
    keys = np.broadcast_to(np.arange(n)[:, None], middle.shape)
    told = [np.concatenate([[0.0], values])[np.where(place > start[:, None], place, 0)] for values in (after, ignored, quiet)]
    weight = np.exp(told[0] + silence(keys, middle, halfway, told[1], told[2]))
    causes[:, -1] = ((leaves_not(since[:, :-1]) - leaves_not(since[:, 1:])) * weight).sum(axis=1)
    count = np.bincount(pair, minlength=n)
    final = start + count
    whole = [np.where(count > 0, np.concatenate([[0.0], values])[final], 0.0) for values in (after, ignored, quiet)]
    now = since[:, -1]
    here = leaves_not(now) * np.exp(whole[0] + silence(np.arange(n), now, seen.cutoff, whole[1], whole[2]))
    evidence = here + causes.sum(axis=1)
    return Presence(here / evidence, causes / evidence[:, None], whole[1].astype(np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class _Silence:
    """How likely silences are, given what was seen until the last sign of life."""

    seen: Seen
    law: Care
    power: Floats
    scale: Floats
    start: Floats

    @classmethod
    def of(cls, seen: Seen, law: Care, people: Population, born: Floats) -> _Silence:
        """Return what is needed to judge silences."""
        last = seen.own.of_instants(seen.last, seen.user) - born
        lived = (seen.last - seen.born) / DAY
        power = np.stack([people.rate_shape + seen.purchases, people.visit_shape + seen.visits, law.asks_shape + seen.asks], axis=1)
        rates = (people.rate_shape / people.rate_mean, people.visit_shape / people.visit_mean, law.asks_shape / law.asks_per_day)
        scale = np.array(rates) + np.stack([last, last, lived], axis=1)
        return cls(seen, law, power, scale, last)

    def __call__(self, key: Ints, shop: Floats, instant: Instants, ignored: Floats, quiet: Floats) -> Floats:
        """Return the logarithm of the likelihood of each key's silence until a moment, with so many messages and price rises in it."""
        seen, law = self.seen, self.law
        longer = np.maximum(shop - self.start[key], 0)
        found = np.zeros(shop.shape)
        for place, more in enumerate((longer, longer, (instant - seen.last[key]) / DAY)):
            scale = self.scale[key, place]
            found += self.power[key, place] * np.log(scale / (scale + more))
        a, b = law.open_shape[0] + seen.opened[key], law.open_shape[1] + (seen.sent - seen.opened)[key]
        found += betaln(a, b + ignored) - betaln(a, b)
        found += ignored * np.log1p(-np.array(law.unsubscribes))[seen.plan[key]]
        return np.asarray(found + quiet * np.log1p(-law.asks_after[0]))


def _running(values: Floats, pair: Ints, start: Ints) -> Floats:
    """Return the running sum of each key's values."""
    whole = np.concatenate([[0.0], np.cumsum(values)])
    return np.asarray(whole[1:] - whole[start[pair]])


def _place(pair: Ints, at: Instants, seen: Seen, moment: Instants) -> Ints:
    """Return behind how many episodes, in the order of keys, each moment of each key lies (n x d)."""
    base, order = int(seen.last.min(initial=0)), float(2**52)
    key = np.arange(len(moment))[:, None]
    return np.searchsorted(pair * order + (at - base), key * order + (moment - base), side="right")
