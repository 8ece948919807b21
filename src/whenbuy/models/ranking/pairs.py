"""What a key and a thing that could be next have to do with each other, as features."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from whenbuy.core.arrays import DAY, Codes, Floats, Instants, Ints, Singles
from whenbuy.core.kernel import kernel
from whenbuy.core.ranking import Shelf, Trails
from whenbuy.models.ranking.reading import log_prices

FEATURES: Final = (
    "own_times", "own_steps_ago", "own_orders_ago", "own_days_ago", "own_strength", "own_gap_days", "steps", "orders", "silent_days",
    "kind_share", "kind_days_ago", "log_price", "log_price_ratio",
)  # fmt: skip
"""The features of a pair, behind those of the voices and before those of the trends."""


def pair_features(trails: Trails, shelf: Shelf, offsets: Ints, item: Codes) -> Singles:
    """Return what each key has to do with each of its candidates (pairs x features): key i's are ``item[offsets[i] : offsets[i + 1]]``.

    ``own_…`` tell of her own steps to the thing, ``kind_…`` of those to things of its kind (the shelf's first attribute); NaN where there
    are none.
    """
    first = next(iter(shelf.attributes.values()), np.full(len(shelf), -1, np.int32))
    kinds = int(first.max(initial=-1)) + 1
    out = np.full((len(item), len(FEATURES)), np.nan, np.float32)
    _told(
        trails.offsets,
        trails.item,
        trails.time,
        trails.order,
        trails.strength,
        trails.at,
        first,
        log_prices(shelf),
        max(kinds, 1),
        offsets,
        item,
        out,
    )
    return out


@kernel
def union(voices: Codes, scores: Floats, own: Ints, met: Codes, things: int) -> tuple[Ints, Codes, Singles]:
    """Return the candidates of each key: what some voice names (v x n x m) or she met herself, and of each what every voice says.

    Of each voice: the score and the place on its list, NaN where it does not name the thing.
    """
    count, n, most = voices.shape
    place, mark = np.full(things, -1, np.int64), np.full(things, -1, np.int64)
    size = n * count * most + len(met)
    offsets, item = np.zeros(n + 1, np.int64), np.empty(size, np.int32)
    held = 0
    for i in range(n):
        for v in range(count):
            held = _named(voices[v, i], i, mark, item, held)
        held = _named(met[own[i] : own[i + 1]], i, mark, item, held)
        offsets[i + 1] = held
    out = np.full((held, 2 * count), np.nan, np.float32)
    for i in range(n):
        for c in range(offsets[i], offsets[i + 1]):
            place[item[c]] = c
        for v in range(count):
            for j in range(most):
                if voices[v, i, j] < 0:
                    break
                row = out[place[voices[v, i, j]]]
                row[2 * v], row[2 * v + 1] = scores[v, i, j], j
    return offsets, item[:held].copy(), out


@kernel
def _named(things: Codes, key: int, mark: Ints, item: Codes, held: int) -> int:
    """Write down the things of a list that this key does not have yet; return how many candidates are held."""
    for thing in things:
        if thing >= 0 and mark[thing] != key:
            mark[thing], item[held] = key, thing
            held += 1
    return held


class Own(NamedTuple):
    """What a key did with each thing (k each) and with each kind of thing (kinds each), as far as ``last`` and ``latest`` lie in its trail.

    Parameters
    ----------
    times, loud
        In how many orders, and the greatest strength.
    first, last
        The first and the last step.
    share, latest
        The sum of the strengths, and the last step.
    """

    times: Ints
    loud: Floats
    first: Ints
    last: Ints
    share: Floats
    latest: Ints


@kernel
def _told(
    own: Ints, met: Codes, time: Instants, order: Codes, strength: Singles, at: Instants, kind: Codes, log_price: Singles, kinds: int,
    offsets: Ints, item: Codes, out: Singles,
) -> None:  # fmt: skip
    """Fill the features; the columns stand in the order of their names."""
    things = len(kind)
    did = Own(
        np.zeros(things, np.int64), np.zeros(things), np.zeros(things, np.int64), np.full(things, -1, np.int64), np.zeros(kinds),
        np.full(kinds, -1, np.int64),
    )  # fmt: skip
    for i in range(len(own) - 1):
        begin, end = own[i], own[i + 1]
        price = _walk(did, met, order, strength, kind, log_price, begin, end)
        total = strength[begin:end].sum()
        for c in range(offsets[i], offsets[i + 1]):
            thing, row = item[c], out[c]
            row[0], row[6], row[9], row[11] = 0, end - begin, 0, log_price[thing]
            if end == begin:
                continue
            row[7], row[8] = order[end - 1] - order[begin] + 1, max(at[i] - time[end - 1], 0) / DAY
            row[12] = log_price[thing] - price
            if did.last[thing] >= begin:
                step = did.last[thing]
                row[0], row[1], row[2] = did.times[thing], end - 1 - step, order[end - 1] - order[step]
                row[3], row[4] = max(at[i] - time[step], 0) / DAY, did.loud[thing]
                if did.times[thing] > 1:
                    row[5] = (time[step] - time[did.first[thing]]) / DAY / (did.times[thing] - 1)
            if kind[thing] >= 0 and did.latest[kind[thing]] >= begin:
                row[9] = did.share[kind[thing]] / max(total, 1e-300)
                row[10] = max(at[i] - time[did.latest[kind[thing]]], 0) / DAY


@kernel
def _walk(did: Own, met: Codes, order: Codes, strength: Singles, kind: Codes, log_price: Singles, begin: int, end: int) -> float:
    """Write what a key did along its trail; return the mean logarithm of the prices, NaN where none is known."""
    priced, logs = 0, 0.0
    for step in range(begin, end):
        thing = met[step]
        if did.last[thing] < begin:
            did.times[thing], did.loud[thing], did.first[thing] = 0, 0.0, step
        if did.last[thing] < begin or order[did.last[thing]] != order[step]:
            did.times[thing] += 1
        did.last[thing], did.loud[thing] = step, max(did.loud[thing], strength[step])
        if kind[thing] >= 0:
            if did.latest[kind[thing]] < begin:
                did.share[kind[thing]] = 0.0
            did.share[kind[thing]] += strength[step]
            did.latest[kind[thing]] = step
        if not np.isnan(log_price[thing]):
            priced, logs = priced + 1, logs + log_price[thing]
    return logs / priced if priced > 0 else np.nan
