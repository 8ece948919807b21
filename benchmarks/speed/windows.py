"""Window features: 40 of them for a million point-in-time keys over ten million events, ours beside polars and DuckDB.

The peers say it in their own words for a moving window (``rolling_sum_by``, ``RANGE`` frames). Beside them, in the notes, stands the
fastest way that was found to do it by hand in each: running totals looked up at both edges of each window (polars), a join of each key with
its events under 40 conditions (DuckDB). Peers run on the first users only; every answer is compared with ours.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from benchmarks.rows import Row, costs

VS_POLARS = Row(area="spine", name="features_vs_polars", unit="×", better="higher", peer=50_500, target=30)
VS_DUCKDB = Row(area="spine", name="features_vs_duckdb", unit="×", better="higher", peer=11_600, target=100)
GROWTH = Row(area="spine", name="features_growth", unit="× per event", better="lower", target=1.15)

DAY = 86_400_000_000
SPAN_DAYS, EVENTS_EACH, KEYS_EACH = 365, 100, 10
USERS, MANY_USERS, POLARS_USERS, DUCKDB_USERS = 100_000, 500_000, 5_000, 2_000
KINDS = ("view", "click", "cart", "purchase", "search")
COUNTED = KINDS[:4]
SUMMED = (*COUNTED, "spend")
WINDOWS = (1, 3, 7, 14, 30, 60, 90, 180)
SAMPLE = 1_000


def rows(users: int = USERS) -> Iterator[Row]:
    """The three rows; every run in a fresh process, kernels warmed, best of three."""
    cost, answer = _measured("sweep", "shop", users, warm=1)
    rate = users * KEYS_EACH / cost
    for row, peer, some in ((VS_POLARS, "polars", POLARS_USERS), (VS_DUCKDB, "duckdb", DUCKDB_USERS)):
        some = min(some, users)
        rates = []
        for work in (peer, f"{peer}_by_hand"):
            seconds, theirs = _measured(work, "frames", some, times=2)
            if theirs != answer[: len(theirs)]:
                raise ValueError(f"{work} gives other features than the sweep")
            rates.append(some * KEYS_EACH / seconds)
        note = f"ours {rate / 1e6:.2f} M keys per CPU second; {peer} by hand {rates[1] / 1e3:.1f} k: {rate / rates[1]:.1f} ×"
        yield row.got(rate / rates[0], peer_measured=rates[0], note=note)
    more = users * MANY_USERS // USERS
    many, _ = _measured("sweep", "shop", more, times=2, warm=1)
    each, each_of_many = 1e9 * cost / users / EVENTS_EACH, 1e9 * many / more / EVENTS_EACH
    note = f"{each:.1f} ns per event at {users * EVENTS_EACH:,} events, {each_of_many:.1f} at {more * EVENTS_EACH:,}"
    yield GROWTH.got(each_of_many / each, note=note)


def _measured(work: str, setup: str, users: int, times: int = 3, warm: int = 0) -> tuple[float, Any]:
    """CPU seconds of the best run, and its answer: the features of the first keys."""
    found = costs(f"{__name__}:{work}", users, times=times, setup=f"{__name__}:{setup}", warm=warm)
    return min(cost.cpu_s for cost in found), found[0].answer


# ------------------------------------------------------------------------------------------------ data


def columns(users: int) -> dict[str, Any]:
    """Events by user and time, and keys by user and cutoff; the first users are the same however many there are."""

    def draw(column: int, low: int, high: int, each: int) -> Any:
        return np.random.default_rng(column).integers(low, high, (users, each))

    return {
        "time": np.sort(draw(0, 0, SPAN_DAYS * DAY, EVENTS_EACH)).ravel(),
        "kind": draw(1, 0, len(KINDS), EVENTS_EACH).astype(np.uint8).ravel(),
        "amount": draw(2, 100, 20_000, EVENTS_EACH).ravel(),
        "cutoff": np.sort(draw(3, 0, SPAN_DAYS * DAY, KEYS_EACH)).ravel(),
    }


def shop(users: int) -> Any:
    """A history, its keys and the spec."""
    from whenbuy import features as f
    from whenbuy.core.history import History
    from whenbuy.core.keys import Keys
    from whenbuy.core.log import Column, Dictionary, EventLog

    found = columns(users)
    offsets = np.arange(users + 1, dtype=np.int64) * EVENTS_EACH
    names = Dictionary(pl.Series("id", np.arange(users)).cast(pl.String))
    amount = {"amount": Column(found["amount"], None, 100)}
    log = EventLog(names, KINDS, offsets, found["time"], found["time"], found["kind"], amount, SPAN_DAYS * DAY)
    keys = Keys("user", np.repeat(np.arange(users, dtype=np.int32), KEYS_EACH), found["cutoff"], names)
    spec = [f.Count(kind, f"{days}d") for kind in COUNTED for days in WINDOWS]
    spec += [f.Sum("amount", "purchase", f"{days}d") for days in WINDOWS]
    return History(log), keys, f.Features(tuple(spec))


def frames(users: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The same events and keys as tables."""
    found = columns(users)
    user = np.arange(users, dtype=np.int32)
    events = {name: found[name] for name in ("time", "kind", "amount")}
    return (
        pl.DataFrame({"user": np.repeat(user, EVENTS_EACH)} | events),
        pl.DataFrame({"key": np.arange(users * KEYS_EACH), "user": np.repeat(user, KEYS_EACH), "cutoff": found["cutoff"]}),
    )


def _sample(values: Any) -> list[list[float]]:
    listed: list[list[float]] = np.asarray(values[:SAMPLE], np.float64).round(2).tolist()
    return listed


# ------------------------------------------------------------------------------------------------ ours


def sweep(made: Any) -> list[list[float]]:
    """Our features, from the keys on."""
    history, keys, spec = made
    return _sample(spec.table(history.before(keys)).values)


# ------------------------------------------------------------------------------------------------ peers


def polars(made: tuple[pl.DataFrame, pl.DataFrame]) -> list[list[float]]:
    """Moving sums over events and keys in one table."""
    events, keys = made
    none = pl.lit(len(KINDS), pl.UInt8)
    asked = keys.select("user", time="cutoff", kind=none, amount=pl.lit(0, pl.Int64), key="key")
    both = pl.concat([events.with_columns(key=pl.lit(None, pl.Int64)), asked]).sort("user", "time")
    both = both.with_columns(pl.col("time").cast(pl.Datetime("us")), *_flags())
    moving = [pl.col(name).rolling_sum_by("time", f"{days}d", closed="left").over("user") for name in SUMMED for days in WINDOWS]
    found = both.select("key", *(sums.alias(f"s{i}") for i, sums in enumerate(moving))).filter(pl.col("key").is_not_null()).sort("key")
    return _sample(_in_units(found.drop("key").to_numpy()))


def polars_by_hand(made: tuple[pl.DataFrame, pl.DataFrame]) -> list[list[float]]:
    """Running totals per user, looked up at the cutoff and at the other edge of each window."""
    events, keys = made
    totals = events.with_columns(_flags()).select(
        "user", pl.col("time").alias("edge"), *(pl.col(name).cum_sum().over("user") for name in SUMMED)
    )
    for days in (0, *WINDOWS):
        edges = totals.select("user", "edge", *(pl.col(name).alias(f"{name}_{days}") for name in SUMMED))
        keys = keys.with_columns((pl.col("cutoff") - days * DAY).alias("edge")).join_asof(
            edges, on="edge", by="user", strategy="backward", allow_exact_matches=False, check_sortedness=False
        )
    found = keys.fill_null(0).select(
        (pl.col(f"{name}_0") - pl.col(f"{name}_{days}")).alias(f"{name}_{days}d") for name in SUMMED for days in WINDOWS
    )
    return _sample(_in_units(found.to_numpy()))


def duckdb(made: tuple[pl.DataFrame, pl.DataFrame]) -> list[list[float]]:
    """Window functions over events and keys in one table, a frame per window."""
    frames = ", ".join(f"w{d} AS (PARTITION BY user ORDER BY time RANGE BETWEEN {d * DAY} PRECEDING AND 1 PRECEDING)" for d in WINDOWS)
    sums = [f"count(*) FILTER (kind = {i}) OVER w{days}" for i in range(len(COUNTED)) for days in WINDOWS]
    sums += [f"sum(amount) FILTER (kind = 3) OVER w{days}" for days in WINDOWS]
    both = (
        "(SELECT user, time, kind::INT AS kind, amount, NULL::BIGINT AS key FROM events "
        f"UNION ALL SELECT user, cutoff, {len(KINDS)}, 0, key FROM keys)"
    )
    return _in_sql(
        made, f"SELECT * EXCLUDE key FROM (SELECT key, {_listed(sums)} FROM {both} WINDOW {frames}) WHERE key NOT NULL ORDER BY key"
    )


def duckdb_by_hand(made: tuple[pl.DataFrame, pl.DataFrame]) -> list[list[float]]:
    """Each key joined with its events, added up under a condition per window."""
    sums = [f"count(*) FILTER (kind = {i} AND age <= {days * DAY})" for i in range(len(COUNTED)) for days in WINDOWS]
    sums += [f"sum(amount) FILTER (kind = 3 AND age <= {days * DAY})" for days in WINDOWS]
    pairs = (
        "(SELECT key, kind, amount, cutoff - time AS age FROM keys LEFT JOIN events ON keys.user = events.user "
        f"AND events.time < keys.cutoff AND events.time >= keys.cutoff - {max(WINDOWS) * DAY})"
    )
    return _in_sql(made, f"SELECT {_listed(sums)} FROM {pairs} GROUP BY key ORDER BY key")


def _flags() -> list[pl.Expr]:
    counted = [(pl.col("kind") == i).cast(pl.Int64).alias(kind) for i, kind in enumerate(COUNTED)]
    return [*counted, pl.when(pl.col("kind") == COUNTED.index("purchase")).then("amount").otherwise(0).alias("spend")]


def _in_units(values: Any) -> Any:
    """The features with money in its own unit."""
    return np.nan_to_num(values[:SAMPLE].astype(np.float64)) / np.repeat([1, 1, 1, 1, 100], len(WINDOWS))


def _listed(sums: list[str]) -> str:
    return ", ".join(f"{one} AS s{i}" for i, one in enumerate(sums))


def _in_sql(made: tuple[pl.DataFrame, pl.DataFrame], query: str) -> list[list[float]]:
    import duckdb as database

    with database.connect() as connection:
        for name, frame in zip(("events", "keys"), made, strict=True):
            connection.register(name, frame.to_arrow())
        found = connection.execute(query).fetchnumpy()
    return _sample(_in_units(np.column_stack([np.ma.filled(column.astype(np.float64), 0) for column in found.values()])))
