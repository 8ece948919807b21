"""Read: from the world to a History, with everything that was guessed and every row that could not be read."""

from __future__ import annotations

from collections.abc import Mapping as Dict
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType

import polars as pl

from whenbuy.core.clock import Clock
from whenbuy.core.errors import EmptyError, UsageError
from whenbuy.core.history import History
from whenbuy.core.log import CODED, KINDS, SCALES
from whenbuy.ingest.columns import CANONICAL, cancellations, map_columns
from whenbuy.ingest.files import open_source
from whenbuy.ingest.frames import FrameMaker, Rejects, broken_rows, paid
from whenbuy.ingest.group import group
from whenbuy.ingest.layout import Layout
from whenbuy.ingest.layouts import LAYOUTS
from whenbuy.ingest.lines import LinesBuilder
from whenbuy.ingest.mapping import EVERY, Guess, Mapping, check_kinds, kind_without_column
from whenbuy.ingest.parse import AttributeEvidence, DayEvidence, DecimalEvidence
from whenbuy.ingest.source import Source
from whenbuy.ingest.sources.database import is_database
from whenbuy.ingest.sources.sql import table
from whenbuy.ingest.text import Dialect
from whenbuy.ingest.times import TimeReader

SAMPLE = 20_000
"""How many rows the columns are guessed from. What they mean in detail (day or month first, decimal marks) is decided over all rows."""
_MANY = 1_000


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What was read.

    Parameters
    ----------
    history
        The events that were understood.
    mapping
        What was guessed about columns, events and writing, each with its confidence.
    rejects
        The rows that were not.
    rows
        How many rows the source has: those in the log and the rejects.
    """

    history: History
    mapping: Mapping
    rejects: Rejects
    rows: int


def read(
    source: object = None,
    *,
    columns: Dict[str, str] | None = None,
    kinds: Dict[str, str] | None = None,
    timezone: str = "UTC",
    layout: str | None = None,
    currency: str | None = None,
    lateness_days: float = 0.0,
    now: datetime | int | None = None,
    scales: Dict[str, int] | None = None,
    dialect: Dialect | None = None,
    cancelled: str | None = None,
    query: str | None = None,
) -> Reading:
    """Return the history of a source, with how it was understood and what was not.

    A row without a user is kept: it belongs to nobody's past, and counts for items and the shop. Without ``known_at`` an event is known
    when it happens; a ``known_at`` before ``time`` is raised to it. A local time that the clock was set forward over moves forward with it,
    of one that exists twice the first is taken. A purchase with a negative amount or quantity is a refund; the numbers of refunds are
    positive. Without an amount it is unit price × quantity.

    Parameters
    ----------
    source
        A path to a file (CSV, JSON lines, Parquet; plain, gzip, zstd, bz2, xz), a folder or a pattern with ``*``, a list of paths, a pandas
        or polars table, a LazyFrame or an Arrow table. May be absent for a layout that knows its own files.
    columns
        Our column -> the source's column, where it must not be guessed; an empty name says that there is none. Other names than ours are
        attributes.
    kinds
        The source's event -> our kind; under ``*`` what all others are.
    timezone
        The zone of the shop: of its days, and of times that name none.
    layout
        Name of a known public layout; see ``LAYOUTS``. A layout has its own zone.
    currency
        Currency of all amounts, where no column says it.
    lateness_days
        How late an event may come and still count.
    now
        The instant after which nothing can have happened yet; this moment by default.
    scales
        Stored units per one by column, where they shall differ.
    dialect
        How text is written, where it must not be guessed.
    cancelled
        How the numbers of cancelled orders begin, whose lines are refunds; empty where they are not marked. Found out where it is None.
    query
        What to read from a database (``sqlite:///…``, ``duckdb:///…``, ``postgresql://…``, ``mysql://…``): a SELECT or a table's name.

    Raises
    ------
    NotFoundError, AccessError, EmptyError, InputError, ColumnError
        When there is no such source, it may not be read, there is nothing in it, it is no table, or no column is the customer or the time.
    UsageError
        When a setting is wrong.

    Examples
    --------
    >>> import polars as pl
    >>> table = pl.DataFrame({"kunde": ["a", "b"], "datum": ["31.01.2017", "1.2.2017"], "betrag": ["12,50 €", "3,00 €"]})
    >>> reading = read(table)
    >>> reading.mapping.columns
    {'user_id': 'kunde', 'time': 'datum', 'amount': 'betrag'}
    >>> reading.history.log.frame()["amount"].to_list()
    [12.5, 3.0]
    """
    source = table(str(source), query) if is_database(source) else source
    known = _layout(layout, source)
    clock = Clock(known.timezone or timezone)
    check_kinds(kinds or {})
    opened = open_source(source if known.source is None else known.source, dialect)
    given = {**known.columns, **(columns or {})}
    said = known.cancelled if cancelled is None else cancelled
    maker, mapping = _plan(opened, given, {**known.kinds, **(kinds or {})}, clock.zone, dialect or Dialect(), said)
    maker.now, maker.currency = _now(now, clock), currency
    builder = LinesBuilder(opened.rows, {**known.scales, **(scales or {})})
    wanted = [*maker.columns.values(), *maker.attributes]
    coded = [name for key, name in maker.columns.items() if key in (*CODED, "user_id", "kind") and key != "text"]
    rows, rejected = 0, []
    for batch in opened.batches(wanted, coded):
        frame, rejects = maker.make(batch)
        rows += len(batch.frame) + len(batch.broken)
        builder.add(frame)
        if rejects is not None:
            rejected.append(rejects)
    found = Rejects.of(rejected)
    if len(found) == rows:
        raise _nothing(rows, found)
    log = group(builder.finish(), end=known.end, clock=clock)
    log = paid(log) if maker.price_is_amount else log
    history = History(log, clock, *known.profiles, lateness_days if known.lateness_days is None else known.lateness_days)
    return Reading(history, _told(mapping, maker, set(known.columns) - set(columns or {})), found, rows)


def _layout(name: str | None, source: object) -> Layout:
    if name is None:
        if source is None:
            raise UsageError("No source was named.", "whenbuy reads a file, a folder or a table.", "Name one.")
        return Layout()
    if name not in LAYOUTS:
        raise UsageError(
            f"The layout {name!r} is not known.", f"Known are {', '.join(LAYOUTS)}.", "Name one of these, or none: columns are guessed."
        )
    return LAYOUTS[name](source)


def _now(now: datetime | int | None, clock: Clock) -> int:
    return clock.instant(datetime.now(UTC) if now is None else now)


def _nothing(rows: int, rejects: Rejects) -> EmptyError:
    reasons = "; ".join(f"{count:,} × {reason}" for reason, count in rejects.counts().head(3).iter_rows())
    example = rejects.frame["raw"][0][:200] if len(rejects) else ""
    return EmptyError(
        f"None of the {rows:,} rows could be read" + (f" ({reasons})." if reasons else "."),
        "whenbuy needs at least one event with a time.",
        f"Look at the first one: {example}" if example else "Name a file with events.",
    )


# ------------------------------------------------------------------------------------------------- plan


def _plan(
    source: Source, given: Dict[str, str], kinds: Dict[str, str], zone: str, dialect: Dialect, cancelled: str | None,
) -> tuple[FrameMaker, Mapping]:  # fmt: skip
    """Return what makes canonical frames of a source, and how it was understood."""
    sample = source.sample(SAMPLE)
    if not len(sample):
        broken = Rejects.of([broken_rows(batch.broken) for batch in source.batches() if batch.broken])
        raise _nothing(len(broken), broken)
    guesses = map_columns(sample, given, source.named)
    columns = {guess.key: str(guess.value) for guess in guesses}
    every = None if "kind" in columns else kind_without_column(columns, kinds)
    attributes, left_out = _attributes(sample, columns)
    left_out |= {name: "you said so" for name in attributes if given.get(name) == ""}
    attributes = [name for name in attributes if name not in left_out]
    seen = _evidence(source, columns, attributes, dialect)
    day_first, decimal, written = seen.verdicts(dialect, source)
    readers: dict[str, TimeReader] = {key: TimeReader(columns[key], zone, day_first) for key in ("time", "known_at") if key in columns}
    maker = FrameMaker(
        columns, {name: seen.attributes.get(columns.get(name, name)) for name in attributes}, readers, 0,
        None if every is None else str(every.value), kinds, decimal, _whole(sample, columns),
    )  # fmt: skip
    maker.cancelled = cancelled or None
    if cancelled is None and (mark := cancellations(sample, columns)) is not None:
        maker.cancelled = str(mark.value)
        written.append(mark)
    named = tuple(guesses) + ((every,) if every is not None else ())
    return maker, Mapping((*written, *named), tuple(attributes), MappingProxyType(left_out))


def _attributes(sample: pl.DataFrame, columns: Dict[str, str]) -> tuple[list[str], dict[str, str]]:
    """Return the names of the columns that ride along, and why others do not."""
    taken = set(columns.values())
    riding, left_out = [key for key in columns if key not in CANONICAL], {}
    for column in sample:
        if column.name in taken:
            continue
        if reason := _why_not(column):
            left_out[column.name] = reason
        else:
            riding.append(column.name)
    return riding, left_out


def _why_not(column: pl.Series) -> str:
    if column.name in (*CANONICAL, "orders"):
        return "its name is one of whenbuy's, for something else"
    if column.dtype.is_nested() or column.dtype in (pl.Object, pl.Binary):
        return "it holds lists or bytes"
    if column.null_count() == len(column) or (column.dtype == pl.String and (column.fill_null("").str.strip_chars() == "").all()):
        return "it is empty"
    if column.dtype in (pl.String, pl.Categorical) and len(column) >= _MANY and column.n_unique() > len(column) / 2:
        return "almost every row has a text of its own"
    return ""


def _whole(sample: pl.DataFrame, columns: Dict[str, str]) -> frozenset[str]:
    """Return the id columns that hold whole numbers written with a decimal point, as tables with missing ids write them."""
    found = set()
    for key, name in columns.items():
        known = sample[name].drop_nulls()
        if key not in ("user_id", *CODED) or not len(known):
            continue
        if known.dtype.is_float():
            known = known.drop_nans()
            if (known % 1 == 0).all():
                found.add(key)
        elif known.dtype == pl.String:
            known = known.filter(known.str.strip_chars() != "")
            if len(known) and known.str.contains(r"^\s*\d+\.0\s*$").all():
                found.add(key)
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What all rows of a source say about how its text is to be read."""

    days: DayEvidence
    decimals: DecimalEvidence
    attributes: dict[str, AttributeEvidence]

    def verdicts(self, dialect: Dialect, source: Source) -> tuple[bool, str, list[Guess]]:
        """Return whether the day comes first, the decimal mark, and the guesses that say so."""
        found = source.dialect
        guesses = []
        if found is not None:
            guesses.append(Guess("source", "encoding", found.encoding or "utf-8", 1.0 if dialect.encoding else 0.9, "its bytes say so"))
            if found.separator is not None:
                guesses.append(
                    Guess("source", "separator", found.separator, 1.0 if dialect.separator else 0.9, "it cuts the lines into equal fields")
                )
        day_first, sure, why = (dialect.day_first, 1.0, "you said so") if dialect.day_first is not None else self.days.verdict()
        if self.days.dates:
            guesses.append(Guess("source", "day_first", day_first, round(sure, 3), why))
        mark, sure, why = self.decimals.verdict(None if found is None else found.separator)
        if dialect.decimal is not None:
            mark, sure, why = dialect.decimal, 1.0, "you said so"
        if mark == "," or sure < 1:
            guesses.append(Guess("source", "decimal", mark, round(sure, 3), why))
        return day_first, mark, guesses


def _evidence(source: Source, columns: Dict[str, str], attributes: list[str], dialect: Dialect) -> _Evidence:
    """Read the text columns once for what they say as a whole; a source without text is not read."""
    schema = source.schema
    days, decimals = DayEvidence(), DecimalEvidence()
    times = {columns[key] for key in ("time", "known_at") if key in columns and schema[columns[key]] == pl.String}
    figures = {columns[key] for key in SCALES if key in columns and schema[columns[key]] == pl.String and dialect.decimal is None}
    riding = {columns.get(name, name) for name in attributes}
    held = {name: AttributeEvidence() for name in schema if name in riding and schema[name] == pl.String}
    wanted = [name for name in schema if name in times or name in figures or name in held]
    if wanted:
        for batch in source.batches(wanted):
            for name in wanted:
                column = batch.frame[name]
                if name in times:
                    days.see(column)
                elif name in figures:
                    decimals.see(column)
                else:
                    held[name].see(column)
    return _Evidence(days, decimals, held)


# ------------------------------------------------------------------------------------------------- told


def _told(mapping: Mapping, maker: FrameMaker, preset: set[str]) -> Mapping:
    """Return the mapping with the events that were met and what was done with oddities."""
    guesses = [replace(g, reason="the layout says so") if g.table == "columns" and g.key in preset else g for g in mapping.guesses]
    guesses = [replace(g, rows=maker.seen[str(g.value)]) if g.table == "kinds" else g for g in guesses]
    guesses += [replace(guess, rows=maker.seen[name]) for name, guess in maker.kinds.items()]
    notes = []
    if "amount" not in maker.columns and "unit_price" in maker.columns:
        notes.append("amount is unit_price" + (" × quantity" if "quantity" in maker.columns else " (there is no quantity)"))
    if maker.negative:
        notes.append(f"{maker.negative:,} purchases that were cancelled, or have a negative amount or quantity, are refunds")
    if maker.early:
        notes.append(f"{maker.early:,} rows were known before they happened: known_at was raised to time")
    for reader in maker.readers.values():
        if reader.naive:
            notes.append(f"times of {reader.name!r} name no zone: they are taken as {reader.zone}")
        if reader.gaps:
            notes.append(f"{reader.gaps:,} times of {reader.name!r} do not exist in {reader.zone}: moved forward with the clock")
        if reader.folds:
            notes.append(f"{reader.folds:,} times of {reader.name!r} exist twice in {reader.zone}: the first was taken")
    strange = sorted(g.key for g in maker.kinds.values() if g.value not in KINDS)
    if strange:
        notes.append(f"events that whenbuy does not know and keeps by their own name: {', '.join(strange[:10])}")
    if absent := sorted(set(maker.given) - set(maker.seen) - {EVERY}):
        notes.append(f"events that you named and that do not occur: {', '.join(absent[:10])}")
    return replace(mapping, guesses=tuple(guesses), notes=tuple(notes))
