"""The shelf: which things a shop has, and what is known of them."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import Codes, Floats, Instants, Ints, Singles
from whenbuy.core.errors import ColumnError
from whenbuy.core.history import History
from whenbuy.core.kernel import kernel
from whenbuy.core.log import Dictionary, EventLog
from whenbuy.core.ranking import Shelf

ATTRIBUTES: Final = ("category", "brand")


def shelf_of(history: History, column: str = "item_id", attributes: tuple[str, ...] = ATTRIBUTES) -> Shelf:
    """Return the shelf of a shop at the end of a history: cut it first, for what stands on it must have been known.

    A thing has the attributes of the latest event that tells them, and the price of the latest purchase of it. What the profile of the
    items says of attributes counts more, and what the profile alone knows stands on the shelf too, behind the others.

    Raises
    ------
    ColumnError
        When the log has no such column of names.
    """
    log = history.log
    held = log.columns.get(column)
    if held is None or held.dictionary is None:
        raise ColumnError(
            f"The log has no column {column!r} of names.", "What is recommended must have a name.", "Read the log with such a column."
        )
    names, item = held.dictionary, np.asarray(held.values, np.int64)
    codes: dict[str, Codes] = {}
    words: dict[str, Dictionary] = {}
    for name in attributes:
        told = log.columns.get(name)
        if told is not None and told.dictionary is not None:
            latest = _latest(item, log.known_at, np.asarray(told.values, np.int64), len(names))
            codes[name], words[name] = latest.astype(np.int32), told.dictionary
    shelf = Shelf(names, codes, words, _prices(log, item, len(names)))
    return shelf if history.items is None else _told(shelf, history, attributes)


def _prices(log: EventLog, item: Ints, things: int) -> Singles:
    """Return the latest price of a piece of each thing (k), NaN where none is known; nothing where the log tells none."""
    each: Floats
    if "unit_price" in log.columns:
        each = log.columns["unit_price"].numbers()
    elif "amount" in log.columns:
        pieces = log.columns["quantity"].numbers() if "quantity" in log.columns else np.ones(len(log))
        each = log.columns["amount"].numbers() / np.where(np.nan_to_num(pieces) > 0, pieces, 1.0)
    else:
        return np.empty(0, np.float32)
    known = np.isfinite(each) & (each >= 0) & (log.kind == log.code("purchase"))
    cents = np.where(known, np.round(np.nan_to_num(each) * 100), -1).astype(np.int64)
    latest = _latest(item, log.known_at, cents, things)
    return np.where(latest >= 0, latest / 100, np.nan).astype(np.float32)


def _told(shelf: Shelf, history: History, attributes: tuple[str, ...]) -> Shelf:
    """Return the shelf with what the profile of the items knew before the end of the history."""
    profile = history.items
    assert profile is not None
    moment = pl.lit(history.end).cast(pl.Datetime("us", "UTC"))
    known = profile.table if profile.timeless else profile.table.filter(pl.col("valid_from") < moment)
    ids = known["id"].cast(pl.String).drop_nulls().unique(maintain_order=True)
    further = ids.filter(~ids.is_in(shelf.names.ids.implode()))
    names = shelf.names.extended(further) if len(further) else shelf.names
    said = profile.as_of(names.ids, np.full(len(names), history.end, np.int64))
    codes: dict[str, Codes] = {}
    words: dict[str, Dictionary] = {}
    for name in attributes:
        old = shelf.attributes.get(name)
        if old is None and name not in said.columns:
            continue
        place = np.full(len(names), -1, np.int32) if old is None else np.append(old, np.full(len(further), -1, np.int32))
        known_words = shelf.words.get(name, Dictionary.of(()))
        if name in said.columns:
            spoken = said[name].cast(pl.String)
            fresh = spoken.drop_nulls().unique(maintain_order=True)
            fresh = fresh.filter(~fresh.is_in(known_words.ids.implode()))
            known_words = known_words.extended(fresh) if len(fresh) else known_words
            told = known_words.codes(spoken)
            place = np.where(told >= 0, told, place).astype(np.int32)
        codes[name], words[name] = place, known_words
    price = np.append(shelf.price, np.full(len(further), np.nan, np.float32)) if len(shelf.price) else shelf.price
    return Shelf(names, codes, words, price)


@kernel
def _latest(item: Ints, known_at: Instants, value: Ints, things: int) -> Ints:
    """Return of each thing the value that became known last (k), -1 where there is none; of two at one instant the later row's."""
    latest, when = np.full(things, -1, np.int64), np.full(things, np.iinfo(np.int64).min, np.int64)
    for row in range(len(item)):
        thing = item[row]
        if thing >= 0 and value[row] >= 0 and known_at[row] >= when[thing]:
            latest[thing], when[thing] = value[row], known_at[row]
    return latest
