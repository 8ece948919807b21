"""The examination: every part of the data doctor, run on one history."""

from __future__ import annotations

import polars as pl

from whenbuy.clean import Cleaned
from whenbuy.config import Settings
from whenbuy.core.history import History
from whenbuy.ingest.read import Reading
from whenbuy.pipeline.checking.checkup import Checkup
from whenbuy.pipeline.checking.columns import described
from whenbuy.pipeline.checking.condition import remarks
from whenbuy.pipeline.checking.drift import drifts
from whenbuy.pipeline.checking.leaks import leaks
from whenbuy.pipeline.checking.parts import Remark
from whenbuy.pipeline.checking.proposal import proposed
from whenbuy.pipeline.checking.readiness import Counts, judged


def examine(
    history: History,
    cleaned: Cleaned,
    settings: Settings,
    reading: Reading | None = None,
    unused: pl.DataFrame | None = None,
    told: tuple[str, ...] = (),
) -> Checkup:
    """Return the checkup of a history.

    Parameters
    ----------
    history
        The history as it was read.
    cleaned
        The same, cleaned.
    settings
        What is known of the shop; its horizons are what the questions are judged by.
    reading
        How the history was read; None where it was made otherwise.
    unused
        Some rows of the columns that were not read.
    told
        What reading its profiles found, in sentences.
    """
    log, clock = cleaned.history.log, history.clock
    found, tested = leaks(cleaned.history)
    said = (*remarks(history, reading, cleaned), *(Remark("profiles", "note", words) for words in told))
    better, changes = proposed(settings, history, found)
    facts = {
        "rows": len(history.log) if reading is None else reading.rows, "events": len(log), "customers": len(log.users),
        "first": clock.show(log.start), "end": clock.show(log.end), "timezone": clock.zone,
    }  # fmt: skip
    return Checkup(
        facts, described(history, reading, unused), judged(Counts.of(cleaned.history, settings.shop.horizons)),
        said, found, tested, drifts(cleaned.history), better, changes,
    )  # fmt: skip
