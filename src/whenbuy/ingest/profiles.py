"""Profiles from a shop's own files: an item catalogue, prices and stock, attributes of users, promotions."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

import numpy as np
import polars as pl

from whenbuy.core.arrays import MISSING
from whenbuy.core.clock import Clock
from whenbuy.core.errors import ColumnError, EmptyError
from whenbuy.core.history import History
from whenbuy.core.log import SCALES, Column, Dictionary, EventLog
from whenbuy.core.profile import Profile
from whenbuy.ingest.columns import known_word
from whenbuy.ingest.files import open_source
from whenbuy.ingest.frames import Rejects, broken_rows, rejected
from whenbuy.ingest.lines import FLOAT_SCALE
from whenbuy.ingest.parse import AttributeEvidence, DayEvidence, names
from whenbuy.ingest.source import Batch
from whenbuy.ingest.text import Dialect
from whenbuy.ingest.times import TimeReader
from whenbuy.ingest.words import COLUMN_NAMES, plain

ALWAYS: Final = ("category", "brand")
"""Attributes of items that are written beside the events of a log that lacks them."""

_KEYS: Final = {"user": "user_id", "item": "item_id", "offer": "offer_id"}
_TAKEN: Final = ("id", "valid_from", "row", "cutoff")
_UTC: Final = pl.Datetime("us", "UTC")
_BEGINNING: Final = pl.lit(0, pl.Int64).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


@dataclass(frozen=True, slots=True)
class ProfileSource:
    """A file with attributes.

    Parameters
    ----------
    path
        Files, folders or patterns.
    key
        The column with the id; found by its name where it is empty.
    valid_from
        The column with the day or instant from which on a row is true; empty where they are timeless.
    columns
        Our attribute -> the source's column.
    property, value
        Where every row holds one attribute: the columns with its name and its value.
    """

    path: tuple[str, ...]
    key: str = ""
    valid_from: str = ""
    columns: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    property: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class ProfileReading:
    """A profile that was read.

    Parameters
    ----------
    profile
        What was understood.
    rejects
        Rows that were not: without an id, without a readable date, broken.
    rows
        How many rows the files have.
    notes
        What was done, in words with counts.
    """

    profile: Profile
    rejects: Rejects
    rows: int
    notes: tuple[str, ...]


def read_profile(entity: str, sources: Sequence[ProfileSource], clock: Clock, dialect: Dialect | None = None) -> ProfileReading:
    """Return the profile in some files.

    One file is taken as it stands: a row is the whole state of its entity from its date on. Where there are several (a catalogue, prices,
    stock), or each row holds one attribute, a row changes what it names and the rest stays as it was; what a timeless file says holds from
    the beginning.

    Parameters
    ----------
    entity
        user, item or offer.
    sources
        The files.
    clock
        The zone of dates that name none.
    dialect
        How text is written, where it must not be guessed.

    Raises
    ------
    NotFoundError, AccessError, EmptyError, InputError
        When there is no such file, it may not be read, or nothing in it can be.
    ColumnError
        When a column is missing, or no column is the id.
    """
    tables, rejects, rows, notes = [], [], 0, []
    for source in sources:
        table, bad, count, said = _read(entity, source, clock, dialect or Dialect())
        tables.append(table)
        rejects += bad
        rows += count
        notes += said
    dated = any("valid_from" in table.columns for table in tables)
    changes = len(tables) > 1 or any(source.property for source in sources)
    if dated:
        tables = [t if "valid_from" in t.columns else t.with_columns(valid_from=_BEGINNING) for t in tables]
    table = pl.concat(tables, how="diagonal_relaxed")
    keys = ["id", "valid_from"] if dated else ["id"]
    whole = at_each_change(table, keys) if changes else table.unique(keys, keep="last", maintain_order=True)
    if len(whole) < len(table) and not changes:
        notes.append(f"{len(table) - len(whole):,} rows were replaced by a later one of the same {' and '.join(keys)}")
    profile = Profile(entity, whole, timeless=not dated)
    told = f"{entity} profile: {whole['id'].n_unique():,} ids with {', '.join(profile.attributes) or 'no attribute'}"
    return ProfileReading(profile, Rejects.of(rejects), rows, (told + ("" if dated else ", timeless (said aloud)"), *notes))


def at_each_change(changes: pl.DataFrame, keys: Sequence[str] = ("id", "valid_from")) -> pl.DataFrame:
    """Return the whole state of each id at each of its changes: what a row does not name stays as it was."""
    attributes = [name for name in changes.columns if name not in keys]
    last = changes.group_by(keys, maintain_order=True).agg(pl.col(name).drop_nulls().last() for name in attributes)
    return last.sort(keys, maintain_order=True).with_columns(pl.col(attributes).forward_fill().over("id"))


# ------------------------------------------------------------------------------------------------ one file


def _read(entity: str, source: ProfileSource, clock: Clock, dialect: Dialect) -> tuple[pl.DataFrame, list[pl.DataFrame], int, list[str]]:
    opened = open_source(list(source.path), dialect)
    where, schema = ", ".join(source.path), [*opened.schema]
    key = source.key or _key(entity, schema, where)
    for name in (key, source.valid_from, source.property, source.value, *source.columns.values()):
        if name:
            _require(name, schema, where)
    batches = list(opened.batches())
    rows = sum(len(batch.frame) + len(batch.broken) for batch in batches)
    bad = [broken_rows(batch.broken) for batch in batches if batch.broken]
    whole = Batch(pl.concat([batch.frame for batch in batches]), where)
    made, faults = {}, []
    made["id"], unkeepable = names(whole.frame[key], _pointed(whole.frame[key]))
    faults.append((made["id"].is_null(), f"{key} is empty"))
    if unkeepable is not None:
        faults.append((unkeepable, f"{key} cannot be a name (a control character, or too long)"))
    if source.valid_from:
        made["valid_from"] = _instants(whole.frame[source.valid_from], clock)
        faults.append((made["valid_from"].is_null(), f"{source.valid_from} is not a time"))
    attributes, notes = _attributes(whole.frame.drop({key, source.valid_from} - {""}), source, clock, dialect)
    table = pl.DataFrame([made[name].cast(pl.String).alias(name) if name == "id" else made[name].alias(name) for name in made])
    table = table.hstack(attributes.get_columns())
    good = pl.Series([True], dtype=pl.Boolean).new_from_index(0, len(table))
    for mask, reason in faults:
        bad += rejected(whole, mask & good, reason)
        good &= ~mask
    table = table.filter(good)
    if not len(table):
        raise EmptyError(f"None of the {rows:,} rows of {where} could be read.", f"Each needs an id in {key!r}.", "Look at the file.")
    if source.property:
        index = [name for name in ("id", "valid_from") if name in table.columns]
        table = table.pivot("property", index=index, values="value", aggregate_function="last", maintain_order=True)
        table = table.with_columns(_typed(table[name], clock, dialect) for name in table.columns if name not in index)
    return table, bad, rows, notes


def _key(entity: str, schema: Sequence[str], where: str) -> str:
    """Return the column that its name says to be the id."""
    wanted = _KEYS[entity]
    found = [name for name in schema if (word := known_word(plain(name))[0]) is not None and COLUMN_NAMES[word] == wanted]
    found = found or [name for name in schema if plain(name) in ("id", "code", "nr")]
    if not found:
        raise ColumnError(
            f"No column of {where} is called like the id of an {entity}; there are {', '.join(map(repr, schema[:20]))}.",
            "A profile needs to know whose attributes these are.", f'Say it under [profiles.{entity}s]: key = "YOUR COLUMN".',
        )  # fmt: skip
    return found[0]


def _require(name: str, schema: Sequence[str], where: str) -> None:
    if name not in schema:
        near = difflib.get_close_matches(name, schema, 1, 0.5)
        raise ColumnError(
            f"{where} has no column {name!r}; there are {', '.join(map(repr, schema[:20]))}.", "A named column must be there, spelt alike.",
            f"Perhaps {near[0]!r} was meant." if near else "Name one of these.",
        )  # fmt: skip


def _pointed(column: pl.Series) -> bool:
    """Return whether ids are whole numbers written with a decimal point."""
    known = column.drop_nulls()
    if known.dtype.is_float():
        return bool((known.drop_nans() % 1 == 0).all())
    return known.dtype == pl.String and len(known) > 0 and bool(known.str.contains(r"^\s*(?:\d+\.0)?\s*$").all())


def _instants(column: pl.Series, clock: Clock) -> pl.Series:
    days = DayEvidence()
    if column.dtype == pl.String:
        days.see(column)
    return TimeReader(column.name, clock.zone, days.verdict()[0]).read(column)


def _attributes(frame: pl.DataFrame, source: ProfileSource, clock: Clock, dialect: Dialect) -> tuple[pl.DataFrame, list[str]]:
    """Return the attributes under our names, each as what it holds throughout."""
    if source.property:
        told = frame.select(property=pl.col(source.property).cast(pl.String), value=pl.col(source.value).cast(pl.String))
        return told, []
    ours = {theirs: name for name, theirs in source.columns.items()}
    kept, notes = [], []
    for column in frame:
        name = ours.get(column.name, column.name)
        if name in _TAKEN:
            notes.append(f"the column {column.name!r} was not read: whenbuy uses that name; give it another one under columns")
        elif column.dtype.is_nested() or column.dtype in (pl.Binary, pl.Object):
            notes.append(f"the column {column.name!r} was not read: it holds lists or bytes")
        else:
            kept.append(_typed(column, clock, dialect).alias(name))
    return pl.DataFrame(kept), notes


def _typed(column: pl.Series, clock: Clock, dialect: Dialect) -> pl.Series:
    """Return a column as numbers, yes and no, instants, or names: what all of it can be."""
    if column.dtype in (pl.Date, pl.Datetime):
        return _instants(column, clock)
    if column.dtype != pl.String:
        return column.cast(pl.String) if column.dtype in (pl.Categorical, pl.Enum) else column
    evidence = AttributeEvidence()
    evidence.see(column)
    mark = dialect.decimal or ("," if evidence.comma and not evidence.point else ".")
    if evidence.filled and not (evidence.boolean or evidence.integer or evidence.comma or evidence.point):
        found = _instants(column, clock)
        if found.null_count() == (column.is_null() | (column.str.strip_chars() == "")).sum():
            return found
    return evidence.read(column, mark)


# ------------------------------------------------------------------------------------------------ beside events


def beside_events(history: History, wanted: Sequence[str] = ()) -> tuple[History, tuple[str, ...]]:
    """Return the history with attributes of items beside its events, each as it was known when the event was; and which these are.

    ``category`` and ``brand`` are written beside where the log lacks them, others where they are wanted.

    Raises
    ------
    ColumnError
        When the profile has no such attribute, or the log has no items.
    """
    items, log = history.items, history.log
    if items is None:
        return history, ()
    if strange := [name for name in wanted if name not in items.attributes]:
        raise ColumnError(
            f"The item profile has no attribute {', '.join(strange)}.",
            f"It has {', '.join(items.attributes) or 'none'}.",
            "Name one of these.",
        )
    if wanted and "item_id" not in log.columns:
        raise ColumnError("The log has no item_id.", "Attributes of items can stand beside events of items only.", "Take to_events out.")
    chosen = [name for name in (*ALWAYS, *wanted) if name in items.attributes and name not in log.columns]
    chosen = list(dict.fromkeys(chosen))
    if not chosen or "item_id" not in log.columns:
        return history, ()
    found = _as_known(items, log)
    columns = {name: _column(name, found[name]) for name in chosen}
    return replace(history, log=replace(log, columns={**log.columns, **columns})), tuple(chosen)


def _as_known(items: Profile, log: EventLog) -> pl.DataFrame:
    """Return the attributes of each event's item when the event was known (n rows)."""
    ids = log.columns["item_id"]
    assert ids.dictionary is not None
    if not items.timeless:
        return items.as_of(ids.series(), log.known_at + 1)
    of_item = items.as_of(ids.dictionary.ids, np.zeros(len(ids.dictionary), np.int64))
    code = pl.Series(np.asarray(ids.values, np.int32)).to_frame("code").select(pl.when(pl.col("code") >= 0).then("code"))["code"]
    return of_item.select(pl.all().gather(code))


def _column(name: str, values: pl.Series) -> Column:
    if values.dtype.is_temporal():
        raise ColumnError(f"The attribute {name!r} holds instants.", "Beside events stand names and numbers.", "Take it out of to_events.")
    if values.dtype.is_numeric() or values.dtype == pl.Boolean:
        scale = SCALES.get(name, FLOAT_SCALE if values.dtype.is_float() else 1)
        number = (values.cast(pl.Float64) * scale).round()
        whole = number.to_frame("n").select(pl.when(pl.col("n").is_finite()).then(pl.col("n")).cast(pl.Int64).fill_null(MISSING))["n"]
        return Column(whole.to_numpy().astype(np.int64), scale=scale)
    text = values.cast(pl.String)
    names_ = Dictionary(text.drop_nulls().unique(maintain_order=True).alias("id"))
    return Column(names_.codes(text), names_)
