"""Tell the paths that customers take: what `whenbuy paths` does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import polars as pl

from whenbuy.clean import RULES
from whenbuy.core.history import History
from whenbuy.ingest.store import open_log
from whenbuy.pipeline.segmenting.funnel import funnel
from whenbuy.pipeline.segmenting.sequences import sequences
from whenbuy.pipeline.segmenting.together import together
from whenbuy.pipeline.segmenting.transitions import transitions
from whenbuy.pipeline.telling.export import require_ending, write_frame
from whenbuy.pipeline.telling.result import Result, Screen
from whenbuy.pipeline.telling.words import count
from whenbuy.pipeline.verbs.intake import Say
from whenbuy.pipeline.verbs.place import find_shop, moment

What = Literal["transitions", "funnel", "sequences", "together"]
_LISTED: Final = 20
_SUPPORT: Final = {"sequences": 0.01, "together": 0.001}
_TITLES: Final = {
    "transitions": "What comes after what within a session:",
    "funnel": "From step to step:",
    "sequences": "What many do one after the other:",
    "together": "Bought together more often than by chance:",
}
_BELOW: Final = {
    "transitions": "Share: of all that comes after the first. The lines of one order are one purchase.",
    "funnel": "Reached: by way of all steps before, in this order; at all: in whatever order.",
    "sequences": "Support: the share of sessions or customers; lift: over what chance would give.",
    "together": "Support, confidence: shares of orders; q: the false discovery rate (chi-square, Benjamini-Hochberg).",
}


_NOTHING: Final = "No pair that enough orders hold is bought together more often than by chance: lower --support, or try --of item_id."


@dataclass(frozen=True, slots=True)
class Asked:
    """Which paths are to be told.

    Parameters
    ----------
    what
        The table: transitions, funnel, sequences, together.
    of
        A column of names: what sequences are made of and what is bought together, or by what the funnel is told apart; "" for the default.
    unit
        Whether funnel and sequences lie in one session or in a customer's whole history; the table's own default where it is None.
    steps
        The steps of the funnel; view, cart and purchase by default.
    support
        The least share of units or orders; the table's own default where it is None.
    top
        How many rows at most (of the funnel: names).
    """

    what: What = "transitions"
    of: str = ""
    unit: Literal["session", "user"] | None = None
    steps: Sequence[str] = ()
    support: float | None = None
    top: int = 100


def paths(folder: Path | None, as_of: str | None, asked: Asked, *, out: Path | None, say: Say) -> Result:
    """Return a table of paths, from what was known before a moment.

    Raises
    ------
    NotEnoughDataError, ColumnError, EmptyError, UsageError
        When the log has not what the table is made of.
    """
    if out is not None:
        require_ending(out)
    shop = find_shop(folder)
    shop.settings(RULES)
    history = open_log(shop.log)
    instant = moment(history, as_of, say)
    table = _table(history, instant, asked)
    facts = {"as_of": history.clock.show(history.end if instant is None else instant), "what": asked.what, "rows": len(table)}
    after = () if len(table) else (_NOTHING if asked.what == "together" else "Nothing is that frequent: lower --support.",)
    if out is not None:
        write_frame(table, out)
        return Result(facts | {"files": [str(out)]}, after=(*after, f"{len(table):,} rows are in {out}."))
    return Result(facts, table, asked.what, (_screen(table, asked.what),) if len(table) else (), after=after)


def _table(history: History, instant: int | None, asked: Asked) -> pl.DataFrame:
    support = _SUPPORT.get(asked.what, 0.0) if asked.support is None else asked.support
    if asked.what == "transitions":
        return transitions(history, instant).head(asked.top)
    if asked.what == "funnel":
        return funnel(history, instant, asked.steps, asked.unit or "session", asked.of or None, asked.top)
    if asked.what == "sequences":
        return sequences(history, instant, asked.of or "kind", asked.unit, support, asked.top)
    return together(history, instant, asked.of, support, asked.top)


def _screen(table: pl.DataFrame, what: What) -> Screen:
    shown = table.head(_LISTED)
    numbers = {name for name, kind in table.schema.items() if kind.is_numeric()}
    heads = tuple(f"{name.replace('_', ' ')}>" if name in numbers else name for name in table.columns)
    rows = tuple(tuple(_cell(value) for value in row) for row in shown.iter_rows())
    more = (f"The first {len(shown)} of {len(table):,} rows; a pipe, --json or --out has all.",) if len(table) > len(shown) else ()
    return Screen(_TITLES[what], heads, rows, (_BELOW[what], *more))


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1e3 else count(value)
    return f"{value:,}" if isinstance(value, int) else str(value)
