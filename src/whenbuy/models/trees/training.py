"""What boosting and forests share: rows to learn from, what is said where there is nothing to learn, and the call of LightGBM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from whenbuy.core.arrays import Bools, Floats, Singles
from whenbuy.core.errors import UsageError
from whenbuy.models.trees.arrays import MOST_COLUMNS
from whenbuy.models.trees.binned import Binned

Objective = Literal["binary", "poisson", "tweedie", "l1", "l2", "quantile"]
Numbers = npt.NDArray[np.floating] | npt.NDArray[np.integer] | Bools

_FIXED: Final = {"deterministic": True, "force_col_wise": True, "num_threads": 1, "verbosity": -1, "feature_pre_filter": False}
_NAMES: Final = {"l1": "regression_l1", "l2": "regression"}
_LOGARITHM: Final = ("poisson", "tweedie")
LEAST_MEAN: Final = 1e-300
"""The mean of amounts that are all 0, whose logarithm is a number."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """What trees learn from: values (n x f, NaN where missing), target, weight or None, and the score to start from or None (n each)."""

    binned: Binned
    target: Floats
    weight: Floats | None
    start: Floats | None

    def __len__(self) -> int:
        return len(self.target)

    @property
    def values(self) -> Singles:
        """The values of the rows (n x f)."""
        return self.binned.values

    @property
    def width(self) -> int:
        """The number of columns f."""
        return int(self.binned.table.shape[1])


def rows_of(objective: Objective, values: Numbers | Binned, target: Numbers, weight: Numbers | None, start: Numbers | None) -> Rows:
    """Return the rows that weigh something, checked.

    Raises
    ------
    UsageError
        When the shapes do not fit, or a target, weight or start is not what the objective can learn from.
    """
    known = isinstance(values, Binned)
    binned = values if isinstance(values, Binned) else Binned(np.ascontiguousarray(values, np.float32))
    table = binned.table
    if table.ndim != 2 or table.shape[1] > MOST_COLUMNS:
        raise UsageError(f"Values have shape {table.shape}.", f"Trees learn from rows of at most {MOST_COLUMNS:,} columns.", "Give fewer.")
    count = len(binned)
    goal, kept = _column("target", target, count), np.ones(count, bool)
    if weight is not None:
        kept = _column("weight", weight, count) > 0
        if (np.asarray(weight, np.float64) < 0).any():
            raise UsageError("A weight is negative.", "Weights say how much a row counts.", "Give 0 to leave a row out.")
    if objective == "binary" and not np.isin(goal, (0.0, 1.0)).all():
        raise UsageError("A target of two classes holds other numbers than 0 and 1.", "1 says that it happened.", "Give 0 and 1.")
    if objective in _LOGARITHM and (goal < 0).any():
        raise UsageError(f"A target of {objective} is negative.", "Counts and amounts start at 0.", "Give numbers of 0 or more.")
    parts = [None if part is None else _column(name, part, count) for name, part in (("weight", weight), ("start", start))]
    if kept.all():
        return Rows(binned, goal, *parts)
    return Rows(binned.take(kept) if known else Binned(table[kept]), goal[kept], *(None if part is None else part[kept] for part in parts))


def _column(name: str, numbers: Numbers, count: int) -> Floats:
    column = np.asarray(numbers, np.float64)
    if column.shape != (count,) or not np.isfinite(column).all():
        raise UsageError(
            f"The {name} of {count:,} rows has shape {column.shape}, or numbers that are not finite.",
            "Each row needs one number.",
            "Leave out the rows that have none.",
        )
    return column


def teachable(objective: Objective, rows: Rows, min_leaf: int) -> bool:
    """Return whether a tree can split these rows at all: enough of them, that differ, towards targets that differ."""
    if len(rows) < 2 * min_leaf or not rows.width or not rows.binned.differ:
        return False
    if objective in _LOGARITHM and not rows.target.any():
        return False
    return bool(np.ptp(rows.target)) or (rows.start is not None and objective != "binary")


def constant(objective: Objective, rows: Rows, level: float) -> float:
    """Return the one answer that serves all rows best, on the scale of the target.

    A chance is never certain: where all rows agree, or there are none, half a row of each kind is added (Jeffreys' prior). The mean of
    counts and amounts that are all 0 is as good as 0.
    """
    weight = np.ones(len(rows)) if rows.weight is None else rows.weight
    if objective in ("l1", "quantile") and len(rows):
        return float(np.quantile(rows.target, 0.5 if objective == "l1" else level, method="inverted_cdf", weights=weight))
    total, sure = float(weight @ rows.target), len(rows) == 0 or not np.ptp(rows.target)
    if objective == "binary":
        return (total + 0.5 * sure) / (float(weight.sum()) + 1.0 * sure)
    mean = total / float(weight.sum()) if len(rows) else 0.0
    return max(mean, LEAST_MEAN) if objective in _LOGARITHM else mean


def train(objective: Objective, options: Mapping[str, Any], rows: Rows, trees: int, valid: Rows | None = None, patience: int = 1) -> str:
    """Return LightGBM's text of the trees that the rows teach, up to the best one on the validation rows where there are some.

    Raises
    ------
    UsageError
        When LightGBM refuses the rows: their weights are so uneven that it cannot tell rows by them.
    """
    import lightgbm

    settings = {**_FIXED, "objective": _NAMES.get(objective, objective), **options}
    data = rows.binned.data(rows.target, rows.weight, rows.start)
    watched: Sequence[Any] = []
    calls: list[Any] = []
    if valid is not None and len(valid):
        watched = [data.create_valid(valid.values, valid.target, weight=valid.weight, init_score=valid.start, params=data.params)]
        calls = [lightgbm.early_stopping(patience, verbose=False)]
    try:
        booster = lightgbm.train(settings, data, trees, valid_sets=list(watched), callbacks=calls)
    except lightgbm.basic.LightGBMError as error:
        low, high = (1.0, 1.0) if rows.weight is None else (float(rows.weight.min()), float(rows.weight.max()))
        raise UsageError(
            f"No tree could be grown from {len(rows):,} rows that weigh from {low:g} to {high:g} ({error}).",
            "Rows are told by their weight.",
            "Give weights that are less uneven, or 0 to leave rows out.",
        ) from error
    return str(booster.model_to_string(num_iteration=booster.best_iteration))


def within(settings: object, **bounds: tuple[float, float]) -> None:
    """Check that each named setting lies in its closed range.

    Raises
    ------
    UsageError
        When one does not.
    """
    for name, (low, high) in bounds.items():
        value = getattr(settings, name)
        if not low <= value <= high:
            raise UsageError(f"{name} is {value!r}.", f"It must lie between {low:g} and {high:g}.", "Set another one.")
