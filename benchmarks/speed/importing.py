"""Import: from a parquet file to a stored event log, beside polars doing the same job.

The file is like a real shop's export: 10 M events in the order of time, whole-number ids of 500 k customers, names of events, items,
prices (the layout of REES46). The peer does the least that gives the same thing: read, give codes to the ids, sort by customer and
time, write an Arrow file; it is told what ours finds out: which column is what, and that nothing is wrong. Beside it stands a peer that
is also told that the file is in the order of time (it checks that, and then sorts by customer alone). Every run writes to a new place.
"""

import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.rows import Cost, Row, costs

EVENTS, USERS, ITEMS = 10_000_000, 500_000, 200_000
GROUP = Row(area="spine", name="group_vs_polars", unit="×", better="higher", peer=2.4e6, target=3)
IMPORT = Row(area="spine", name="import_vs_polars", unit="×", better="higher", peer=2.15e6, target=1.5)
MEMORY = Row(area="spine", name="import_memory_vs_polars", unit="×", better="lower", target=1)


def rows(events: int = EVENTS) -> Iterator[Row]:
    """The three rows; every run in a fresh process, kernels warmed, best of three."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "export.parquet"))
        export(path, events)
        measured = partial(_measured, path, str(Path(folder, "out")))
        ours, theirs, in_order = measured("group", "codes"), measured("group_polars", "table"), measured("group_polars_in_order", "table")
        yield GROUP.got(
            theirs.cpu_s / ours.cpu_s,
            peer_measured=events / theirs.cpu_s,
            note=f"{_said('ours', ours, events)}; {_said('polars', theirs, events)}; {_said('polars_in_order', in_order, events)}",
        )
        ours, theirs = measured("whenbuy", "small_import"), measured("polars", "places")
        others = [(name, measured(name, "places", times=1)) for name in ("polars_in_order", "duckdb", "pandas")]
        note = "; ".join(_said(name, cost, events) for name, cost in [("ours", ours), ("polars", theirs), *others])
        yield IMPORT.got(theirs.cpu_s / ours.cpu_s, peer_measured=events / theirs.cpu_s, note=note)
        yield MEMORY.got(ours.peak_mib / theirs.peak_mib, peer_measured=theirs.peak_mib, note=note)


def _measured(path: str, out: str, work: str, setup: str, times: int = 3) -> Cost:
    """The cheapest run, with the largest peak of memory of all."""
    found = costs(f"{__name__}:{work}", path, out, times=times, setup=f"{__name__}:{setup}")
    best = min(found, key=lambda cost: cost.cpu_s)
    return Cost(best.cpu_s, best.wall_s, max(cost.peak_mib for cost in found), best.answer)


def _said(name: str, cost: Cost, events: int) -> str:
    return f"{name} {events / cost.cpu_s / 1e6:.2f} M events per CPU second, {cost.peak_mib:,.0f} MiB".strip()


# ------------------------------------------------------------------------------------------------ data


def export(path: str, events: int, seed: int = 7) -> None:
    """Write the shop's export."""
    rng = np.random.default_rng(seed)
    ids = rng.permutation(np.unique(rng.integers(1 << 28, 1 << 29, USERS + USERS // 8))[:USERS])
    visits, popularity = rng.gamma(0.8, 1, USERS), np.arange(1, ITEMS + 1) ** -0.9
    time = np.sort(rng.integers(0, 150 * 86_400, events)) * 1_000_000 + 1_569_888_000_000_000
    item = rng.choice(ITEMS, events, p=popularity / popularity.sum())
    kind = rng.choice(3, events, p=[0.93, 0.05, 0.02])
    pl.DataFrame({
        "event_time": pl.Series(time).cast(pl.Datetime("us", "UTC")),
        "event_type": pl.Series(["view", "cart", "purchase"]).gather(kind),
        "product_id": 1_000_000 + item * 7,
        "price": np.round(np.exp(rng.normal(4, 1.2, ITEMS)), 2)[item],
        "user_id": ids[rng.choice(USERS, events, p=visits / visits.sum())],
    }).write_parquet(path, row_group_size=1_000_000)  # fmt: skip


def places(path: str, out: str) -> tuple[str, str]:
    """Where to read and where to write: a new folder, and those of former runs are gone."""
    shutil.rmtree(out, ignore_errors=True)
    Path(out).mkdir()
    return path, tempfile.mkdtemp(dir=out)


def small_import(path: str, out: str) -> tuple[str, str]:
    """The places; a few rows were imported before, so that the kernels are compiled."""
    with tempfile.TemporaryDirectory() as folder:
        few = str(Path(folder, "few.parquet"))
        pl.scan_parquet(path).head(20_000).collect().write_parquet(few)
        whenbuy((few, str(Path(folder, "out"))))
    return places(path, out)


# ------------------------------------------------------------------------------------------------ grouping


def codes(path: str, *_: str) -> Any:
    """The lines of the file, coded, and the kernels compiled."""
    from whenbuy.ingest.group import group
    from whenbuy.ingest.lines import LinesBuilder

    names = {"event_time": "time", "event_type": "kind", "product_id": "item_id"}
    frame = pl.read_parquet(path, columns=[*names, "user_id"]).rename(names)
    for part in (frame.head(20_000), frame):
        builder = LinesBuilder(len(part))
        builder.add(part)
        lines = builder.finish()
        if part is not frame:
            group(lines)
    return lines


def group(lines: Any) -> int:
    from whenbuy.ingest.group import group

    return len(group(lines))


def table(path: str, *_: str) -> pl.DataFrame:
    """The same codes as a polars table."""
    lines = codes(path)
    return pl.DataFrame({"user": lines.user, "time": lines.time, "kind": lines.kind, "item": lines.columns["item_id"].values})


def group_polars(frame: pl.DataFrame) -> int:
    return len(frame.sort("user", "time"))


def group_polars_in_order(frame: pl.DataFrame) -> int:
    return len(frame.sort("user", maintain_order=True))


# ------------------------------------------------------------------------------------------------ the whole way


def whenbuy(where: tuple[str, str]) -> int:
    from whenbuy.ingest.read import read
    from whenbuy.ingest.store import write_log

    history = read(where[0]).history
    write_log(history, where[1])
    return len(history.log)


def polars(where: tuple[str, str]) -> None:
    """The fastest of the ways that were tried: one join codes the items, the run number of the sorted customers codes these."""
    frame = _items_coded(where[0]).sort("user_id", "event_time")
    frame.with_columns(pl.col("user_id").rle_id()).write_ipc(Path(where[1], "log.arrow"))


def polars_in_order(where: tuple[str, str]) -> None:
    frame = _items_coded(where[0])
    assert frame["event_time"].is_sorted()
    frame.sort("user_id", maintain_order=True).with_columns(pl.col("user_id").rle_id()).write_ipc(Path(where[1], "log.arrow"))


def _items_coded(path: str) -> pl.DataFrame:
    frame = pl.read_parquet(path).with_columns(pl.col("event_type").cast(pl.Enum(["view", "cart", "purchase"])))
    items = frame.select(pl.col("product_id").unique(maintain_order=True)).with_row_index("item")
    return frame.join(items, on="product_id", how="left", maintain_order="left").drop("product_id")


def duckdb(where: tuple[str, str]) -> None:
    import duckdb

    coded = [f"dense_rank() over (order by {name}) as {name}" for name in ("user_id", "product_id")]
    duckdb.sql(
        f"copy (select {', '.join(coded)}, event_type::enum('view', 'cart', 'purchase') as event_type, price, event_time "
        f"from '{where[0]}' order by user_id, event_time) to '{where[1]}/duckdb.parquet' (compression uncompressed)"
    )


def pandas(where: tuple[str, str]) -> None:
    import pandas as pd

    frame = pd.read_parquet(where[0])
    for name in ("user_id", "product_id", "event_type"):
        frame[name] = pd.factorize(frame[name])[0]
    frame.sort_values("user_id", kind="stable").to_feather(Path(where[1], "pandas.arrow"), compression="uncompressed")
