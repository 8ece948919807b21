"""What each column is: what it was taken for and why, what it holds, and what it could serve."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
import polars as pl

from whenbuy.clean import REFUND_OF
from whenbuy.core.arrays import MISSING, Codes
from whenbuy.core.history import History
from whenbuy.core.log import CODED, ORDERS, SCALES, Column
from whenbuy.ingest.mapping import Guess
from whenbuy.ingest.read import Reading
from whenbuy.ingest.words import COLUMN_NAMES, NEUTRAL_WORDS, plain
from whenbuy.pipeline.checking.parts import UNUSED, ColumnFacts

SERVES: Final[Mapping[str, str]] = {
    "user_id": "tells customers apart: every answer",
    "time": "says when: every answer",
    "kind": "tells purchases from views, carts and refunds",
    "known_at": "when an event could be known, where events come late",
    "event_id": "finds rows that were sent twice",
    "order_id": "joins the lines of an order: how many orders, how much an order",
    "session_id": "tells visits apart; features that you declare",
    "item_id": "refunds find their purchase; the same click twice is found; features of items",
    "category": "from which categories she buys next",
    "brand": "features that you declare",
    "currency": "amounts are in one currency, or are converted",
    "text": "features that you declare",
    "offer_id": "which offer was shown and redeemed",
    "channel": "features that you declare",
    "unit_price": "with quantity, how much; price level",
    "amount": "how much the next order is, and what she spends",
    "quantity": "with unit_price, how much",
    "dwell_s": "features that you declare",
    "rating": "features that you declare",
}
"""What each of our columns is good for."""

MADE: Final = (ORDERS, REFUND_OF)
"""Columns that whenbuy itself adds to a log."""
_OTHERS: Final = frozenset(
    {"device", "user", "customer", "page", "session", "traffic", "age", "income", "total", "last", "next", "first", "mean", "avg"}
)
"""Words beside which a known one means something else: the category of a device is none of things that are bought."""
_EXAMPLES: Final = 3
_WIDE: Final = 40


def described(history: History, reading: Reading | None, unused: pl.DataFrame | None) -> tuple[ColumnFacts, ...]:
    """Return what each column is: those that are used first, then those that ride along, then those that were not read.

    Parameters
    ----------
    history
        The history as it was read, before cleaning.
    reading
        How it was read; None where it was made otherwise.
    unused
        Some rows of the columns that were not read.
    """
    guesses = {} if reading is None else {g.key: g for g in reading.mapping.guesses if g.table == "columns"}
    found = [_user(history, guesses.get("user_id")), *_times(history, guesses)]
    if history.log.kinds and (reading is None or "kind" in guesses):
        found.append(_kind(history, guesses.get("kind")))
    names = sorted((name for name in history.log.columns if name not in MADE), key=_place)
    taken = {"user_id", "time", "kind", *guesses, *history.log.columns}
    found += [_column(history, name, guesses.get(name), taken) for name in names if reading is None or _read(name, reading)]
    return (*found, *_left_out(reading, unused, taken))


def _place(name: str) -> tuple[int, str]:
    known = (*CODED, *SCALES)
    return (known.index(name), "") if name in known else (len(known), "")


def _read(name: str, reading: Reading) -> bool:
    """Return whether a column of the log comes from the source, and was not worked out."""
    return name in reading.mapping.columns or name in reading.mapping.attributes


def _fact(key: str, guess: Guess | None) -> tuple[str, str, float, str, str]:
    """Return name, role, confidence, reason, and what the column serves."""
    known = key in SERVES
    serves = SERVES[key] if known else "an attribute; real numbers of purchases are summed as features"
    if guess is None:
        reason = "it has our name" if known else "no column of ours: it rides along under its own name"
        return key, key if known else "attribute", 1.0, reason, serves
    return str(guess.value), key if known else "attribute", guess.confidence, guess.reason, serves


def _user(history: History, guess: Guess | None) -> ColumnFacts:
    log = history.log
    counts = np.diff(log.offsets)
    top = np.argsort(-counts, kind="stable")[:_EXAMPLES].astype(np.int32)
    examples = tuple(map(_short, log.users.names(top).to_list()))
    missing = 1 - int(log.offsets[-1]) / max(1, len(log))
    name, role, sure, reason, serves = _fact("user_id", guess)
    return ColumnFacts(name, role, sure, reason, "name", missing, int((counts > 0).sum()), examples, serves=serves)


def _times(history: History, guesses: Mapping[str, Guess]) -> Iterator[ColumnFacts]:
    log, clock = history.log, history.clock
    for key, values in (("time", log.time), ("known_at", log.known_at)):
        if key == "known_at" and key not in guesses and not log.late:
            continue
        name, role, sure, reason, serves = _fact(key, guesses.get(key))
        low, high = (clock.show(int(edge)) for edge in (values.min(), values.max()))
        distinct = pl.Series(values).n_unique()
        yield ColumnFacts(name, role, sure, reason, "time", 0.0, distinct, (clock.show(int(values[0])),), low, high, serves)


def _kind(history: History, guess: Guess | None) -> ColumnFacts:
    log = history.log
    counts = np.bincount(log.kind, minlength=len(log.kinds))
    order = np.argsort(-counts, kind="stable")
    examples = tuple(log.kinds[place] for place in order if counts[place])
    name, role, sure, reason, serves = _fact("kind", guess)
    return ColumnFacts(name, role, sure, reason, "name", 0.0, len(examples), examples[: 2 * _EXAMPLES], serves=serves)


def _column(history: History, key: str, guess: Guess | None, taken: set[str]) -> ColumnFacts:
    name, role, sure, reason, serves = _fact(key, guess)
    column = history.log.columns[key]
    if role == "attribute" and (could := _could_be(name, taken)):
        serves = could
    if column.dictionary is not None:
        return ColumnFacts(name, role, sure, reason, "name", *_names(column), serves=serves)
    known = column.values != MISSING
    values = column.values[known]
    missing = 1 - int(known.sum()) / max(1, len(known))
    if not len(values):
        return ColumnFacts(name, role, sure, reason, "number", missing, 0, serves=serves)
    distinct = pl.Series(values).n_unique()
    truth = column.scale == 1 and distinct <= 2 and bool(np.isin(values, (0, 1)).all())
    kind = "yes or no" if truth else "whole number" if (values % column.scale == 0).all() else "number"
    low, high = (f"{edge / column.scale:,.10g}" for edge in (values.min(), values.max()))
    examples = tuple(f"{value / column.scale:,.10g}" for value in dict.fromkeys(values[:1000].tolist()))[:_EXAMPLES]
    return ColumnFacts(name, role, sure, reason, kind, missing, distinct, examples, low, high, serves)


def _names(column: Column) -> tuple[float, int, tuple[str, ...]]:
    """Return the share of rows without a name, how many names there are, and the commonest."""
    assert column.dictionary is not None
    codes = column.values[column.values >= 0].astype(np.int32)
    counts = np.bincount(codes, minlength=len(column.dictionary))
    top = np.argsort(-counts, kind="stable")[:_EXAMPLES]
    common: Codes = top[counts[top] > 0].astype(np.int32)
    examples = tuple(map(_short, column.dictionary.names(common).to_list()))
    return 1 - len(codes) / max(1, len(column.values)), int((counts > 0).sum()), examples


def _left_out(reading: Reading | None, unused: pl.DataFrame | None, taken: set[str]) -> Iterator[ColumnFacts]:
    for name, reason in (reading.mapping.left_out if reading is not None else {}).items():
        column = pl.Series(name, [], dtype=pl.String) if unused is None or name not in unused.columns else unused[name]
        plain_text = not column.dtype.is_nested() and column.dtype not in (pl.Object, pl.Binary)
        text = column.cast(pl.String, strict=False).str.strip_chars() if plain_text else pl.Series(name, [], dtype=pl.String)
        known = text.filter(text.is_not_null() & (text != ""))
        examples = tuple(map(_short, known.unique(maintain_order=True).head(_EXAMPLES)))
        missing = 1 - len(known) / len(text) if len(text) else 0.0
        could = _could_be(name, taken) or ("text: features that you declare" if len(known) else "nothing")
        yield ColumnFacts(name, UNUSED, 0.0, reason, "text", missing, known.n_unique(), examples, serves=could)


def _could_be(name: str, taken: set[str]) -> str:
    """Return what a column could serve by the last words of its name, where nothing else is taken for that yet."""
    words = plain(name).split("_")
    if _OTHERS & set(words):
        return ""
    for start in range(len(words)):
        key = COLUMN_NAMES.get("_".join(words[start:]), "")
        if key in SERVES and key not in taken and words[start] not in NEUTRAL_WORDS:
            return f'perhaps it is {key} ({SERVES[key]}): then write {key} = "{name}" under [columns]'
    return ""


def _short(text: str) -> str:
    return text if len(text) <= _WIDE else f"{text[: _WIDE - 1]}…"
