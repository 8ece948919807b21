"""The verb `ingest`: from files, folders, databases and streams into the journal, and from there into the log."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import time_ns
from typing import Final

import polars as pl

from whenbuy.core.errors import BusyError, UsageError
from whenbuy.ingest.reception import Reception
from whenbuy.ingest.sources.opening import Asked, open_stream
from whenbuy.ingest.sources.stream import Stream
from whenbuy.ingest.store import open_log
from whenbuy.pipeline.keeping.audit import Audit
from whenbuy.pipeline.keeping.shop import Shop
from whenbuy.pipeline.telling.result import Result
from whenbuy.pipeline.verbs.intake import dialect_of
from whenbuy.pipeline.verbs.place import find_shop
from whenbuy.serve.bringing import bring, standing
from whenbuy.serve.entrance import CleanEntrance, Sorted, rules_of
from whenbuy.serve.journal import Dead, Journal
from whenbuy.serve.lens import shift_of
from whenbuy.serve.pump import Pumped, pump
from whenbuy.serve.store import journal_of

__all__ = ["Asked", "dead_letters", "ingest", "microseconds", "reception_of", "replay"]

Say = Callable[[str], None]
_COMPACT_S: Final = 300.0
"""How often what is new comes into the log while sources are followed, in seconds."""
_PAGE: Final = 1_000


def microseconds() -> int:
    """Return this moment as an instant."""
    return time_ns() // 1_000


def reception_of(shop: Shop) -> Reception:
    """Return how a shop understands what it is sent, by its settings and its log."""
    return replace(Reception.of(shop.settings(), open_log(shop.log).log), shift=shift_of(rules_of(shop).own))


def ingest(
    shop: Path | None,
    sources: Sequence[str],
    *,
    follow: bool = False,
    asked: Asked | None = None,
    say: Say,
    now: Callable[[], int] = microseconds,
    stop: threading.Event | None = None,
) -> Result:
    """Bring what is new in the sources into the shop's journal and log; go on where the last call ended.

    Parameters
    ----------
    shop
        The shop's folder, or one in it.
    sources
        Paths, patterns or addresses.
    follow
        Whether to wait for more until `stop` is set or the process is interrupted.
    asked
        The query and mark of databases.
    say
        Told what happens.
    now
        Says what time it is.
    stop
        Set to end.

    Raises
    ------
    UsageError
        When no source is named.
    NotFoundError, AccessError, BusyError, DependencyError, InputError
        When the shop, a source or the journal fails.
    """
    if not sources:
        raise UsageError(
            "No source is named.", "Name files, folders, or addresses of databases and streams.", "See `whenbuy ingest --help`."
        )
    found, ending = find_shop(shop), stop or threading.Event()
    cleaning = rules_of(found)
    with _journal(found, cleaning) as (journal, reception):
        dialect = dialect_of(found.settings().source)
        streams = [open_stream(source, reception, dialect, follow=follow, asked=asked) for source in sources]
        try:
            done = _followed(journal, streams, found, now, ending, say, cleaning) if follow else _pumped(journal, streams, now, ending, say)
        finally:
            for stream in streams:
                stream.close()
        added = bring(journal, found, cleaning, say)
        return _told(journal, [stream.name for stream in streams], done, added.added)


def dead_letters(shop: Path | None) -> Result:
    """Return what was set aside: number, status, source, reason and the bytes as they came."""
    with _journal(find_shop(shop), None) as (journal, _):
        rows = [*_set_aside(journal)]
        table = pl.DataFrame(
            [(row.id, row.status, row.source, row.reason, row.raw.decode(errors="backslashreplace")) for row in rows],
            schema={"id": pl.Int64, "status": pl.String, "source": pl.String, "reason": pl.String, "raw": pl.String}, orient="row",
        )  # fmt: skip
        counted = Counter(row.reason for row in rows).most_common(10)
        words = [f"{count:,} × {reason}" for reason, count in counted] or ["Nothing was set aside."]
        return Result({"dead": len(rows)}, table, "dead_letters", after=tuple(words))


def replay(shop: Path | None, *, say: Say, now: Callable[[], int] = microseconds) -> Result:
    """Receive everything again that was set aside, by the shop's settings of now, and bring what is accepted into the log."""
    found = find_shop(shop)
    cleaning = rules_of(found)
    with _journal(found, cleaning) as (journal, reception):
        counts, after = Counter[str](), 0
        while page := journal.dead(after, _PAGE):
            after = page[-1].id
            counts.update(journal.replay([row.id for row in page], reception, now()).statuses)
        Audit(found.folder).note("letters.replayed", now(), **counts)
        bring(journal, found, cleaning, say)
        back, still = counts["accepted"] + counts["duplicate"], counts["dead"] + counts["late"]
        return Result({**counts, "replayed": counts.total()}, after=(f"{back:,} rows came back, {still:,} stay aside.",))


# ------------------------------------------------------------------------------------------------ pumping


@contextmanager
def _journal(shop: Shop, cleaning: Sorted | None) -> Iterator[tuple[Journal, Reception]]:
    """The journal of a shop; one that takes events is given the rules by which they are cleaned."""
    reception = reception_of(shop)
    entrance = None if cleaning is None else CleanEntrance(cleaning.entry, open_log(shop.log))
    journal = journal_of(shop.folder, reception.lateness_days, os.environ, entrance)
    try:
        if entrance is not None:
            _, entrance.seq = standing(journal, shop)
        yield journal, reception
    finally:
        journal.close()


def _pumped(journal: Journal, streams: Sequence[Stream], now: Callable[[], int], stop: threading.Event, say: Say) -> list[Pumped]:
    done = []
    for stream in streams:
        say(f"reading {stream.name}")
        done.append(pump(journal, stream, follow=False, now=now, stop=stop, say=say))
    return done


def _followed(
    journal: Journal, streams: Sequence[Stream], shop: Shop, now: Callable[[], int], stop: threading.Event, say: Say, cleaning: Sorted
) -> list[Pumped]:
    """Follow each source in a thread of its own, and bring what is new into the log now and then."""
    done: dict[int, Pumped] = {}
    failed: list[BaseException] = []

    def follow(place: int, stream: Stream) -> None:
        try:
            done[place] = pump(journal, stream, follow=True, now=now, stop=stop, say=say)
        except BaseException as error:
            failed.append(error)
            stop.set()

    threads = [threading.Thread(target=follow, args=each, name=each[1].name, daemon=True) for each in enumerate(streams)]
    for thread in threads:
        thread.start()
    say(f"following {', '.join(stream.name for stream in streams)}; Ctrl-C ends it")
    try:
        while not stop.wait(_COMPACT_S):
            try:
                bring(journal, shop, cleaning, say)
            except BusyError as error:
                say(str(error))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    if failed:
        raise failed[0]
    return [done[place] for place in range(len(streams))]


def _set_aside(journal: Journal) -> Iterator[Dead]:
    after = 0
    while page := journal.dead(after, _PAGE):
        yield from page
        after = page[-1].id


def _told(journal: Journal, names: Sequence[str], done: Sequence[Pumped], added: int) -> Result:
    kinds = ("sent", "accepted", "duplicate", "dead", "late")
    rows = [(name, *(getattr(one, kind) for kind in kinds)) for name, one in zip(names, done, strict=True)]
    table = pl.DataFrame(rows, schema={"source": pl.String, **dict.fromkeys(kinds, pl.Int64)}, orient="row")
    total = {kind: sum(getattr(one, kind) for one in done) for kind in kinds}
    whole = journal.counts()
    words = [
        f"{total['sent']:,} rows: {total['accepted']:,} new events, {total['duplicate']:,} known already, {total['dead']:,} refused, "
        f"{total['late']:,} too late. The log took {added:,}.",
    ]
    if total["dead"] or total["late"]:
        words.append(f"Refused and late rows are kept ({whole.dead + whole.late:,} in all): `whenbuy ingest --dead` says why.")
    return Result({**total, "in_log": added}, table, "sources", after=tuple(words))
