"""What to order today: what `whenbuy stock` does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

import polars as pl

from whenbuy.clean import RULES
from whenbuy.core.errors import ColumnError, UsageError
from whenbuy.core.history import History
from whenbuy.core.keys import Entity
from whenbuy.core.series_forecast import NAMED
from whenbuy.decide.stock import StockRule
from whenbuy.ingest.store import open_log
from whenbuy.pipeline.demand.panels import Closed, Step
from whenbuy.pipeline.demand.reconcile import Demand, demand
from whenbuy.pipeline.demand.restocking import Restocking, horizon_days, require_history, restocking
from whenbuy.pipeline.demand.stock_file import read_stock
from whenbuy.pipeline.demand.why import words
from whenbuy.pipeline.telling.export import require_ending, write_frame
from whenbuy.pipeline.telling.result import Result, Screen
from whenbuy.pipeline.telling.words import percent
from whenbuy.pipeline.verbs import champion
from whenbuy.pipeline.verbs.intake import Say
from whenbuy.pipeline.verbs.place import find_shop, moment

_LISTED: Final = 15
_WEEK: Final = 7
_EXPLAINED: Final = 3
"""Of so many of those that are needed first it is said who will buy them."""


@dataclass(frozen=True, slots=True)
class Shelves:
    """What is to be restocked.

    Parameters
    ----------
    entity
        "item" or "category".
    names
        Which of them; all, where none is named.
    rule
        How the shop restocks.
    file
        What is on the shelves; none where that is not told.
    """

    entity: Entity
    names: tuple[str, ...]
    rule: StockRule
    file: Path | None = None


def shelves(items: Sequence[str], categories: Sequence[str], *, by_category: bool) -> tuple[Entity, tuple[str, ...]]:
    """Return what was asked for: the items or categories named, all categories, or else all items.

    Raises
    ------
    UsageError
        When items and categories were asked for at once.
    """
    if items and (categories or by_category):
        raise UsageError("Items and categories were asked for at once.", "One of them is answered.", "Run it once for each.")
    return ("category", tuple(categories)) if categories or by_category else ("item", tuple(items))


def rule_of(lead_days: float, review_days: float, service: float | None, over: float | None, under: float | None) -> StockRule:
    """Return how the shop restocks: by costs where they are given, else for a service level (95 % where none is given)."""
    priced = over is not None or under is not None
    return StockRule(lead_days, review_days, service if service is not None or priced else 0.95, over, under)


def stock(folder: Path | None, as_of: str | None, asked: Shelves, *, out: Path | None, say: Say) -> Result:
    """Say what to order today of each item or category, from the demand of the series and of the customers."""
    if out is not None:
        require_ending(out)
    held = None if asked.file is None else read_stock(asked.file, NAMED[asked.entity])
    shop = find_shop(folder)
    settings, history = shop.settings(RULES), open_log(shop.log)
    instant = moment(history, as_of, say)
    cutoff = history.end if instant is None else instant
    _require_column(history, asked.entity)
    days = horizon_days(asked.rule, held)
    require_history(history, cutoff, days)
    say(f"telling the demand of {days} days")
    told = demand(
        history, champion.customers(shop, cutoff, say), asked.entity, days, _step(asked.rule), cutoff,
        days=Closed.of(settings.calendar),
    )  # fmt: skip
    found = restocking(history, told, asked.entity, asked.rule, held, asked.names or None)
    frame = found.frame()
    if out is not None:
        write_frame(frame, out)
    plan, why = found.plan, _why(told, asked.entity, frame)
    facts = {
        "as_of": history.clock.show(cutoff), "lead_days": asked.rule.lead_days, "review_days": asked.rule.review_days,
        "level": asked.rule.level, "stock_known": plan.known, "units": float(plan.quantity.sum()), "unknown": list(found.unknown),
        "why": list(why), "files": [] if out is None else [str(out)],
    }  # fmt: skip
    after = (*why, *told.notes, *_words(found, asked.entity), *([f"{len(frame):,} rows are in {out}"] if out is not None else []))
    if out is not None:
        return Result(facts, after=after)
    return Result(facts, frame, "stock", (_screen(frame, asked, history, cutoff, known=plan.known),), after=after)


def _require_column(history: History, entity: Entity) -> None:
    if NAMED[entity] not in history.log.columns:
        do = "Ask with --by-category." if entity == "item" and "category" in history.log.columns else f"Add the column {NAMED[entity]}."
        raise ColumnError(f"The log has no {NAMED[entity]}.", f"Stock is counted by {entity}.", do)


def _step(rule: StockRule) -> Step:
    """Return weeks where all times are whole weeks: they are told faster and as well."""
    return "week" if rule.lead_days % _WEEK == 0 and rule.review_days % _WEEK == 0 else "day"


def _why(told: Demand, entity: Entity, frame: pl.DataFrame) -> tuple[str, ...]:
    """Return who will buy what is needed first, a sentence each; nothing where no model spoke for the customers."""
    if told.groups is None:
        return ()
    return tuple(words(told, entity, name) for name in frame[NAMED[entity]].unique(maintain_order=True).head(_EXPLAINED).to_list())


def _words(found: Restocking, entity: Entity) -> tuple[str, ...]:
    lines = []
    if found.unknown:
        shown = ", ".join(found.unknown[:5]) + (f" and {len(found.unknown) - 5:,} more" if found.unknown[5:] else "")
        lines.append(f"Not in the log, so left out: {shown}.")
    if not found.plan.known:
        lines.append(f"Nothing is known of the shelves: quantities are for empty ones. --stock FILE names {NAMED[entity]} and on_hand.")
    if slow := int(found.plan.slow.sum()):
        lines.append(f"{slow:,} lie for longer than 90 days.")
    return tuple(lines)


def _screen(frame: pl.DataFrame, asked: Shelves, history: History, cutoff: int, *, known: bool) -> Screen:
    name = NAMED[asked.entity]
    heads = (asked.entity, *(("region",) if "region" in frame.columns else ()), *(("on hand>", "runs out>", "by>") if known else ()))
    heads = (*heads, "expected>", "reorder at>", "up to>", "order>")
    rows = []
    for row in frame.head(_LISTED).iter_rows(named=True):
        first = [str(row[name]), *([str(row["region"])] if "region" in frame.columns else [])]
        if known:
            first += [f"{row['on_hand']:,.0f}", percent(row["stock_out_chance"]), _day(row["stock_out_date"])]
        rows.append(
            (*first, f"{row['expected_units']:,.1f}", *(f"{row[key]:,.0f}" for key in ("reorder_point", "order_up_to", "quantity")))
        )
    rule = asked.rule
    below = [f"{len(frame) - _LISTED:,} more: --out FILE has them all."] if len(frame) > _LISTED else []
    below.append(
        f"expected: units within {rule.lead_days + rule.review_days:g} days; up to: enough for them with a chance of {percent(rule.level)}."
    )
    if known:
        below.append(
            "runs out: the chance to be empty before an order of today arrives; by: the day with an even chance of that, without one."
        )
    return Screen(f"What to order as of {history.clock.show(cutoff)}:", heads, tuple(rows), tuple(below))


def _day(value: date | None) -> str:
    return "–" if value is None else value.isoformat()
