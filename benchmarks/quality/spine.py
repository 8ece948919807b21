"""Quality of the spine: published parameters recovered, true curves met, nothing to be had by cheating."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.quality.no_cheating import leak_shuffle, random_label_auc
from benchmarks.rows import Row, data_folder
from whenbuy.core.arrays import DAY
from whenbuy.evaluate.cells import curve_cells
from whenbuy.ingest.simulate import simulate
from whenbuy.models.when import bgnbd, pareto
from whenbuy.pipeline.learning.build import people_at
from whenbuy.pipeline.learning.catalogue import floors, learners
from whenbuy.pipeline.learning.learn import fit

PUBLISHED_BG_NBD = (0.2426, 4.4137, 0.7930, 2.4262)
"""r, α, a, b of the CDNOW sample in weeks (Fader, Hardie and Lee 2005)."""
PUBLISHED_PARETO_NBD = (0.553, 10.580, 0.606, 11.656)
"""r, α, s, β of the CDNOW sample in weeks (Fader and Hardie, notes on the Pareto/NBD)."""
SEEDS = (10, 11, 12, 13, 14)
"""Shops that no model was tuned on."""
CELLS = Row(area="spine", name="sim_curve_cells", unit="share of cells", better="higher", target=0.95)
BG = Row(area="spine", name="bgnbd_parity", unit="largest relative difference", better="lower", target=0.002)
PARETO = Row(area="spine", name="pareto_parity", unit="largest relative difference", better="lower", target=0.002)
RANDOM = Row(area="spine", name="random_label_auc", unit="distance from .5", better="lower", target=0.03)
SHUFFLE = Row(area="spine", name="leak_shuffle", unit="bytes", better="lower", target=0)


def rows() -> Iterator[Row]:
    data = data_folder()
    if data is None:
        yield from (row.without("WHENBUY_DATA") for row in (BG, PARETO))
    else:
        histories = sample(data)
        yield BG.got(_apart(bgnbd.fit(*histories.T, np.ones(len(histories))), PUBLISHED_BG_NBD))
        yield PARETO.got(_apart(pareto.fit(*histories.T, np.ones(len(histories)), np.zeros((len(histories), 0)))[:4], PUBLISHED_PARETO_NBD))
    yield RANDOM.got(random_label_auc())
    yield SHUFFLE.got(leak_shuffle())
    ours, floor = np.mean([cells(seed) for seed in SEEDS], axis=0).tolist()
    note = "the floor loses too little for the row to count" if 1 - floor < 10 * (1 - 0.95) else ""
    yield CELLS.got(ours, floor=floor, note=note)


def cells(seed: int, users: int = 4000) -> tuple[float, float]:
    """Return the share of cells in which `fit`, as it is, meets the true curves of a simulated shop, and the share of its floor."""
    shop = simulate(users, 364, seed)
    history = shop.history
    cutoff = int(history.clock.midnight_before(np.array([history.end - 31 * DAY]))[0])
    keys = people_at(history, np.array([cutoff], np.int64))
    truth = shop.truth(keys, np.arange(1.0, 29.0))
    ours, floor = (fit(history, cutoff, candidates=which).answer(history, keys).purchase for which in (learners, floors))
    return curve_cells(ours, truth), curve_cells(floor, truth)


def sample(data: Path) -> np.ndarray:
    """Return repeats, last repeat and tenure in weeks of the CDNOW sample up to 1997-09-30 (customers x 3)."""
    lines = pl.read_parquet(data / "cdnow" / "sample.parquet").with_columns(day=pl.col("date").dt.date())
    end = pl.date(1997, 9, 30)
    visits = lines.filter(pl.col("day") <= end).select("customer_id", "day").unique()
    per = visits.group_by("customer_id").agg(n=pl.len() - 1, first=pl.col("day").min(), last=pl.col("day").max()).sort("customer_id")
    weeks = [((to - pl.col("first")).dt.total_days() / 7).alias(name) for name, to in (("last_week", pl.col("last")), ("tenure", end))]
    return per.select(pl.col("n").cast(pl.Float64), *weeks).to_numpy()


def _apart(found, published) -> float:
    return max(abs(ours - theirs) / theirs for ours, theirs in zip(np.asarray(found, float).tolist(), published, strict=True))
