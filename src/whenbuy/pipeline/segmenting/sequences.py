"""Frequent sequences: what many do one after the other, with whatever in between."""

from __future__ import annotations

import heapq
from typing import Final, Literal, NamedTuple

import numpy as np
import polars as pl

from whenbuy.core.arrays import Codes, Ints
from whenbuy.core.errors import ColumnError, UsageError
from whenbuy.core.history import History
from whenbuy.core.kernel import kernel
from whenbuy.pipeline.segmenting.walks import Walks

LONGEST: Final = 512
"""Of a longer walk only its latest events are read."""
NAMES: Final = 5_000
"""The commonest names that sequences are made of; memory grows with it."""


def sequences(
    history: History,
    as_of: int | str | None = None,
    of: str = "kind",
    unit: Literal["session", "user"] | None = None,
    support: float = 0.01,
    most: int = 100,
    length: int = 5,
) -> pl.DataFrame:
    """Return the most frequent sequences of two or more things, the most frequent first.

    ``sequence`` (names with → between), ``length``, ``count`` (sessions or users in which its things come in this order, others between
    them or not), ``support`` (their share), ``lift``: the count over the one expected were the last thing independent of those before it.

    Parameters
    ----------
    history
        The shop.
    as_of
        Only what was known before it counts (default: the log's end).
    of
        What the things are: ``kind`` of event (one that repeats the one before is left out), or a column of names such as ``category``:
        what was bought, and what is bought together does not come one after the other.
    unit
        Whether a sequence lies in one session (the default for kinds) or in a user's whole history (for names).
    support
        The least share of the units.
    most
        How many are returned.
    length
        The longest one.

    Raises
    ------
    UsageError
        When the support is no share, or the length below 2.
    ColumnError
        When the log has no such column of names.

    Notes
    -----
    PrefixSpan (Pei et al. 2001) walked best first: the most frequent prefix is lengthened next, so the first ``most`` that come out are the
    most frequent of all, and what is held is one position per unit and a heap of prefixes, not the projected databases.
    """
    if not 0 < support <= 1 or length < 2:
        raise UsageError(
            f"Sequences of up to {length} things with support {support:g} were asked for.",
            "Support lies above 0 and up to 1, a sequence has two things.", "Ask for 0.01 and 5.",
        )  # fmt: skip
    walks = Walks.of(history, as_of, lines=of != "kind")
    code, names = _things(walks, of)
    walked = _walked(walks, code, of == "kind", unit or ("session" if of == "kind" else "user"))
    units = len(walked.offsets) - 1
    least = max(1, int(np.ceil(support * units)))
    found = _mined(walked, len(names), least, most, length)
    single = _next(walked.offsets, walked.things, walked.offsets[:-1].copy(), len(names))
    return pl.DataFrame(
        {
            "sequence": [" → ".join(names[thing] for thing in pattern) for _, _, pattern in found],
            "length": [len(pattern) for _, _, pattern in found],
            "count": [count for count, _, _ in found],
            "support": [count / units for count, _, _ in found],
            "lift": [count * units / max(before * int(single[pattern[-1]]), 1) for count, before, pattern in found],
        },
        schema={"sequence": pl.String, "length": pl.Int64, "count": pl.Int64, "support": pl.Float64, "lift": pl.Float64},
    )


def _things(walks: Walks, of: str) -> tuple[Ints, list[str]]:
    """Return what each event is (m), -1 for nothing that counts, and the names."""
    if of == "kind":
        return walks.kind, list(walks.log.kinds)
    held = walks.log.columns.get(of)
    if held is None or held.dictionary is None:
        raise ColumnError(f"The log has no names in {of!r}.", "Sequences are made of kinds, categories, brands, items.", "Name a column.")
    code = held.values[walks.row].astype(np.int64)
    count = np.bincount(code[code >= 0], minlength=len(held.dictionary))
    kept = np.argsort(-count, kind="stable")[:NAMES]
    place = np.full(len(held.dictionary) + 1, -1, np.int64)
    place[kept] = np.arange(len(kept))
    return place[code], held.dictionary.names(kept.astype(np.int32)).to_list()


class Walked(NamedTuple):
    """What each unit did.

    Parameters
    ----------
    offsets
        Where each unit begins (u + 1).
    things
        One after the other (s).
    moment
        When: equal numbers are the same moment, later ones larger (s).
    """

    offsets: Ints
    things: Codes
    moment: Ints


def _walked(walks: Walks, code: Ints, kinds: bool, unit: str) -> Walked:
    """Return what each unit did: kinds one by one without repetitions, or the names of what it bought, moment by moment."""
    owner = walks.session if unit == "session" else walks.user
    known = code >= 0 if kinds else (code >= 0) & (walks.kind == walks.log.code("purchase"))
    owner, code, moment = owner[known], code[known], walks.time[known]
    fresh = np.ones(len(code), bool)
    fresh[1:] = (owner[1:] != owner[:-1]) | (code[1:] != code[:-1])
    if kinds:
        moment = np.arange(len(code), dtype=np.int64)
    else:
        fresh[1:] |= moment[1:] != moment[:-1]
    owner, code, moment = owner[fresh], code[fresh], moment[fresh]
    begins = np.flatnonzero(np.append(True, owner[1:] != owner[:-1])) if len(owner) else np.empty(0, np.int64)
    size = np.diff(np.append(begins, len(owner)))
    kept = np.repeat(begins + size, size) - np.arange(len(owner)) <= LONGEST
    offsets = np.concatenate([[0], np.cumsum(np.minimum(size, LONGEST))]).astype(np.int64)
    return Walked(offsets, code[kept].astype(np.int32), moment[kept])


def _mined(walked: Walked, names: int, least: int, most: int, length: int) -> list[tuple[int, int, tuple[int, ...]]]:
    """Return the count, the prefix's count and the things of the most frequent sequences."""
    found: list[tuple[int, int, tuple[int, ...]]] = []
    heap: list[tuple[int, tuple[int, ...], int]] = [(1 - len(walked.offsets), (), len(walked.offsets) - 1)]
    while heap and len(found) < most:
        below, pattern, before = heapq.heappop(heap)
        if len(pattern) > 1:
            found.append((-below, before, pattern))
        if len(pattern) == length:
            continue
        at = _positions(*walked, np.array(pattern, np.int32))
        counts = _next(walked.offsets, walked.things, at, names)
        for thing in np.flatnonzero(counts >= least).tolist():
            heapq.heappush(heap, (-int(counts[thing]), (*pattern, thing), -below))
    return found


@kernel
def _positions(offsets: Ints, things: Codes, moment: Ints, pattern: Codes) -> Ints:
    """Return where each unit goes on after the first occurrence of a pattern, at a later moment (u); -1 where it does not hold it."""
    found = np.empty(len(offsets) - 1, np.int64)
    for unit in range(len(found)):
        place, wanted, end = offsets[unit], 0, offsets[unit + 1]
        while wanted < len(pattern) and place < end:
            here = place
            place += 1
            if things[here] == pattern[wanted]:
                wanted += 1
                while place < end and moment[place] == moment[here]:
                    place += 1
        found[unit] = place if wanted == len(pattern) else -1
    return found


@kernel
def _next(offsets: Ints, things: Codes, at: Ints, names: int) -> Ints:
    """Return in how many units each name comes at or after a position."""
    count, last = np.zeros(names, np.int64), np.full(names, -1, np.int64)
    for unit in range(len(at)):
        if at[unit] >= 0:
            for place in range(at[unit], offsets[unit + 1]):
                name = things[place]
                if last[name] != unit:
                    last[name] = unit
                    count[name] += 1
    return count
