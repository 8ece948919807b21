"""The data doctor's door in Python: a checkup of a source, a history or a shop."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import polars as pl

from whenbuy.clean import clean
from whenbuy.config import Settings
from whenbuy.core.history import History
from whenbuy.ingest.files import open_source
from whenbuy.ingest.read import Reading
from whenbuy.ingest.read import read as read_source
from whenbuy.ingest.text import Dialect
from whenbuy.pipeline.checking.checkup import Checkup
from whenbuy.pipeline.checking.examine import examine
from whenbuy.pipeline.verbs.intake import rules

_SAMPLE = 2_000


def check(source: object, *, now: datetime | int | None = None, horizons: tuple[float, ...] = (7.0, 14.0, 28.0), **options: Any) -> Checkup:
    """Return what the data doctor finds in a source or a history.

    Parameters
    ----------
    source
        A History, or anything that ``whenbuy.read`` reads: a path, a folder, a table.
    now
        The instant after which nothing can have happened yet; this moment by default.
    horizons
        How far ahead the questions look, in days.
    options
        As for ``whenbuy.ingest.read.read``: columns, kinds, timezone, layout, currency, lateness_days, dialect.

    Raises
    ------
    InputError
        When the source is no event log; see ``whenbuy.ingest.read.read``.

    Examples
    --------
    >>> import whenbuy as wb
    >>> from whenbuy.pipeline.verbs.checkup import check
    >>> found = check(wb.simulate(users=300, days=200, seed=1).history)
    >>> [question.grade for question in found.questions if question.question == "redemption"]
    ['not possible']
    """
    settings = Settings()
    settings = replace(settings, shop=replace(settings.shop, horizons=horizons))
    if isinstance(source, History):
        settings = replace(settings, shop=replace(settings.shop, timezone=source.clock.zone, lateness_days=source.lateness_days))
        return examine(source, clean(source, rules(source), now=now), settings)
    reading = read_source(source, now=now, **options)
    cleaned = clean(reading.history, rules(reading.history), now=now)
    return examine(reading.history, cleaned, settings, reading, unused(source, reading, options.get("dialect")))


def unused(source: object, reading: Reading, dialect: Dialect | None) -> pl.DataFrame | None:
    """Return some rows of the columns that were not read; None where all were."""
    names = list(reading.mapping.left_out)
    if not names or source is None:
        return None
    sample = open_source(source, dialect).sample(_SAMPLE)
    return sample.select(name for name in names if name in sample.columns)
