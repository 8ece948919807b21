"""The whenbuy.toml that a checkup proposes: what it would change in the settings, and why."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from whenbuy.config import Settings
from whenbuy.core.arrays import DAY
from whenbuy.core.history import History
from whenbuy.pipeline.checking.parts import Leak


def proposed(settings: Settings, history: History, leaks: Sequence[Leak]) -> tuple[Settings, tuple[str, ...]]:
    """Return the settings with what the data say plainly, and one line per change.

    A column of events that surely knows the future is not read any more; labels wait until late events have come; one currency is named.
    What the data do not say plainly (a time zone, closed days, which customer is a machine) is left to the shop.
    """
    shop, columns, changes = settings.shop, dict(settings.columns), []
    for leak in leaks:
        if leak.of == "event" and leak.certainty == "sure":
            source = columns.pop(leak.column, leak.column)
            columns[source] = ""
            changes.append(f'[columns] {source} = "": it is not read, since it knows the future')
    late = _lateness(history)
    if late > shop.lateness_days:
        shop = replace(shop, lateness_days=late)
        changes.append(f"[shop] lateness_days = {late:g}: 99 % of the events have come by then")
    currency = _currency(history)
    if currency and not shop.currency:
        shop = replace(shop, currency=currency)
        changes.append(f'[shop] currency = "{currency}": the only one in the data')
    return replace(settings, shop=shop, columns=columns), tuple(changes)


def _lateness(history: History) -> float:
    """Return after how many whole days 99 % of the events are known; 0 where none came a day late."""
    log = history.log
    days = float(np.quantile(log.known_at - log.time, 0.99)) / DAY if log.late else 0.0
    return float(math.ceil(days)) if days > 1 / 24 else 0.0


def _currency(history: History) -> str:
    column = history.log.columns.get("currency")
    if column is None or column.dictionary is None:
        return ""
    there = np.unique(column.values[column.values >= 0])
    name = str(column.dictionary.ids[int(there[0])]) if len(there) == 1 else ""
    return name if len(name) == 3 and name.isascii() and name.isalpha() and name.isupper() else ""
