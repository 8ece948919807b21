"""How a source was understood: guesses, each with its confidence and its reason, and what the names of its events mean."""

from __future__ import annotations

import json
from collections import abc
from dataclasses import dataclass
from typing import Final

import polars as pl

from whenbuy.core.errors import UsageError
from whenbuy.core.log import KINDS
from whenbuy.ingest.words import AWAY_WORDS, BOUGHT_WORDS, CART_WORDS, KIND_NAMES, plain

EVERY: Final = "*"
"""The name under which ``kinds`` says what every event is that it does not name."""


@dataclass(frozen=True, slots=True)
class Guess:
    """One thing that was guessed, or that the user said.

    Parameters
    ----------
    table
        The table of whenbuy.toml that it belongs to: ``columns``, ``kinds`` or ``source``.
    key, value
        The line in that table.
    confidence
        How sure it is, from 0 to 1; 1 where the user said so.
    reason
        Why.
    rows
        How many rows it concerns, where that was counted.
    """

    table: str
    key: str
    value: str | bool
    confidence: float
    reason: str
    rows: int | None = None

    def toml(self) -> str:
        """Return the line of whenbuy.toml that says it."""
        key = (
            self.key
            if self.key.isascii() and self.key.replace("_", "a").replace("-", "a").isalnum()
            else json.dumps(self.key, ensure_ascii=False)
        )
        return f"{key} = {json.dumps(self.value, ensure_ascii=False)}"


@dataclass(frozen=True, slots=True)
class Mapping:
    """How a source was understood.

    Parameters
    ----------
    guesses
        Everything that was guessed, or said by the user.
    attributes
        Columns that ride along under their own name.
    left_out
        Columns that were not read, and why.
    notes
        What was done with oddities, in words with counts.
    """

    guesses: tuple[Guess, ...]
    attributes: tuple[str, ...]
    left_out: abc.Mapping[str, str]
    notes: tuple[str, ...] = ()

    @property
    def columns(self) -> dict[str, str]:
        """The source's column behind each of ours."""
        return {guess.key: str(guess.value) for guess in self.guesses if guess.table == "columns"}

    @property
    def kinds(self) -> dict[str, str]:
        """The kind behind each of the source's event names."""
        return {guess.key: str(guess.value) for guess in self.guesses if guess.table == "kinds"}

    def confidence(self, table: str, key: str) -> float:
        """Return how sure one guess is; 0 where there is none."""
        return next((guess.confidence for guess in self.guesses if (guess.table, guess.key) == (table, key)), 0.0)

    def frame(self) -> pl.DataFrame:
        """Return one row per guess: ``table``, ``key``, ``value``, ``confidence``, ``reason``, ``rows``."""
        rows = [
            (g.table, g.key, str(g.value).lower() if isinstance(g.value, bool) else g.value, g.confidence, g.reason, g.rows)
            for g in self.guesses
        ]
        schema = {"table": pl.String, "key": pl.String, "value": pl.String, "confidence": pl.Float64, "reason": pl.String, "rows": pl.Int64}
        return pl.DataFrame(rows, schema=schema, orient="row")

    def toml(self) -> str:
        """Return the lines of whenbuy.toml that say what was guessed, so that it need not be guessed again."""
        tables = {table: [g.toml() for g in self.guesses if g.table == table] for table in ("source", "columns", "kinds")}
        return "\n\n".join("\n".join([f"[{table}]", *lines]) for table, lines in tables.items() if lines) + "\n"

    def _repr_html_(self) -> str:
        return self.frame()._repr_html_()


def kind_of(name: str, given: abc.Mapping[str, str] | None = None) -> Guess:
    """Return what kind of event a name means, how sure that is, and why; a name that says nothing stays a kind of its own."""
    given = {} if given is None else given
    if name in given or EVERY in given:
        return Guess("kinds", name, given.get(name, given.get(EVERY, name)), 1.0, "you said so")
    word = plain(name)
    if word in KINDS:
        return Guess("kinds", name, word, 1.0, "it is the kind's own name")
    if word in KIND_NAMES or word.replace("_", "") in KIND_NAMES:
        return Guess("kinds", name, KIND_NAMES[word if word in KIND_NAMES else word.replace("_", "")], 0.95, "a usual name for it")
    tokens = set(word.split("_"))
    if not tokens & AWAY_WORDS:
        if tokens & CART_WORDS:
            return Guess("kinds", name, "cart", 0.75, "its name speaks of a cart")
        if tokens & BOUGHT_WORDS:
            return Guess("kinds", name, "purchase", 0.65, "its name speaks of an order")
    return Guess("kinds", name, name.strip(), 0.5, "unknown to whenbuy: it stays a kind of its own")


def check_kinds(given: abc.Mapping[str, str]) -> None:
    """Raise UsageError when the user maps an event to nothing."""
    for name, kind in given.items():
        if not kind or not kind.strip():
            raise UsageError(
                f"The event {name!r} is mapped to {kind!r}.", "A kind needs a name.", f"The known ones are {', '.join(KINDS)}."
            )


def kind_without_column(columns: abc.Collection[str], given: abc.Mapping[str, str]) -> Guess:
    """Return what every row is, where no column says it: a purchase where there is money, an order or a quantity, else a view."""
    if EVERY in given:
        return Guess("kinds", EVERY, given[EVERY], 1.0, "you said so")
    signs = [key for key in ("amount", "order_id", "unit_price", "quantity") if key in columns]
    if signs:
        confidence = 0.9 if {"amount", "order_id", "quantity"} & set(signs) else 0.6
        return Guess("kinds", EVERY, "purchase", confidence, f"no column names events, and the rows have {' and '.join(signs)}")
    return Guess(
        "kinds",
        EVERY,
        "view",
        0.4,
        'no column names events, and nothing in the rows says that they were bought; if they were: kinds={"*": "purchase"}',
    )
