"""Acts: what a customer can do next, a kind of event and the thing it is about, taken together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from whenbuy.core.arrays import Bools, Codes, Ints
from whenbuy.core.log import Dictionary, EventLog

_THINGS: Final = ("category", "item_id")
"""The first of these columns that a log has tells the thing."""
_NOT_HERS: Final = ("shown", "bot")
"""What is done to a customer: a message shown to her, and cleaning's verdict that she is a machine."""


def act(kind: str, thing: str | None) -> str:
    """Return the name of an act, such as ``view of coffee``; the kind alone where the thing is not told."""
    return kind if thing is None else f"{kind} of {thing}"


def thing_column(log: EventLog) -> str | None:
    """Return the column that tells what an act is about; None where the log has none."""
    return next((name for name in _THINGS if name in log.columns and log.columns[name].dictionary is not None), None)


def usual_acts(log: EventLog, most: int = 20) -> tuple[str, ...]:
    """Return every kind of act that the log holds, and behind them the commonest acts with a thing, at most ``most`` of them.

    What is done to a customer, such as a message shown to her, is no act of hers.
    """
    rows, kinds = int(log.offsets[-1]), log.kind[: log.offsets[-1]].astype(np.int64)
    column, hers = thing_column(log), np.array([kind not in _NOT_HERS for kind in log.kinds], bool)
    names = [act(log.kinds[code], None) for code in np.flatnonzero(hers & (np.bincount(kinds, minlength=len(log.kinds)) > 0)).tolist()]
    if column is None:
        return tuple(names)
    thing, dictionary = log.columns[column].values[:rows].astype(np.int64), log.columns[column].dictionary
    assert dictionary is not None  # thing_column looks
    told = np.flatnonzero((thing >= 0) & hers[kinds])
    pair, count = np.unique(kinds[told] * len(dictionary) + thing[told], return_counts=True)
    first = pair[np.lexsort((pair, -count))][:most]
    things = dictionary.names((first % max(len(dictionary), 1)).astype(np.int32)).to_list()
    pairs = [act(log.kinds[code], name) for code, name in zip((first // max(len(dictionary), 1)).tolist(), things, strict=True)]
    return tuple(dict.fromkeys([*names, *pairs]))


def is_act(kinds: Sequence[str], acts: tuple[str, ...]) -> Bools:
    """Return whether an event of each kind can be one of some acts (kinds)."""
    return np.array([any(name == kind or name.startswith(act(kind, "")) for name in acts) for kind in kinds], bool)


def acts_of(log: EventLog, acts: tuple[str, ...], rows: Ints) -> Codes:
    """Return which of some acts each row of a log is (n): that with its thing, else that of its kind, -1 where it is none of them."""
    column = thing_column(log)
    things, dictionary = None, None
    if column is not None:
        things, dictionary = np.asarray(log.columns[column].values[rows], np.int32), log.columns[column].dictionary
    return coded(acts, log.kinds, log.kind[rows].astype(np.int64), dictionary, things)


def coded(acts: tuple[str, ...], kinds: Sequence[str], kind: Ints, names: Dictionary | None, thing: Codes | None) -> Codes:
    """Return the same for events told by the codes of their kinds (n) and things (n, -1 for none), and the names behind both."""
    place = {name: code for code, name in enumerate(acts)}
    plain = np.array([*(place.get(name, -1) for name in kinds), -1], np.int32)[kind]
    if names is None or thing is None or not len(names):
        return plain
    pair, where = np.unique(kind * len(names) + thing, return_inverse=True)
    of_kind, of_thing = np.divmod(pair, len(names))
    named = zip(of_kind.tolist(), names.names(of_thing.astype(np.int32)).to_list(), strict=True)
    code = np.array([place.get(act(kinds[one], name), -1) for one, name in named], np.int32)
    found = np.where(thing >= 0, code[where], np.int32(-1)) if len(pair) else np.empty(0, np.int32)
    return np.where(found >= 0, found, plain).astype(np.int32)
