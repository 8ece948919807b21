"""Scores of chances about many classes of things: does each class find its buyers, and does each buyer find her classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from whenbuy.core.arrays import Bools, Floats, Ints
from whenbuy.core.errors import WhenbuyError
from whenbuy.core.examples import Labels
from whenbuy.core.forecast import Classes
from whenbuy.evaluate.measure import Better, Measure, Sums, Whole, ratio
from whenbuy.evaluate.probability import BINS, EDGE, Ranked, logloss

TOP: Final = 3
"""How many of the likeliest classes are counted in the precision at the top."""


def class_measures(answer: Classes, labels: Labels) -> tuple[Measure, ...]:
    """Return the measures of a forecast of classes, over the rows whose window has closed (``observed``).

    Parameters
    ----------
    answer
        The chances (n keys, k classes).
    labels
        What came true (n x k): 1 where something of the class was bought.
    """
    if labels.value.shape != answer.chance.shape:
        raise WhenbuyError(f"Chances of shape {answer.chance.shape} were given labels of shape {labels.value.shape}.")
    seen = np.flatnonzero(labels.observed)
    came, chance = labels.value[seen] > 0, np.clip(answer.chance[seen], EDGE, 1 - EDGE)
    made = [*_macro(came, chance, seen, len(answer)), *_sums(came, chance, answer.take(seen), seen, len(answer))]
    if not came.size:
        return tuple(measure.unknown("no label window has closed") for measure in made)
    return tuple(made)


def _macro(came: Bools, chance: Floats, seen: Ints, n: int) -> list[Measure]:
    """Return the means over the classes of their areas, over those classes that some bought and some did not."""
    share = came.mean(axis=0) if len(came) else np.zeros(came.shape[1])
    able = np.flatnonzero((share > 0) & (share < 1))
    ranked = [Ranked.of(came[:, k].astype(float), chance[:, k]) for k in able]
    note = "" if ranked else "no class was bought by some and not by others"

    def mean(read: Callable[[Ranked, Floats], float]) -> Whole:
        def value(weight: Floats) -> float:
            mine = weight[seen]
            areas = np.array([read(each, mine) for each in ranked])
            return float(areas[np.isfinite(areas)].mean()) if np.isfinite(areas).any() else float("nan")

        return Whole(n, value)

    of = f"mean over {len(able)} of {came.shape[1]} classes (those bought by some and not by all)"
    return [
        Measure("auc", None if note else mean(Ranked.auc), "higher",
                f"{of} of the chance that a buyer of the class was given more than one who did not buy from it; .5 is guessing", note=note),
        Measure("pr_auc", None if note else mean(Ranked.pr_auc), "higher",
                f"{of} of the average precision; the mean base rate is guessing", note=note),
    ]  # fmt: skip


def _sums(came: Bools, chance: Floats, answer: Classes, seen: Ints, n: int) -> list[Measure]:
    rows, k = chance.shape
    top, buyers = min(TOP, k), came.any(axis=1)
    hits = np.take_along_axis(came, answer.top(top), axis=1).sum(axis=1) * buyers
    surprise, square = logloss(came, chance).sum(axis=1), ((chance - came) ** 2).sum(axis=1)
    parts = np.zeros((n, 7 + BINS))
    parts[seen, :7] = np.stack([np.full(rows, float(k)), came.sum(axis=1), chance.sum(axis=1), surprise, square, buyers, hits], axis=1)
    parts[seen, 7:] = _gaps(came, chance)
    nobody = "" if buyers.any() else "nobody bought from any class"
    found: tuple[tuple[str, Better, Callable[[Floats], Floats], str, str], ...] = (
        (f"precision_at_{TOP}", "higher", lambda s: ratio(s[..., 6], top * s[..., 5]),
         f"share of the {top} likeliest classes that were bought from, among buyers of any class", nobody),
        ("logloss", "lower", lambda s: ratio(s[..., 3], s[..., 0]), "mean over people and classes of -log(chance given to what came)", ""),
        ("brier", "lower", lambda s: ratio(s[..., 4], s[..., 0]), "mean over people and classes of the squared distance to what came", ""),
        ("ece", "lower", lambda s: ratio(np.abs(s[..., 7:]).sum(axis=-1), s[..., 0]),
         "mean |share that came true - mean chance| over ten equally filled bins of all people and classes", ""),
        ("bias", "near", lambda s: ratio(s[..., 2], s[..., 1]), "sum of the chances over how many came: above 1 it is too much", nobody),
        ("base_rate", "context", lambda s: ratio(s[..., 1], s[..., 0]), "share of people and classes that came true", ""),
    )  # fmt: skip
    return [
        Measure(name, None if note else Sums(parts, read), better, words, 1.0 if better == "near" else np.nan, note)
        for name, better, read, words, note in found
    ]


def _gaps(came: Bools, chance: Floats) -> Floats:
    """Return what each row adds to the gap of each bin of equal size over all chances (n x bins)."""
    place = np.empty(chance.size, np.int64)
    place[np.argsort(chance, axis=None, kind="stable")] = np.arange(chance.size)
    cell = place * BINS // max(chance.size, 1) + BINS * np.repeat(np.arange(len(chance)), chance.shape[1])
    gaps: Floats = np.bincount(cell, (came - chance).ravel(), minlength=BINS * len(chance)).astype(np.float64)
    return gaps.reshape(len(chance), BINS)
