"""The slow twin of the feature engines: one key after the other, one event after the other, straight from the words of the spec."""

import math
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from whenbuy import features as f
from whenbuy.core.arrays import DAY, MISSING
from whenbuy.core.history import Past
from whenbuy.core.log import ORDERS

EXACT = 4096
UNITS = {"h": DAY // 24, "d": DAY, "w": 7 * DAY}
NAN = math.nan
Event = dict[str, Any]


def table(past: Past, spec: f.Features) -> np.ndarray:
    rows = []
    for row in range(len(past)):
        events = known(past, row)
        cells = []
        for feature in spec.spec:
            if isinstance(feature, f.Over):
                top, bottom = (np.float32(cells[spec.names.index(name)]) for name in (feature.top, feature.bottom))
                cells.append(NAN if bottom == 0 else top / bottom)
            elif isinstance(feature, f.Weekdays):
                today = local(int(past.at[row]), past)
                names = [f"{today + timedelta(days=ahead):%A}".lower() for ahead in range(7)]
                cells += [value(replace(feature.of, where=("weekday", name)), events, int(past.at[row]), past) for name in names]
            elif isinstance(feature, f.Offers):
                cells.append(offers(feature, int(past.keys.cutoff[row]), int(past.at[row]), past))
            else:
                cells.append(value(feature, events, int(past.at[row]), past))
        rows.append(cells)
    return np.array(rows, np.float32).reshape(len(past), len(spec.names))


def known(past: Past, row: int) -> list[Event]:
    """What a key may see, in the order in which it became known."""
    log = past._history.log
    events = [
        {
            "row": i,
            "time": min(int(log.time[i]), int(log.known_at[i])),
            "kind": log.kinds[log.kind[i]],
            "head": ORDERS not in log.columns or bool(log.columns[ORDERS].values[i]),
            "values": {name: int(column.values[i]) for name, column in log.columns.items()},
        }
        for i in range(int(past.start[row]), int(past.stop[row]))
        if log.known_at[i] < past.keys.cutoff[row]
    ]
    for rank, event in enumerate(sorted(events, key=lambda e: (e["time"], e["row"]), reverse=True)):
        event["counts_at"] = event["time"] if rank < EXACT else event["time"] // DAY * DAY
    return events


def length(window: str) -> int:
    return int(window[:-1]) * UNITS[window[-1]]


def pick(events, past, at, kind=None, window=None, where=None):
    log = past._history.log
    for event in events:
        if kind is not None and event["kind"] != kind:
            continue
        if window is not None and not at - length(window) <= event["counts_at"] < at:
            continue
        if where is not None and where[0] in ("weekday", "hour"):
            wall = clocked(event["time"], past)
            names = {"weekday": f"{wall:%A}".lower(), "hour": ("night", "morning", "afternoon", "evening")[wall.hour // 6]}
            if names[where[0]] != where[1]:
                continue
        elif where is not None:
            column = log.columns.get(where[0])
            code = event["values"].get(where[0], -1)
            if column is None or code < 0 or column.dictionary.ids[code] != where[1]:
                continue
        yield event


def numbers(events, column):
    return [e["values"][column] for e in events if e["values"].get(column, MISSING) != MISSING]


def value(feature, events, at, past):
    return READERS[type(feature)](feature, events, at, past)


def scale(past, column):
    columns = past._history.log.columns
    return float(columns[column].scale) if column in columns else 1.0


def orders(events, past, at, window=None, kind="purchase", where=None):
    return [e for e in pick(events, past, at, kind, window, where) if e["head"] or kind != "purchase"]


def total(feature, events, at, past):
    if isinstance(feature, f.Count):
        return float(len(list(pick(events, past, at, feature.kind, feature.window, feature.where))))
    if isinstance(feature, f.Orders):
        return float(len(orders(events, past, at, feature.window, where=feature.where)))
    found = numbers(pick(events, past, at, feature.kind, feature.window, feature.where), feature.column)
    return float(sum(found)) / scale(past, feature.column)


def ratio(top, bottom):
    return top / bottom if bottom else NAN


def mean(feature, events, at, past):
    found = numbers(pick(events, past, at, feature.kind, feature.window, feature.where), feature.column)
    return ratio(float(sum(found)) / scale(past, feature.column), float(len(found)))


def spread(found):
    n = len(found)
    if n < 2:
        return NAN
    middle, rest = divmod(sum(found), n)
    centred = sum((x - middle) ** 2 for x in found)
    high, low = centred >> 32, centred & (2**32 - 1)
    return math.sqrt(max(float(high) * 2.0**32 + float(low) - float(rest) * float(rest) / n, 0.0) / (n - 1))


def deviation(feature, events, at, past):
    found = numbers(pick(events, past, at, feature.kind, feature.window, feature.where), feature.column)
    return spread(found) / scale(past, feature.column)


def share(feature, events, at, past):
    some = pick(events, past, at, feature.kind, feature.window, feature.where)
    return ratio(float(len(list(some))), float(len(list(pick(events, past, at, feature.kind, feature.window)))))


def since(choose):
    def read(feature, events, at, past):
        times = [e["time"] for e in pick(events, past, at, feature.kind)]
        return float(at - choose(times)) / DAY if times else NAN

    return read


def edge_number(which):
    def read(feature, events, at, past):
        found = numbers(pick(events, past, at, feature.kind, None, feature.where), feature.column)
        return found[which] / scale(past, feature.column) if found else NAN

    return read


def edge_order(which):
    def read(feature, events, at, past):
        baskets: list[list[Event]] = [[]]
        for event in pick(events, past, at, "purchase"):
            if event["head"] and (which == "last" or any(e["head"] for e in baskets[-1])):
                baskets.append([])
            baskets[-1].append(event)
        found = numbers(baskets[-1 if which == "last" else 0], feature.column)
        return sum(found) / scale(past, feature.column) if found else NAN

    return read


def once_a_day(feature, some, past):
    """Only events of a later local day than the last one that counted, where a feature asks for that."""
    last, kept = date.min, []
    for event in some:
        day = local(event["time"], past)
        if not feature.once_a_day or day > last:
            kept.append(event)
            last = max(last, day)
    return kept


def gaps(feature, events, at, past):
    latest, found = None, []
    for event in once_a_day(feature, orders(events, past, at, kind=feature.kind), past):
        if latest is not None:
            found.append(max(event["time"] - latest, 0) // 1000)
        latest = event["time"] if latest is None else max(latest, event["time"])
    if feature.statistic == "number":
        return float(len(found))
    if feature.statistic == "open":
        return NAN if latest is None else float(at - latest) / DAY
    if not found:
        return NAN
    if feature.statistic == "mean":
        return float(sum(found)) / len(found) / 86_400_000.0
    return (spread(found) if feature.statistic == "deviation" else float(found[-1])) / 86_400_000.0


def big(feature, events, at, past):
    orders: list[list[Event]] = []
    for event in pick(events, past, at, "purchase"):
        if event["head"]:
            orders.append([])
        if orders:
            orders[-1].append(event)
    known = [(order[0]["time"], sum(numbers(order, feature.column))) for order in orders if numbers(order, feature.column)]
    found = [time for i, (time, worth) in enumerate(known) if i and float(worth) * i > float(sum(before for _, before in known[:i]))]
    if feature.statistic == "recency":
        return float(at - max(found)) / DAY if found else NAN
    return ratio(float(len(found)), float(len(known)))


def offers(feature, cutoff, at, past):
    profile = past._history.offers
    if profile is None:
        return 0
    latest = {}
    for row in sorted(profile.table.iter_rows(named=True), key=lambda row: row["valid_from"]):
        if instant(row["valid_from"]) < cutoff:
            latest[row["id"]] = row
    running = 0
    for row in latest.values():
        begins, ends = row[feature.begins or "valid_from"], row[feature.ends]
        inside = begins is not None and instant(begins) <= at and (ends is None or at < instant(ends))
        running += inside and (feature.where is None or row[feature.where[0]] == feature.where[1])
    return running


def instant(moment):
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def halve(x):
    step = math.floor(x * 64.0 + 0.5)
    if step >= 1022 * 64:
        return 0.0
    z = (step / 64.0 - x) * 0.6931471805599453
    near = 1.0 + z * (1.0 + z * (0.5 + z * (1 / 6 + z * (1 / 24 + z * (1 / 120)))))
    return 2.0 ** -(step // 64) * (f.exact.ROOTS[step % 64] * near)


def decayed(feature, events, at, past):
    total, reference, halflife = 0.0, None, feature.halflife_days * DAY
    unit, some = 1.0, pick(once_a_day(feature, orders(events, past, at, kind=feature.kind), past), past, at, where=feature.where)
    if feature.column is not None:
        some = [e for e in pick(events, past, at, feature.kind, None, feature.where) if numbers([e], feature.column)]
        unit = scale(past, feature.column)
    for event in some:
        weight = 1.0 if feature.column is None else float(event["values"][feature.column])
        if reference is None:
            total, reference = weight, event["time"]
        elif event["time"] >= reference:
            total, reference = total * halve((event["time"] - reference) / halflife) + weight, event["time"]
        else:
            total += weight * halve((reference - event["time"]) / halflife)
    return 0.0 if reference is None else total * halve((at - reference) / halflife) * (math.log(2) / feature.halflife_days / unit)


def context(feature, events, at, past):
    column = past._history.log.columns.get(feature.column)
    found = [
        e["values"][feature.column] for e in pick(events, past, at, feature.kind) if column is not None and e["values"][feature.column] >= 0
    ]
    if not found:
        return NAN
    name = column.dictionary.ids[found[-1]]
    return feature.names.index(name) if name in feature.names else len(feature.names)


def clocked(at, past):
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)).astimezone(ZoneInfo(past._history.clock.zone))


def local(at, past):
    return clocked(at, past).date()


def calendar(feature, events, at, past):
    day = local(at, past)
    angle = 2 * math.pi * day.weekday() / 7
    return {"weekday_sin": math.sin(angle), "weekday_cos": math.cos(angle), "day_of_month": day.day, "month": day.month}[feature.part]


def payday(feature, events, at, past):
    day = local(at, past)
    for wait in range(63):
        there = day + timedelta(days=wait)
        last = (there + timedelta(days=1)).day == 1
        if there.day in feature.days or (last and max(feature.days) > there.day):
            return wait
    raise AssertionError


READERS = {
    f.Count: total, f.Orders: total, f.Sum: total, f.Mean: mean, f.Deviation: deviation, f.Share: share,
    f.Rate: lambda x, e, at, past: ratio(total(x.top, e, at, past), total(x.bottom, e, at, past)),
    f.Frequency: lambda x, e, at, past: float(max(len(orders(e, past, at)) - 1, 0)),
    f.Recency: since(max), f.Tenure: since(min), f.First: edge_number(0), f.Last: edge_number(-1),
    f.FirstOrder: edge_order("first"), f.LastOrder: edge_order("last"), f.Gaps: gaps, f.Decayed: decayed, f.BigOrder: big,
    f.Context: context,
    f.Calendar: calendar, f.Payday: payday,
    f.Holiday: lambda x, e, at, past: float(local(at, past) in {date.fromisoformat(d) for d in x.dates}),
}  # fmt: skip
