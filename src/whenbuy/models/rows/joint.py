"""Joint: the members of a blend of curves, the blend and its calibration in one compiled call.

A call from Python costs more than a member's own work, so what can be done behind one is. Members of other kinds say their curves first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

import numpy as np

from whenbuy.core.arrays import Floats, Ints, Singles
from whenbuy.core.kernel import kernel
from whenbuy.models.rows import steps
from whenbuy.models.rows.asked import Asked, Layout, Path, Row, Whole
from whenbuy.models.rows.forests import Chain, Words, chained, walked
from whenbuy.models.rows.powers import exp_of, log_of
from whenbuy.models.rows.rhythm import Extended, extend
from whenbuy.models.rows.terms import Scorer, score
from whenbuy.models.when.boosted_curve import DirectHorizonsModel, monotone
from whenbuy.models.when.floors import KaplanMeierModel
from whenbuy.models.when.hazard import HazardModel
from whenbuy.models.when.rhythm import FittedRhythm
from whenbuy.models.wrapping.prepared import PreparedModel

_SEEN: Final = "event_recency_days"
_GIVEN, _STRATA, _HAZARD, _DIRECT = range(4)
"""Kinds of members: one that says its curve itself, curves by stratum, a hazard, direct classifiers."""
_HEAD: Final = 5
"""Leading integers: days of the grid; members; whether they are blended; stretches of the calibration, and days before its last edge."""
_EACH: Final = 6
"""Integers of a member: its kind; where its integers begin, its numbers begin and end, its nodes begin and end."""

Correction = tuple[Ints, int, Floats, Ints]
"""The stretch in which each day lies, how many days lie before the last edge, and the shape and sizes that `steps.scaled` reads."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What the kernel is told of one member: its kind, its integers and numbers, its trees, and the path on which it is asked."""

    kind: int = _GIVEN
    integers: tuple[Any, ...] = ()
    reals: tuple[Any, ...] = ()
    trees: Chain | None = None
    path: Path | None = None


def joint(
    members: Sequence[Any], rows: Sequence[Row], weights: Floats | None, correction: Correction | None, layout: Layout
) -> Callable[[Asked, bool], Whole] | None:
    """Return what asks the members of a blend (one alone without ``weights``) together; None where that gains nothing."""
    parts = [_part(member, layout) for member in members]
    path = next((part.path for part in parts if part.path is not None), None)
    parts = [Part() if part.path not in (None, path) else part for part in parts]
    if all(part.kind == _GIVEN for part in parts):
        return None
    still, (integers, reals, nodes) = np.zeros(len(layout.names), np.int64), _packed(parts, weights, correction, layout.days)
    given = [(place, row) for place, (row, part) in enumerate(zip(rows, parts, strict=True)) if part.kind == _GIVEN]
    size, g = 2 * len(parts), len(layout.days)

    def whole(asked: Asked, counted: bool) -> Whole:
        told, prior = _NOTHING, True
        if given:
            told = np.empty((size, g))
            for place, row in given:
                told[2 * place], told[2 * place + 1], own = row.curve(asked, counted)
                prior = prior and bool(own)
        columns, moved = (asked.values.T, still) if path is None else asked.ahead(*path)
        out = np.empty((3, g + 1))
        said = together(columns, moved, integers, reals, nodes, told, out)
        return out, prior and said

    return whole


_NOTHING: Final = np.empty((0, 0))


def _packed(parts: Sequence[Part], weights: Floats | None, correction: Correction | None, days: Floats) -> tuple[Ints, Floats, Words]:
    """Return the parts as the kernel reads them."""
    stretch, inside, shape, sizes = correction if correction is not None else (np.empty(0), 0, np.empty(0), np.empty(0))
    head = [len(days), len(parts), int(weights is not None), len(sizes), inside]
    integers, reals = [stretch, sizes], [days, np.ones(len(parts)) if weights is None else weights, shape]
    begin, number, node, table = _HEAD + _EACH * len(parts) + len(stretch) + len(sizes), sum(map(len, reals)), 0, []
    for part in parts:
        whole, numbers, nodes = np.concatenate([[], *part.integers]), np.concatenate([[], *part.reals]), _nodes(part)
        table += [part.kind, begin, number, number + len(numbers), node, node + nodes]
        begin, number, node = begin + len(whole), number + len(numbers), node + nodes
        integers.append(whole)
        reals.append(numbers)
    trees = [part.trees for part in parts if part.trees is not None]
    return (
        np.concatenate([head, table, *integers]).astype(np.int64),
        np.concatenate(reals),
        np.concatenate([np.empty(0, np.uint64), *(one.nodes for one in trees)]),
    )


def _nodes(part: Part) -> int:
    return 0 if part.trees is None else len(part.trees.nodes)


# ------------------------------------------------------------------------------------------------ the members


def _part(model: Any, layout: Layout) -> Part:
    """Return what the kernel is told of a member; one that it does not know says its curve itself."""
    make = _PARTS.get(type(model))
    found = None if make is None else make(model, layout)
    return Part() if found is None else found


def _strata(model: KaplanMeierModel, layout: Layout) -> Part | None:
    place = layout.place(model.column or "tenure_days")
    if place < 0:
        return None
    survival, count = model.survival.copy(), model.mean_count.copy()
    for one, other in zip(survival, count, strict=True):
        steps.freed(one, other)
    edges = model.edges if model.column else model.edges[:0]
    return Part(_STRATA, ([place, len(edges), len(survival), int(bool(model.column))],), (edges, survival.ravel(), count.ravel()))


def _hazard(model: HazardModel, layout: Layout) -> Part | None:
    scorer, seen, step = Scorer.of(model.terms, model.weights, layout), layout.place(_SEEN), float(model.settings.step_days)
    days = np.array(model.settings.grid_days, float)
    if scorer is None or seen < 0 or not np.array_equal(days, layout.days):
        return None
    count = ceil(days[-1] / step - 1e-9)
    return Part(_HAZARD, ([seen], scorer.integers), ([model.intercept, step], scorer.reals), path=(step, count))


def _direct(model: DirectHorizonsModel, layout: Layout, rhythm: Extended | None = None) -> Part | None:
    inner = layout if rhythm is None else rhythm.layout
    trees, places, seen = chained(model.trees, model.before), inner.places(tuple(model.columns)), layout.place(_SEEN)
    if trees is None or places is None or seen < 0 or {one.link for one in model.trees} != {"logistic"}:
        return None
    if not np.array_equal(model.grid_days, layout.days):
        return None
    knots = np.concatenate([[0.0], model.horizons])
    usual = np.concatenate([[0.0], -np.log1p(-monotone(model.share[None, :]))[0]])
    right = np.clip(np.searchsorted(knots, layout.days), 1, len(knots) - 1)
    part = (layout.days - knots[right - 1]) / (knots[right] - knots[right - 1])
    walk = [len(trees.asks), len(trees.roots), len(trees.groups), len(trees.steps)]
    sizes = [seen, len(model.horizons), len(places), *walk, 0, len(inner.names)]
    integers = [places, right, trees.asks, trees.roots, trees.groups.ravel(), trees.steps]
    reals = [[trees.divisor], usual, part, trees.base, trees.value]
    if rhythm is not None:
        sizes[7] = len(rhythm.days)
        integers, reals = [*integers, rhythm.places], [*reals, rhythm.days, rhythm.reals]
    return Part(_DIRECT, (sizes, *integers), tuple(reals), trees)


def _prepared(model: PreparedModel[Any], layout: Layout) -> Part | None:
    if len(model.steps) != 1 or type(model.steps[0]) is not FittedRhythm or type(model.model) is not DirectHorizonsModel:
        return None
    return _direct(model.model, layout, Extended(model.steps[0], layout))


_PARTS: Final[Mapping[type, Callable[[Any, Layout], Part | None]]] = {
    KaplanMeierModel: _strata, HazardModel: _hazard, DirectHorizonsModel: _direct, PreparedModel: _prepared,
}  # fmt: skip


# ------------------------------------------------------------------------------------------------ compiled


@kernel
def together(columns: Singles, moved: Ints, integers: Ints, reals: Floats, nodes: Words, told: Floats, out: Floats) -> bool:
    """Write log-survival and expected orders (0 before the first day) and survival, freed of rounding; return whether all are priors.

    ``told`` holds survival and expected orders of the members that said theirs, two rows each.
    """
    g, members, blended, stretches, inside = integers[0], integers[1], integers[2], integers[3], integers[4]
    begin = _HEAD + _EACH * members
    days, weights = reals[:g], reals[g : g + members]
    survival, count, prior = np.empty((members, g)), np.empty((members, g)), True
    for member in range(members):
        row = integers[_HEAD + _EACH * member : _HEAD + _EACH * (member + 1)]
        own, numbers, kind = integers[row[1] :], reals[row[2] : row[3]], row[0]
        if kind == _GIVEN:
            survival[member], count[member], known = told[2 * member], told[2 * member + 1], False
        elif kind == _STRATA:
            known = _of_strata(columns, own, numbers, survival[member], count[member])
        elif kind == _HAZARD:
            known = _of_hazard(columns, moved, own, numbers, days, survival[member], count[member])
        else:
            known = _of_trees(columns, own, numbers, nodes[row[4] : row[5]], survival[member], count[member])
        prior = prior and (kind == _GIVEN or not known)
    if blended:
        _blend(survival, count, weights)
    if stretches:
        sizes = integers[begin + g : begin + g + stretches]
        _correct(survival[0], integers[begin : begin + g], inside, reals[g + members :], sizes)
    steps.freed(survival[0], count[0])
    out[0, 0], out[1, 0] = 0.0, 0.0
    for i in range(g):
        out[2, i] = survival[0, i]
        out[0, i + 1], out[1, i + 1] = log_of(max(survival[0, i], 1e-300)), count[0, i]
    return prior


@kernel
def _of_strata(columns: Singles, own: Ints, numbers: Floats, survival: Floats, count: Floats) -> bool:
    """Write the curve of her stratum; return whether she is known."""
    value, edges, strata, g = np.float64(columns[own[0], 0]), own[1], own[2], len(survival)
    row = strata - 1
    if np.isfinite(value) and own[3]:
        row = np.searchsorted(numbers[:edges], value, side="right")
    first = edges + row * g
    for i in range(g):
        survival[i], count[i] = numbers[first + i], numbers[first + strata * g + i]
    return bool(np.isfinite(value))


@kernel
def _of_hazard(
    columns: Singles, moved: Ints, own: Ints, numbers: Floats, days: Floats, survival: Floats, count: Floats
) -> bool:  # fmt: skip
    """Write the curve of a hazard; return whether she is known."""
    scores, intercept, each = score(columns, moved, own[1:], numbers[2:]), numbers[0], 1.0 / numbers[1]
    fallen, whole, last = np.empty(len(scores) + 1), 0.0, len(scores) - 1
    for i in range(len(scores)):
        x = scores[i] + intercept
        scores[i] = max(x, 0.0) + log_of(1.0 + exp_of(-abs(x)))
    fallen[0] = 0.0
    for i in range(len(scores)):
        whole += scores[i]
        fallen[i + 1] = whole
    for i in range(len(days)):
        left = min(int(days[i] * each), last)
        count[i] = fallen[left] + (days[i] * each - left) * (fallen[left + 1] - fallen[left])
    for i in range(len(days)):
        survival[i] = exp_of(-count[i])
    steps.freed(survival, count)
    return not np.isnan(columns[own[0], 0])


@kernel
def _of_trees(columns: Singles, own: Ints, numbers: Floats, nodes: Words, survival: Floats, count: Floats) -> bool:
    """Write the curve of direct classifiers; return whether she is known."""
    g, h, picked, asks, roots, groups, sixteens, days = len(survival), own[1], own[2], own[3], own[4], own[5], own[6], own[7]
    usual, part, base = numbers[1 : 2 + h], numbers[2 + h : 2 + h + g], numbers[2 + h + g : 2 + 2 * h + g]
    places, right = own[9 : 9 + picked], own[9 + picked : 9 + picked + g]
    at, known = 9 + picked + g, not np.isnan(columns[own[0], 0])
    fallen = usual
    if known:
        row, values = np.empty(own[8], np.float32), np.empty(picked, np.float32)
        for i in range(len(columns)):
            row[i] = columns[i, 0]
        first, a = 2 + 2 * h + g, at + asks
        leaves, b, c = numbers[first : first + len(nodes)], a + roots, a + roots + 3 * groups
        if days:
            first += len(nodes)
            extend(row, len(columns), own[c + sixteens :], numbers[first + days :], numbers[first : first + days])
        for i in range(picked):
            values[i] = row[places[i]]
        raw = walked(nodes, leaves, own[at:a], own[a:b], own[b:c].reshape((groups, 3)), own[c : c + sixteens], base, numbers[0], values)
        fallen = steps.fallen_of(raw)
    for i in range(g):
        count[i] = fallen[right[i] - 1] + part[i] * (fallen[right[i]] - fallen[right[i] - 1])
    for i in range(g):
        survival[i] = exp_of(-count[i])
    steps.freed(survival, count)
    return known


@kernel
def _blend(survival: Floats, count: Floats, weights: Floats) -> None:
    """Replace the first member's curve by the blend of all (`steps.mixed_curves`)."""
    score, orders = np.zeros(survival.shape[1]), np.zeros(survival.shape[1])
    for member in range(len(weights)):
        one, other, weight = survival[member], count[member], weights[member]
        for i in range(len(score)):
            p = min(max(1.0 - one[i], steps.SURE), 1 - steps.SURE)
            score[i] += weight * log_of(np.true_divide(p, 1.0 - p))
            orders[i] += weight * other[i]
    for i in range(len(score)):
        survival[0, i], count[0, i] = 1.0 - np.true_divide(1.0, 1.0 + exp_of(-score[i])), orders[i]
    steps.freed(survival[0], count[0])


@kernel
def _correct(survival: Floats, stretch: Ints, inside: int, shape: Floats, sizes: Ints) -> None:
    """Calibrate a curve of survival in place (`steps.corrected`)."""
    found, _ = steps.corrected(survival, survival, stretch, inside, shape, sizes)
    survival[:] = found
