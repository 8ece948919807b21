"""Speed of the live state: one event in, exact features or the whole forecast out; the start over ten million stored events.

Microseconds are of processor time per event, called from Python, each event of another customer. The peers answer the same counts and sums
over the same events by a query (``WHERE user = ?`` over an index; one table for both), and must agree with ours.
"""

import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.rows import Row, costs

FEATURES = Row(area="live", name="live_features_us", unit="µs", better="lower", peer=269, target=8)
FORECAST = Row(area="live", name="live_forecast_us", unit="µs", better="lower", target=60)
EVERYTHING = Row(area="live", name="live_everything_us", unit="µs", better="lower")
SILENT = Row(area="live", name="live_silent_us", unit="µs", better="lower")
START = Row(area="live", name="live_start_s", unit="s", better="lower", target=10)
STATE = Row(area="live", name="live_state_gib", unit="GiB", better="lower", target=2)

DAY = 86_400_000_000
USERS, DAYS, LAST_DAYS = 400, 240, 30
MANY_USERS, EVENTS_EACH = 1_000_000, 10
KINDS = 4
WINDOWS = (1, 3, 7, 14, 30, 60, 90, 180)


def rows() -> Iterator[Row]:
    """The rows of the live state."""
    (cost,) = costs(f"{__name__}:features_us", times=1)
    ours, names, sqlite, duckdb = cost.answer
    note = f"{names} features, event included; the query of {len(WINDOWS) * (KINDS + 1)} of them by DuckDB {duckdb:,.0f} µs"
    yield FEATURES.got(ours, peer_measured=sqlite, note=note)
    (cost,) = costs(f"{__name__}:forecast_us", times=1)
    when, everything, together, silent, champion = cost.answer
    yield FORECAST.got(when, note=f"one event applied, then when its customer buys, by the default fit ({champion})")
    yield EVERYTHING.got(
        everything,
        note=f"the same with all answers: orders, amounts, classes; {together:,.0f} µs each of 100 who did nothing since yesterday",
    )
    yield SILENT.got(silent, note="a forecast where nothing happened since the last one: the curve conditioned on the silence")
    with tempfile.TemporaryDirectory() as folder:
        write_shop(folder)
        (cost,) = costs(f"{__name__}:start", folder, times=1)
    seconds, each, gib = cost.answer
    yield START.got(
        seconds, note=f"{MANY_USERS * EVENTS_EACH:,} stored events of {MANY_USERS:,} customers; then {each:,.0f} µs to make one ready"
    )
    yield STATE.got(gib, note=f"what the process grew by: all {MANY_USERS:,} customers known, as many of them held ready as are at once")


def _cpu_us(work: Callable[[], object], times: int) -> float:
    start = time.process_time()
    work()
    return (time.process_time() - start) / times * 1e6


def _world() -> tuple[Any, Any, list[Any]]:
    """A simulated shop, its log before the last days, and what arrived in them."""
    from dataclasses import replace

    from whenbuy.ingest.reception import Event
    from whenbuy.ingest.simulate import simulate

    history = simulate(users=USERS, days=DAYS, seed=3).history
    log, begin = history.log, history.end - LAST_DAYS * DAY
    found = np.flatnonzero(log.known_at[: log.offsets[-1]] >= begin)
    found = found[np.argsort(log.known_at[found], kind="stable")]
    owner = log.users.ids.gather(np.searchsorted(log.offsets, found, side="right") - 1).to_list()
    told = {name: c.series(found).to_list() for name, c in log.columns.items() if name not in ("orders", "event_id")}
    events = [
        Event("http", str(i), owner[i], log.kinds[log.kind[row]], int(log.time[row]), int(log.known_at[row]),
              {name: cells[i] for name, cells in told.items() if cells[i] is not None})
        for i, row in enumerate(found.tolist())
    ]  # fmt: skip
    return history, replace(history, log=log.cut(begin)), events


# ------------------------------------------------------------------------------------------------ features


def features_us() -> tuple[float, int, float, float]:
    """Ours per event, how many features, SQLite's and DuckDB's query."""
    from whenbuy import features as f
    from whenbuy.models.when.floors import PoissonRate
    from whenbuy.pipeline.learning.learn import fit
    from whenbuy.serve.live import LiveState

    history, base, events = _world()
    counted = tuple(kind for kind in history.log.seen() if kind != "purchase")[:KINDS]
    spec = [f.Count(kind, f"{days}d", name=f"{kind}_{days}d") for kind in counted for days in WINDOWS]
    spec += [f.Orders(f"{days}d", name=f"orders_{days}d") for days in WINDOWS]
    needed = (
        f.Recency("purchase", name="recency_days"),
        f.Frequency(),
        f.Tenure("purchase", name="tenure_days"),
        f.Recency(),
        f.Orders("84d"),
    )
    features = f.Features((*spec, *needed))
    model = fit(
        base, features=features, candidates=lambda answer, grid: (PoissonRate(grid.days),) if answer in ("purchase", "orders") else ()
    )
    state, users = LiveState.of(base, model), sorted({event.user for event in events})
    for user in users:
        state.features(user, base.end)
    half = len(events) // 2

    def run(lo: int, hi: int) -> None:
        for i in range(lo, hi):
            event = events[i]
            state.apply(i + 1, event)
            state.features(event.user, event.known_at + 1)

    run(0, half)
    ours = _cpu_us(lambda: run(half, len(events)), len(events) - half)
    at = history.end
    wanted = [[state.features(user, at)[: len(spec)].tolist() for user in users], users, _query(counted, at)]
    return ours, len(features.names), _sqlite(history, *wanted), _duckdb(history, *wanted)


def _query(counted: tuple[str, ...], at: int) -> str:
    parts = [f"count(*) FILTER (WHERE kind = '{kind}' AND time >= {at - days * DAY})" for kind in counted for days in WINDOWS]
    parts += [f"count(*) FILTER (WHERE head AND time >= {at - days * DAY})" for days in WINDOWS]
    return f"SELECT {', '.join(parts)} FROM events WHERE user = ?"


def _told(history: Any) -> Any:
    log = history.log
    frame = log.frame(slice(0, int(log.offsets[-1])))
    head = log.kind[: len(frame)] == log.code("purchase")
    if "orders" in log.columns:
        head &= log.columns["orders"].values[: len(frame)] != 0
    time_us = np.minimum(log.time, log.known_at)[: len(frame)]
    return list(zip(frame["user_id"].to_list(), frame["kind"].to_list(), time_us.tolist(), head.tolist(), strict=True))


def _asked(ask: Callable[[str], Any], wanted: list[list[float]], users: list[str]) -> float:
    for user, ours in zip(users[:50], wanted, strict=False):
        if [float(value) for value in ask(user)] != ours:
            raise ValueError(f"the peer counts {ask(user)} for {user}, and we {ours}")
    return min(_cpu_us(lambda: [ask(user) for user in users[:100]], len(users[:100])) for _ in range(3))


def _sqlite(history: Any, wanted: list[list[float]], users: list[str], query: str) -> float:
    store = sqlite3.connect(":memory:")
    store.execute("CREATE TABLE events (user TEXT, kind TEXT, time INTEGER, head BOOLEAN)")
    store.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", _told(history))
    store.execute("CREATE INDEX by_user ON events (user, time)")
    return _asked(lambda user: store.execute(query, (user,)).fetchone(), wanted, users)


def _duckdb(history: Any, wanted: list[list[float]], users: list[str], query: str) -> float:
    import duckdb
    import polars as pl

    store = duckdb.connect(config={"threads": 1})
    frame = pl.DataFrame(_told(history), schema=["user", "kind", "time", "head"], orient="row").to_arrow()
    store.register("told", frame)
    store.execute("CREATE TABLE events AS SELECT * FROM told")
    store.execute("CREATE INDEX by_user ON events (user)")
    return _asked(lambda user: store.execute(query, (user,)).fetchone(), wanted, users)


# ------------------------------------------------------------------------------------------------ forecasts


def forecast_us() -> tuple[float, float, float, float, str]:
    """One event to when its customer buys; to all answers; these for each of 100 together; one in silence; and who answers."""
    from whenbuy.pipeline.learning.learn import fit
    from whenbuy.serve.live import LiveState

    _, base, events = _world()
    model = fit(base)
    state, users = LiveState.of(base, model), sorted({event.user for event in events})[:100]
    for _ in range(2):
        for user in users:
            state.forecast(user, base.end + 1)
    state.forecasts(users, base.end + 2 * DAY)
    together = _cpu_us(lambda: state.forecasts(users, base.end + 3 * DAY), len(users))

    def run(lo: int, hi: int, everything: bool) -> None:
        for i in range(lo, hi):
            state.apply(i + 1, events[i])
            state.forecast(events[i].user, events[i].known_at + 1, everything=everything)

    run(0, 50, True)
    run(50, 100, False)
    costs_of: dict[bool, list[float]] = {False: [], True: []}
    for lo in range(100, 1100, 100):  # in turns, so that both meet the same neighbours on the machine
        wish = lo % 200 == 0
        costs_of[wish].append(_cpu_us(lambda lo=lo, wish=wish: run(lo, lo + 100, wish), 100))  # type: ignore[misc]
    when, everything = min(costs_of[False]), min(costs_of[True])
    at = events[1099].known_at + 2
    state.forecasts(users, at)
    silent = min(_cpu_us(lambda: [state.forecast(user, at + 1) for user in users], len(users)) for _ in range(3))
    return when, everything, together, silent, str(state.forecast(users[0], at).model)


# ------------------------------------------------------------------------------------------------ the start


def write_shop(folder: str) -> None:
    """Ten million events of a million customers: five kinds, amounts of purchases."""
    import polars as pl

    from whenbuy.core.arrays import MISSING
    from whenbuy.core.history import History
    from whenbuy.core.log import Column, Dictionary, EventLog
    from whenbuy.ingest.store import write_log

    rng, n = np.random.default_rng(0), MANY_USERS * EVENTS_EACH
    instants = np.sort(rng.integers(0, 365 * DAY, (MANY_USERS, EVENTS_EACH)), axis=1).ravel()
    kind = rng.integers(0, 5, n).astype(np.uint8)
    amount = np.where(kind == 3, rng.integers(100, 20_000, n), MISSING)
    names = Dictionary(("customer " + pl.Series("id", np.arange(MANY_USERS)).cast(pl.String)).alias("id"))
    columns = {"amount": Column(amount, None, 100)}
    offsets = np.arange(MANY_USERS + 1, dtype=np.int64) * EVENTS_EACH
    write_log(
        History(EventLog(names, ("view", "click", "cart", "purchase", "search"), offsets, instants, instants, kind, columns, 365 * DAY)),
        Path(folder),
    )


def start(folder: str) -> tuple[float, float, float]:
    """Seconds until the first forecast, microseconds to make a customer ready, and GiB with as many ready as may be."""
    from whenbuy.ingest.store import open_log
    from whenbuy.models.when.floors import PoissonRate
    from whenbuy.pipeline.learning.learn import fit
    from whenbuy.serve.live import MOST_KNOWN, LiveState

    history = open_log(folder)
    small = history.log.take(np.arange(20_000))
    model = fit(type(history)(small), candidates=lambda answer, grid: (PoissonRate(grid.days),) if answer in ("purchase", "orders") else ())
    LiveState.of(type(history)(small), model).forecast("customer 7", history.end)
    before, begin = _resident(), time.perf_counter()
    state = LiveState.of(open_log(folder), model)
    state.forecast("customer 999999", history.end)
    seconds = time.perf_counter() - begin
    users = [f"customer {i}" for i in range(0, MANY_USERS, MANY_USERS // MOST_KNOWN)][: MOST_KNOWN - 1]
    each = _cpu_us(lambda: [state.features(user, history.end) for user in users], len(users))
    return seconds, each, (_resident() - before) / 2**30


def _resident() -> int:
    """Bytes of this process that are in memory and its own; what is mapped from files can be given back at any time."""
    told = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    return int(told["RssAnon"].split()[0]) * 1024


if __name__ == "__main__":
    for one in rows():
        print(one.name, one.value, one.peer_measured, one.note, flush=True)
