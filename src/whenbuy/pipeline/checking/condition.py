"""The condition of a log: what was done with each oddity, its clock, its currency, its gaps, its start and its end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from whenbuy.clean import REFUND_OF, Cleaned, MixedUnits, clean
from whenbuy.core.arrays import DAY, MISSING, Bools, Ints
from whenbuy.core.history import History
from whenbuy.ingest.read import Reading
from whenbuy.pipeline.checking.parts import Level, Remark
from whenbuy.pipeline.telling import screen

QUIET_HOURS: Final = 5
"""People sleep: in a shop's own zone the quietest five hours lie in the night."""
QUIET_MIDDLE: Final = 3.5
"""Their middle, in hours after midnight, in the shop's own zone (half past three)."""
QUIET_REACH: Final = 4.0
"""By how many hours it may lie elsewhere before the clock is doubted."""
QUIET_SHARE: Final = 0.4
"""The quietest hours tell something only where they hold less than this part of what even activity would put there."""
ROWS: Final = 500
"""Fewer rows than this say nothing about hours or weekdays."""
EMPTY: Final = 1e-3
"""A run of empty days is a gap where a steady shop would have one as long with less than this chance."""
NEW: Final = 2.0
"""The log begins in the middle of things where its first four weeks bring this many times the new customers of later weeks."""
HEAVY: Final = 0.02
"""A customer with more than this share of all rows is named: a till, a company or a machine, perhaps."""
TIMES: Final = 30.0
"""Where she has this many times the rows of the mean customer, too."""
DWELL: Final = 1_800.0
"""People look at one page for seconds or minutes: where half of the looks last longer than this many seconds, they are not seconds."""
_WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_SHOWN: Final = 5


def remarks(history: History, reading: Reading | None, cleaned: Cleaned) -> tuple[Remark, ...]:
    """Return everything to know about a log beside its columns.

    Parameters
    ----------
    history
        The history as it was read.
    reading
        How it was read; None where it was made otherwise.
    cleaned
        The history cleaned.
    """
    said = () if reading is None else (*_writing(reading), *_rejected(reading))
    return (
        *said,
        *_people(history),
        *_kinds(history),
        *_refunds(cleaned.history),
        *_cleaning(cleaned),
        *_currency(history),
        *_units(history),
        *_clock(history),
        *_lateness(history),
        *_gaps(history),
        *_edges(cleaned.history),
    )


# ------------------------------------------------------------------------------------------- as it was read


def _writing(reading: Reading) -> Iterator[Remark]:
    guesses = reading.mapping.guesses
    if words := screen.writing(guesses):
        unsure = any(guess.table == "source" and guess.confidence < 0.9 for guess in guesses)
        why = "; ".join(guess.reason for guess in guesses if guess.table == "source" and guess.key in ("day_first", "decimal"))
        yield Remark("writing", "warning" if unsure else "note", f"read as {words}" + (f" ({why})" if why else ""))
    for note in reading.mapping.notes:
        yield Remark("reading", "note", note)


def _rejected(reading: Reading) -> Iterator[Remark]:
    for reason, count in reading.rejects.counts().head(2 * _SHOWN).iter_rows():
        level: Level = "warning" if count > 0.01 * reading.rows else "note"
        topic = "future dates" if "future" in reason else "rejected"
        yield Remark(topic, level, f"{count:,} rows were set aside: {reason}", count)


# ------------------------------------------------------------------------------------------------- the rows


def _people(history: History) -> Iterator[Remark]:
    log = history.log
    nobody = len(log) - int(log.offsets[-1])
    if nobody:
        level: Level = "warning" if nobody > 0.5 * len(log) else "note"
        words = (
            f"{nobody:,} rows ({nobody / len(log):.0%}) have no customer: they belong to nobody's past, and count for items and the shop"
        )
        yield Remark("no customer", level, words, nobody)
    counts = np.diff(log.offsets)
    most = int(counts.argmax()) if len(counts) else 0
    if len(counts) >= 100 and counts[most] > max(HEAVY * len(log), TIMES * counts.mean()):
        name = log.users.ids[most]
        words = f"customer {name} has {counts[most] / len(log):.0%} of all rows: a till, a company, a machine?"
        yield Remark("heavy customer", "warning", words, int(counts[most]))


def _kinds(history: History) -> Iterator[Remark]:
    log = history.log
    counts = {kind: log.count(kind) for kind in log.seen()}
    if "purchase" not in counts:
        yield Remark("purchases", "warning", f"there is no purchase among {', '.join(counts)}: say which events are, under [kinds]")


def _refunds(history: History) -> Iterator[Remark]:
    log = history.log
    refunds = np.flatnonzero(log.kind == log.code("refund")) if "refund" in log.kinds else np.empty(0, np.int64)
    if not len(refunds):
        return
    words = f"{len(refunds):,} refunds: each is an event of its own from its own time on, and takes nothing from the purchase before that"
    if REFUND_OF in log.columns:
        found = int((log.columns[REFUND_OF].values[refunds] != MISSING).sum())
        words += f"; the purchase of {found:,} was found"
    if mark := _mark(history, refunds):
        words += f"; the order ids of nearly all begin with {mark!r}, those of purchases do not"
    yield Remark("refunds", "note", words, len(refunds))


def _mark(history: History, refunds: Ints) -> str:
    """Return the letters with which the order ids of refunds begin, where those of purchases do not."""
    order = history.log.columns.get("order_id")
    if order is None or order.dictionary is None:
        return ""
    letters = order.dictionary.ids.str.extract(r"^(\p{L}+)").fill_null("")
    places = [order.values[rows] for rows in (refunds, np.flatnonzero(history.log.kind == history.log.code("purchase")))]
    back, bought = (letters.gather(codes[codes >= 0].astype(np.uint32)) for codes in places)
    if not len(back):
        return ""
    mark = str(back.mode().sort()[0])
    usual = int((bought == mark).sum()) / max(1, len(bought))
    return mark if mark and int((back == mark).sum()) >= 0.9 * len(back) and usual < 0.1 else ""


_TOPICS: Final = {
    "duplicates": "duplicates", "double_clicks": "duplicates", "impossible": "impossible", "test_orders": "tests", "bots": "bots",
}  # fmt: skip


def _cleaning(cleaned: Cleaned) -> Iterator[Remark]:
    for part in cleaned.report.rules:
        for count in part.counts:
            many = count.done == "removed" and count.rows > 0.05 * max(1, part.before)
            example = f" For example {count.examples[0]}." if count.examples and part.rule != "bots" else ""
            keep = f" If they are real, keep them: [clean] {part.rule} = false." if many else ""
            yield Remark(_TOPICS.get(part.rule, part.rule), "warning" if many else "note", f"{count}{example}{keep}", count.rows)


def _currency(history: History) -> Iterator[Remark]:
    column = history.log.columns.get("currency")
    if column is None or column.dictionary is None:
        return
    counts = np.bincount(column.values[column.values >= 0], minlength=len(column.dictionary))
    there = np.argsort(-counts, kind="stable")[: int((counts > 0).sum())]
    names = [f"{column.dictionary.ids[int(code)]} ({counts[code] / counts.sum():.0%})" for code in there]
    if len(names) > 1:
        words = f"amounts are in {', '.join(names[:_SHOWN])}: they are summed as they are. Give rates under [clean] currencies"
        yield Remark("currencies", "warning", words, int(counts.sum() - counts.max()))
    elif names:
        yield Remark("currencies", "fine", f"all amounts are in {column.dictionary.ids[int(there[0])]}")


def _units(history: History) -> Iterator[Remark]:
    log = history.log
    if {"unit_price", "item_id"} <= log.columns.keys() and "purchase" in log.kinds:
        found = dict(clean(history, (MixedUnits(),)).report.rules[0].facts)
        rows = sum(found.values())
        if rows:
            words = f"{rows:,} prices are exactly 100 times the item's usual one, or a hundredth of it: cents among full units?"
            yield Remark("units", "warning", f'{words} Mend them with [clean] mixed_units = {{ action = "mend" }}', rows)
    dwell = log.columns.get("dwell_s")
    if dwell is not None and dwell.dictionary is None:
        known = dwell.values[dwell.values > 0]
        middle = float(np.median(known)) / dwell.scale if len(known) else 0.0
        if middle > DWELL:
            words = f"the middle dwell time is {middle:,.0f} seconds: it looks like milliseconds"
            mend = '[clean] rescale = { column = "dwell_s", factor = 0.001, above = 0 }'
            yield Remark("units", "warning", f"{words}. Mend it with {mend}", len(known))


# ------------------------------------------------------------------------------------------------ the clock


def _clock(history: History) -> Iterator[Remark]:
    log, zone = history.log, history.clock.zone
    sample = log.time[:: max(1, len(log) // 200_000)]
    midnight = history.clock.midnight_before(sample) == sample
    if midnight.all():
        yield Remark("clock", "note", "times are bare days: orders of one customer on one day without an order_id are one order")
        return
    if midnight.mean() > 0.2:
        words = f"{midnight.mean():.0%} of the times are exactly midnight: days without a clock time, mixed with times that have one"
        yield Remark("clock", "warning", words)
    hours = np.bincount(history.clock.local(sample[~midnight]).dt.hour().to_numpy(), minlength=24)
    shift = quiet_shift(hours)
    if shift is None:
        return
    if abs(shift) > QUIET_REACH:
        start = round(QUIET_MIDDLE + shift - QUIET_HOURS / 2) % 24
        words = (
            f"the quietest hours are {start}:00 to {(start + QUIET_HOURS) % 24}:00 in {zone}, and people sleep at night: the clock is "
            f"about {abs(shift):.0f} hours {'ahead' if shift > 0 else 'behind'}. Name the shop's own zone (timezone), if {zone} is not it"
        )
        yield Remark("time zone", "warning", words)
    else:
        yield Remark("time zone", "fine", f"the quietest hours lie in the night of {zone}")


def quiet_shift(hours: Ints) -> float | None:
    """Return by how many hours the quietest hours lie after those of the night, from -12 to 12; None where no hours are quiet.

    Parameters
    ----------
    hours
        Events by hour of the day (24).
    """
    if hours.sum() < ROWS:
        return None
    around = np.concatenate([hours, hours[: QUIET_HOURS - 1]])
    held = np.convolve(around, np.ones(QUIET_HOURS), "valid")
    if held.min() > QUIET_SHARE * hours.sum() * QUIET_HOURS / 24:
        return None
    lowest = np.flatnonzero(held <= held.min() + 0.002 * hours.sum())
    angle = np.angle(np.exp(2j * np.pi * (lowest + QUIET_HOURS / 2) / 24).mean())
    return float((angle * 24 / (2 * np.pi) - QUIET_MIDDLE + 12) % 24 - 12)


def _lateness(history: History) -> Iterator[Remark]:
    log = history.log
    if not log.late:
        return
    days = (log.known_at - log.time) / DAY
    late = days > 1 / 24
    if not late.any():
        return
    most = float(np.quantile(days, 0.99))
    words = f"{late.mean():.0%} of the events became known more than an hour late, 99 % of all within {most:.1f} days"
    if most > history.lateness_days:
        yield Remark(
            "late events", "warning", f"{words}; lateness_days is {history.lateness_days:g}: labels ripen too early", int(late.sum())
        )
    else:
        yield Remark("late events", "note", f"{words}; lateness_days is {history.lateness_days:g}", int(late.sum()))


# ------------------------------------------------------------------------------------------------- the days


def days_of(history: History) -> tuple[Ints, int]:
    """Return how many events each local day holds, from the day of the first event to that of the last, and the first day since 1970."""
    day = history.clock.days(history.log.time)
    first = int(day.min())
    return np.bincount(day - first), first


def closed_weekdays(counts: Ints, first: int) -> Bools:
    """Return on which weekdays (Monday first) nothing ever happens, where other days bring something (7)."""
    weekday = (np.arange(len(counts)) + first + 3) % 7  # 1970-01-01 was a Thursday
    seen, held = np.bincount(weekday, minlength=7), np.bincount(weekday, counts, minlength=7)
    usual = held.sum() / max(1, seen.sum())
    return np.asarray((seen >= 4) & (held <= 0.02 * usual * seen) & (usual >= 1))


def gap_runs(counts: Ints, closed: Bools, first: int) -> list[tuple[int, int]]:
    """Return the runs of empty open days (first day since 1970, length in open days) that chance hardly makes.

    In n open days of which a share p is empty, a run of k comes with a chance of at most n·p^k; p is counted outside the run.
    """
    open_days = np.flatnonzero(~closed[(np.arange(len(counts)) + first + 3) % 7])
    empty = counts[open_days] == 0
    edges = np.flatnonzero(np.diff(np.concatenate([[0], empty.astype(np.int8), [0]])))
    runs = []
    for start, stop in edges.reshape(-1, 2):
        length, n = int(stop - start), len(empty)
        share = (empty.sum() - length + 0.5) / max(1, n - length)
        if n * share**length < EMPTY:
            runs.append((int(open_days[start]) + first, length))
    return runs


def _gaps(history: History) -> Iterator[Remark]:
    if not len(history.log):
        return
    counts, first = days_of(history)
    closed = closed_weekdays(counts, first)
    if closed.any():
        names = ", ".join(name for name, shut in zip(_WEEKDAYS, closed, strict=True) if shut)
        words = f"nothing ever happens on {names}: the shop seems closed then. Rhythms learn it; give single closed days under [calendar]"
        yield Remark("closed days", "note", words)
    runs = gap_runs(counts, closed, first)
    for day, length in sorted(runs, key=lambda run: -run[1])[:_SHOWN]:
        at = _date(day)
        words = f"{length:,} days without an event from {at} on: closed (say so under [calendar]), or is a file missing?"
        yield Remark("gaps", "warning", words)


def _date(day: int) -> str:
    return f"{np.datetime64(day, 'D')}"


def _edges(history: History) -> Iterator[Remark]:
    log = history.log
    counts, first = days_of(history)
    same_day = counts[-29:-1:7]
    usual = float(np.median(same_day)) if len(counts) > 28 else 0.0
    if usual >= 10 and counts[-1] < 0.3 * usual:
        day = _date(first + len(counts) - 1)
        words = f"the last day ({day}) has {counts[-1]:,} events, its weekday {usual:,.0f}: it looks unfinished. Fit with --as-of {day}"
        yield Remark("end", "warning", words)
    held = log.offsets[:-1] < log.offsets[1:]
    born = history.clock.days(log.time[log.offsets[:-1][held]]) - first
    weeks = np.bincount(born // 7, minlength=len(counts) // 7 + 1)
    if len(weeks) >= 12 and weeks.sum() >= 100:
        early, later = weeks[:4].mean(), weeks[4:-1].mean()
        if early > NEW * max(later, 0.5):
            words = (
                f"{early:,.0f} new customers a week in the first four weeks, {later:,.1f} later: many of those were customers before the "
                "log begins. How long, and how often they had bought, is not known: all is counted from its start"
            )
            yield Remark("start", "note", words)
