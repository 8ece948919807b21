"""Online Shoppers (Sakar et al. 2018): does a visit end with a purchase? A plain table, by `fit_table` as it is.

Everything that is chosen (the weights of the blend, the threshold of F1, what a name is worth) is chosen inside the training part of each
split, by folds of its own. The columns made here look at one row alone. Nobody is sampled up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.rows import DATA, Row, data_folder
from whenbuy.evaluate.probability import Ranked
from whenbuy.pipeline.tables.tabular import TableModel, fit_table

AREA = "forecast"
AUC = Row(area=AREA, name="shoppers_auc", unit="AUC", better="higher", floor=0.5, peer=0.9364, target=0.937)
PR = Row(area=AREA, name="shoppers_pr", unit="PR-AUC", better="higher", floor=0.155, peer=0.7595, target=0.76)
F1 = Row(area=AREA, name="shoppers_f1", unit="F1", better="higher", peer=0.681, target=0.685)
MONTH = Row(area=AREA, name="shoppers_month_auc", unit="AUC", better="higher", floor=0.5, peer=0.839, target=0.845)

TARGET = "Revenue"
FOLDS, SPLITS, INNER = 10, 5, 4
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "June", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_LATER = ("Oct", "Nov", "Dec")
_PAGES = ("Administrative", "Informational", "ProductRelated")
_CODES = ("OperatingSystems", "Browser", "Region", "TrafficType")


def rows() -> Iterator[Row]:
    data = data_folder()
    if data is None:
        yield from (row.without(DATA) for row in (AUC, PR, F1, MONTH))
        return
    sessions = shaped(data)
    auc, pr = zip(*ten_folds(sessions), strict=True)
    yield AUC.got(float(np.mean(auc)), note=_spread(auc))
    yield PR.got(float(np.mean(pr)), note=_spread(pr))
    f1 = [*splits(sessions)]
    yield F1.got(float(np.mean(f1)), note=_spread(f1))
    yield MONTH.got(later_months(sessions))


def shaped(data: Path) -> pl.DataFrame:
    """Return the sessions with the shape of each visit: pages, seconds per page, how much value was seen in all, the month's number."""
    frame = pl.read_parquet(data / "online_shoppers" / "sessions.parquet")
    pages, seconds = pl.sum_horizontal(_PAGES), pl.sum_horizontal(f"{kind}_Duration" for kind in _PAGES)
    each = {f"{kind}_seconds_per_page": pl.col(f"{kind}_Duration") / pl.col(kind) for kind in _PAGES}
    return frame.with_columns(
        month_number=pl.col("Month").replace_strict([*_MONTHS], [*range(12)]),
        pages=pages,
        seconds=seconds,
        seconds_per_page=seconds / pages,
        product_share=pl.col("ProductRelated") / pages,
        value_seen=pl.col("PageValues") * pages,
        **each,
    )


def ten_folds(sessions: pl.DataFrame) -> Iterator[tuple[float, float]]:
    """Yield AUC and PR-AUC of each of ten stratified folds."""
    fold = stratified(sessions, FOLDS, seed=0)
    for one in range(FOLDS):
        _, came, chance = forecast(sessions, fold != one, fold == one, named=_CODES)
        ranked, each = Ranked.of(came, chance), np.ones(len(came))
        yield ranked.auc(each), ranked.pr_auc(each)


def splits(sessions: pl.DataFrame) -> Iterator[float]:
    """Yield the F1 on 30 % of the rows of what was learned from the others, five times."""
    for seed in range(SPLITS):
        tests = stratified(sessions, 10, seed=seed + 1) < 3
        model, came, chance = forecast(sessions, ~tests, tests, named=_CODES)
        told = chance >= model.threshold
        yield 2 * float(told @ came) / float(told.sum() + came.sum())


def later_months(sessions: pl.DataFrame) -> float:
    """Return the AUC from October on of what was learned up to September; what a code means may have changed by then."""
    tests = sessions["Month"].is_in(_LATER).to_numpy()
    _, came, chance = forecast(sessions.drop("Month"), ~tests, tests, time="month_number")
    return Ranked.of(came, chance).auc(np.ones(len(came)))


def forecast(
    sessions: pl.DataFrame, learns: np.ndarray, asked: np.ndarray, time: str | None = None, named: Sequence[str] = ()
) -> tuple[TableModel, np.ndarray, np.ndarray]:
    """Return the model of some rows, and of others what came true and how likely that was said to be."""
    model = fit_table(sessions.filter(learns), TARGET, folds=INNER, time=time, encodings=dict.fromkeys(named, "auto"), rounds=0)
    rest = sessions.filter(asked)
    return model, rest[TARGET].cast(pl.Float64).to_numpy(), model.predict(rest.drop(TARGET)).chance


def stratified(sessions: pl.DataFrame, folds: int, seed: int) -> np.ndarray:
    """Return the fold of each row (n), buyers and others dealt apart."""
    came, fold = sessions[TARGET].cast(pl.Boolean).to_numpy(), np.empty(len(sessions), np.int64)
    rng = np.random.default_rng(seed)
    for kind in (True, False):
        places = rng.permutation(np.flatnonzero(came == kind))
        fold[places] = np.arange(len(places)) % folds
    return fold


def _spread(values: list[float] | tuple[float, ...]) -> str:
    error = np.std(values, ddof=1) / len(values) ** 0.5
    return f"{min(values):.4f} to {max(values):.4f} over {len(values)} parts, standard error {error:.4f}"
