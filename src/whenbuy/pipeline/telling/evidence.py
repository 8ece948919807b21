"""Evidence: what a backtest leaves behind for the report, as plain tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

import polars as pl

from whenbuy.core.errors import WhenbuyError
from whenbuy.pipeline.judging.backtest import Backtest
from whenbuy.pipeline.judging.error_analysis import error_analysis
from whenbuy.pipeline.telling.export import write_frame

COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "scores": ("answer", "score", "ours", "ours_low", "ours_high", "floor", "difference", "low", "high", "verdict", "better", "definition"),
    "calibration": ("horizon", "mean_probability", "share_bought", "n"),
    "cutoffs": ("as_of", "n", "name", "ours", "ours_low", "ours_high", "floor", "verdict", "better"),
    "slices": ("by", "segment", "n", "users", "name", "value", "low", "high"),
    "classes": ("class", "name", "value", "low", "high"),
    "weak_spots": ("of", "rule", "n", "users", "expected", "found", "difference", "low", "high", "clear"),
}
"""The columns of each table."""
ROUNDS: Final = 200
"""Resamples of the users where groups are judged: there are many of them, and the report shows two digits."""
ANSWERS: Final = ("orders", "amount", "spend", "quantity", "redemption", "classes")
"""The answers whose scores carry their name in front; the others are about the curve of the next purchase."""

WEEKLY: Final = ("auc", "logloss", "bias", "coverage_80", "orders_rmse", "amount_mae")
"""The scores that are looked at week by week, those of a chance at the middle horizon."""

_OF_A_HORIZON: Final = ("auc", "logloss", "ece")
_OF_AN_ANSWER: Final = ("auc", "logloss", "rmse", "mae", "precision_at_3", "bias", "coverage_80")


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """How forecasts of past weeks fared; a part is absent where nobody has looked.

    Parameters
    ----------
    scores
        One row per (answer, score): ours with the 95 % interval of our own, the floor's, the ``difference`` (ours - floor) with its
        interval, the ``verdict`` (better, worse, no clear difference), which way is ``better`` and the ``definition`` in words. Everything
        from ``ours_low`` to ``verdict`` may be null.
    calibration
        What was promised beside what came, a row per bucket of promised chances and horizon.
    cutoffs
        Some scores at each cutoff (the columns of ``Backtest.by_cutoff``).
    slices
        Some scores by segment (the columns of ``evaluate.slices``).
    classes
        Some scores of each class (the columns of ``evaluate.by_class``), the most bought first; without rows where none are answered.
    weak_spots
        Groups in which the forecast goes wrong (the columns of ``ErrorAnalysis.frame``).

    Raises
    ------
    WhenbuyError
        When a table lacks a column.
    """

    scores: pl.DataFrame | None = None
    calibration: pl.DataFrame | None = None
    cutoffs: pl.DataFrame | None = None
    slices: pl.DataFrame | None = None
    classes: pl.DataFrame | None = None
    weak_spots: pl.DataFrame | None = None

    def __post_init__(self) -> None:
        for name, table in self.parts().items():
            if missing := lacking(name, table):
                raise WhenbuyError(f"The {name} of a report lack the columns {missing}.", f"They need {list(COLUMNS[name])}.")

    @classmethod
    def of(cls, found: Backtest) -> Evidence:
        """Return what a backtest says: all that the report shows of it."""
        days = sorted(found.ours.horizons)
        middle = days[len(days) // 2]
        errors = error_analysis(found, names=[f"{name}_{middle:g}d" for name in ("auc", "logloss", "bias")], rounds=ROUNDS)
        weekly = found.by_cutoff([name for each in WEEKLY for name in (f"{each}_{middle:g}d", each)])
        return cls(_scores(found, days), found.calibration(), weekly, errors.slices, _classes(errors.classes), errors.frame().drop("words"))

    def write(self, folder: Path) -> None:
        """Write the tables into a folder, each under its name; raises AccessError as ``write_frame``."""
        for name, table in self.parts().items():
            write_frame(table, folder / f"{name}.parquet")

    def parts(self) -> dict[str, pl.DataFrame]:
        """Return the tables that there are, by name."""
        found = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: table for name, table in found.items() if table is not None}


def _classes(found: pl.DataFrame) -> pl.DataFrame:
    """Return the scores of each class that the page shows."""
    kinds = {name: pl.Float64 if name in ("value", "low", "high") else pl.String for name in COLUMNS["classes"]}
    return found.filter(pl.col("name").is_in(["auc", "bias"])).select(list(kinds)) if found.height else pl.DataFrame(schema=kinds)


def lacking(name: str, table: pl.DataFrame) -> list[str]:
    """Return the columns that a table of this name should have and has not, as one written by an earlier version."""
    return [column for column in COLUMNS[name] if column not in table.columns]


def answer_of(score: str) -> tuple[str, str]:
    """Return the answer that a score is about and its name without it: ``orders_rmse`` is about ``orders``."""
    first, _, rest = score.partition("_")
    return (first, rest) if first in ANSWERS and rest else ("purchase", score)


def _scores(found: Backtest, days: Iterable[float]) -> pl.DataFrame:
    """Return the scores that say most about each answer, in the order in which they are read."""
    horizons = list(days)
    names = [f"{score}_{each:g}d" for each in horizons for score in _OF_A_HORIZON]
    names += ["c_index", f"ibs_{horizons[-1]:g}d", f"mae_{horizons[-1]:g}d", "coverage_80"]
    names += [f"{answer}_{score}" for answer in ANSWERS for score in _OF_AN_ANSWER]
    frame = found.comparison.frame()
    rows = pl.DataFrame({"name": names}).join(frame, on="name", maintain_order="left")
    answers = pl.Series("answer", [answer_of(name)[0] for name in rows["name"]], dtype=pl.String)
    return rows.with_columns(answers).rename({"name": "score"}).select(COLUMNS["scores"])
