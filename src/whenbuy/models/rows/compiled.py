"""Compiled: the row of any model. Blends, calibrations, adjustments and preparations pass on what stands behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from whenbuy.core.arrays import Floats, Ints, Singles
from whenbuy.core.examples import Examples
from whenbuy.models.how_much.conformal import ConformalModel
from whenbuy.models.rows import amounts, classes, curves, steps
from whenbuy.models.rows.asked import Asked, Compile, Layout, Row, Told, general
from whenbuy.models.rows.joint import joint
from whenbuy.models.rows.rhythm import Extended
from whenbuy.models.when.rhythm import FittedRhythm
from whenbuy.models.wrapping.blend import BlendModel
from whenbuy.models.wrapping.calibrate import CalibratedModel, Calibration, Correction, Isotonic
from whenbuy.models.wrapping.prepared import PreparedModel


def compiled(model: Any, layout: Layout) -> Row:
    """Return what a model says of one customer at a time. Where it has no compiled row, it predicts for examples of one row.

    A model of a kind that this folder does not know gives its own: a method ``row(layout)``.
    """
    own = getattr(model, "row", None)
    make = ROWS.get(type(model))
    found: Row | None = own(layout) if own is not None else make(model, layout) if make is not None else None
    return general(model) if found is None else found


def _blend(model: BlendModel[Any], layout: Layout) -> Row:
    """Return the row of the weighted mean of what members say."""
    members, weights = [compiled(member, layout) for member in model.members], np.array(model.weights, np.float64)
    pairs = list(zip(members, model.weights, strict=True))

    def curve(asked: Asked, counted: bool) -> Told:
        survivals, counts, prior = np.empty((len(members), len(layout.days))), np.empty((len(members), len(layout.days))), True
        for place, member in enumerate(members):
            survivals[place], counts[place], own = member.curve(asked, counted)
            prior = prior and bool(own)
        return *steps.mixed_curves(survivals, counts, weights), prior

    def amount(asked: Asked) -> tuple[float, float]:
        mean = median = 0.0
        for member, weight in pairs:
            own = member.amount(asked)
            mean, median = mean + weight * own[0], median + weight * own[1]
        return mean, median

    def chance(asked: Asked) -> float:
        return float(steps.mixed(np.array([[member.chance(asked)] for member in members]), weights)[0])

    def classes(asked: Asked) -> tuple[Floats, None]:
        return steps.mixed(np.array([member.classes(asked)[0] for member in members]), weights), None

    return Row(
        curve, amount, chance, classes, all(member.compiled for member in members), joint(model.members, members, weights, None, layout)
    )


def _calibrated(model: CalibratedModel[Any], layout: Layout) -> Row | None:
    """Return the row of a model and its calibration."""
    correction, inner = model.calibration, compiled(model.model, layout)
    if type(correction) not in (Calibration, Isotonic):
        return None
    stretch = np.minimum(np.searchsorted(correction.edges, layout.days - 1e-9), len(correction.edges) - 1).astype(np.int64)
    inside, (shape, sizes) = int((layout.days <= correction.edges[-1] + 1e-9).sum()), _flat(correction)

    def curve(asked: Asked, counted: bool) -> Told:
        survival, count, prior = inner.curve(asked, counted)
        return *steps.corrected(survival, count, stretch, inside, shape, sizes), prior

    def chance(asked: Asked) -> float:
        return float(steps.corrected_chances(np.array([inner.chance(asked)]), shape, sizes)[0])

    def classes(asked: Asked) -> tuple[Floats, None]:
        return steps.corrected_chances(inner.classes(asked)[0], shape, sizes), None

    within, weights = ((model.model,), None) if type(model.model) is not BlendModel else (model.model.members, model.model.weights)
    rows, shares = [compiled(one, layout) for one in within], None if weights is None else np.array(weights, np.float64)
    whole = joint(within, rows, shares, (stretch, inside, shape, sizes), layout)
    return Row(curve, chance=chance, classes=classes, compiled=inner.compiled, whole=whole)


def _prepared(model: PreparedModel[Any], layout: Layout) -> Row | None:
    """Return the row of a model behind preparations, where these and the model have compiled ones."""
    through: list[Extended] = []
    for step in model.steps:
        if type(step) is not FittedRhythm:
            return None
        through.append(Extended(step, layout))
        layout = through[-1].layout
    inner = compiled(model.model, layout)
    if not inner.compiled:
        return None  # examples of one row would have to be prepared again

    def prepared(asked: Asked) -> Asked:
        return _Through(asked, through)

    return Row(
        lambda asked, counted: inner.curve(prepared(asked), counted),
        lambda asked: inner.amount(prepared(asked)),
        lambda asked: inner.chance(prepared(asked)),
        lambda asked: inner.classes(prepared(asked)),
    )


class _Through:
    """A customer whose features went through preparations."""

    __slots__ = ("_asked", "_steps", "values")

    def __init__(self, asked: Asked, steps: Sequence[Extended]) -> None:
        self._asked, self._steps, self.values = asked, steps, self._extended(asked.values, steps)

    @staticmethod
    def _extended(values: Singles, steps: Sequence[Extended]) -> Singles:
        for step in steps:
            values = step(values)
        return values

    def path(self, step_days: float, steps: int) -> Singles:
        rows = np.ascontiguousarray(self._asked.path(step_days, steps).T)
        return np.ascontiguousarray(np.concatenate([self._extended(row[None], self._steps) for row in rows]).T)

    def ahead(self, step_days: float, steps: int) -> tuple[Singles, Ints]:
        path = self.path(step_days, steps)
        return path, np.ones(len(path), np.int64)

    def block(self) -> Singles:
        return self._asked.block()

    def whole(self) -> Examples:
        return self._asked.whole()


def _adjusted(model: ConformalModel, layout: Layout) -> Row | None:
    """Return the row of a model of amounts; its median is a forecast of its own and is not shifted."""
    middle = amounts.median(model.adjustment.levels)
    return None if middle is None or model.adjustment.shift[middle] != 0 else compiled(model.model, layout)


ROWS: Final[Mapping[type, Compile]] = {
    **curves.ROWS, **amounts.ROWS, **classes.ROWS,
    BlendModel: _blend, CalibratedModel: _calibrated, PreparedModel: _prepared, ConformalModel: _adjusted,
}  # fmt: skip
"""What makes the row of each kind of model."""


def _flat(correction: Correction) -> tuple[Floats, Ints]:
    """Return a correction as the kernels read it."""
    if isinstance(correction, Calibration):
        pairs = zip(correction.slope, correction.offset, strict=True)
        return np.array([part for pair in pairs for part in pair], np.float64), np.full(len(correction.slope), -1, np.int64)
    assert isinstance(correction, Isotonic)
    parts = [part for pair in zip(correction.promised, correction.came, strict=True) for part in pair]
    return np.concatenate([np.empty(0), *parts]), np.array([len(part) for part in correction.promised], np.int64)
