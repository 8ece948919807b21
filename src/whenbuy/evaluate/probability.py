"""Scores of a probability: does it rank, is it calibrated, and what would a threshold do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import Bools, Floats, Ints
from whenbuy.core.kernel import kernel
from whenbuy.evaluate.measure import Better, Measure, Sums, Whole, ratio

EDGE: Final = 1e-6
"""Probabilities are kept this far from 0 and 1 before they are scored: no forecast is infinitely wrong."""
BINS: Final = 10
"""Equally filled bins of the calibration error."""


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """Rows in falling order of their probability; rows of equal probability can only be told apart together.

    Parameters
    ----------
    order
        The rows (n), the likeliest first.
    ends
        Places in ``order`` at which a run of equal probabilities ends (t): the thresholds there are.
    happened
        What came true (n), in that order.
    """

    order: Ints
    ends: Ints
    happened: Floats

    @classmethod
    def of(cls, happened: Floats, probability: Floats) -> Ranked:
        """Return the rows of a forecast in its own order."""
        order = np.argsort(probability, kind="stable")[::-1].astype(np.int64)
        ends = np.append(np.flatnonzero(np.diff(probability[order])), len(order) - 1).astype(np.int64)
        return cls(order, ends, happened[order])

    def told(self, weight: Floats) -> tuple[Floats, Floats]:
        """Return how many events and how many rows lie at or above each threshold (t each)."""
        mine = weight[self.order]
        return np.cumsum(mine * self.happened)[self.ends], np.cumsum(mine)[self.ends]

    def auc(self, weight: Floats) -> float:
        """Return the area under the ROC curve: P(an event is ranked above a non-event), ties half (Fawcett 2006, s. 7)."""
        return float(_areas(self.order, self.ends, self.happened, weight)[0])

    def pr_auc(self, weight: Floats) -> float:
        """Return the average precision: precision at each threshold, weighted by the recall that it adds (no interpolation)."""
        return float(_areas(self.order, self.ends, self.happened, weight)[1])

    def best_f1(self, weight: Floats) -> float:
        """Return F1 at the threshold that maximises it on these very rows: an upper bound."""
        hits, told = self.told(weight)
        return float((2 * hits / (told + hits[-1])).max()) if hits[-1] else float("nan")

    def calibration_error(self, probability: Floats, weight: Floats) -> float:
        """Return the mean |observed share - mean probability| over ten equally filled bins; ``weight`` holds whole numbers.

        The rows are cut from the least likely on; where they do not divide by ten, the first bins hold one more (Naeini et al. 2015, s. 2).
        """
        rising = np.repeat(np.arange(len(self.order))[::-1], weight[self.order][::-1].astype(np.int64))
        if not len(rising):
            return float("nan")
        gap = self.happened[rising] - probability[self.order][rising]
        size, longer = divmod(len(gap), BINS)
        ends = np.cumsum(np.where(np.arange(BINS) < longer, size + 1, size))
        sums = np.diff(np.concatenate([[0.0], np.cumsum(gap)])[ends], prepend=0.0)
        return float(np.abs(sums).sum() / len(gap))


@kernel
def _areas(order: Ints, ends: Ints, happened: Floats, weight: Floats) -> tuple[float, float]:
    """Return the area under the ROC curve and the average precision in one walk down the thresholds, NaN where undefined."""
    hits = rows = area = precision = 0.0
    start = 0
    for end in ends:
        before, above = hits, rows
        for place in range(start, end + 1):
            mine = weight[order[place]]
            rows += mine
            hits += mine * happened[place]
        start = end + 1
        area += (rows - above - hits + before) * (before + hits) / 2
        if hits > before:
            precision += (hits - before) * hits / rows
    pairs = hits * (rows - hits)
    return area / pairs if pairs > 0.0 else np.nan, precision / hits if hits > 0.0 else np.nan


def probability_measures(
    happened: Bools, probability: Floats, seen: Bools | None = None, ending: str = "", threshold: float = 0.5
) -> tuple[Measure, ...]:
    """Return the measures of a probability forecast.

    Parameters
    ----------
    happened
        Whether it came true (n).
    probability
        What was forecast (n).
    seen
        Rows whose window is known to its end (n); the others count for nothing, survivors and events alike. All of them by default.
    ending
        What to hang on the names, such as ``_7d``.
    threshold
        The probability from which on a row counts as told: what accuracy, precision, recall and F1 are taken at.
    """
    seen = np.ones(len(happened), bool) if seen is None else seen
    p = np.clip(np.asarray(probability, float), EDGE, 1 - EDGE)
    y = np.asarray(happened, float)
    made = [*_sums(y, p, seen, threshold), *_ranks(y, p, seen)]
    if not seen.any():
        made = [measure.unknown("no label window of this length has closed") for measure in made]
    return tuple(measure.named(f"{measure.name}{ending}") for measure in made)


def logloss(happened: Bools | Floats, probability: Floats) -> Floats:
    """Return -log(probability given to what came true) of each row, with probabilities kept ``EDGE`` away from 0 and 1."""
    p = np.clip(np.asarray(probability, float), EDGE, 1 - EDGE)
    return np.asarray(-np.log(np.where(np.asarray(happened, float) > 0, p, 1 - p)))


_READERS: Final[tuple[tuple[str, Better, Callable[[Floats], Floats], str], ...]] = (
    ("logloss", "lower", lambda s: ratio(s[..., 3], s[..., 0]), "mean of -log(probability given to what came true)"),
    ("brier", "lower", lambda s: ratio(s[..., 4], s[..., 0]), "mean squared distance between probability and what came true (1 or 0)"),
    ("accuracy", "higher", lambda s: ratio(s[..., 5], s[..., 0]), "share of rows where 'at least {0:g}' and what came true agree"),
    ("precision", "higher", lambda s: ratio(s[..., 6], s[..., 7]), "share that came true among rows with a probability of at least {0:g}"),
    ("recall", "higher", lambda s: ratio(s[..., 6], s[..., 1]), "share with a probability of at least {0:g} among rows that came true"),
    ("f1", "higher", lambda s: ratio(2 * s[..., 6], s[..., 7] + s[..., 1]), "harmonic mean of precision and recall at the threshold {0:g}"),
    ("bias", "near", lambda s: ratio(s[..., 2], s[..., 1]), "sum of the probabilities over how many came true: above 1 it is too much"),
    ("base_rate", "context", lambda s: ratio(s[..., 1], s[..., 0]), "share of rows that came true"),
    ("mean_probability", "context", lambda s: ratio(s[..., 2], s[..., 0]), "mean probability; beside the base rate it shows the bias"),
)  # fmt: skip


def _sums(y: Floats, p: Floats, seen: Bools, threshold: float) -> list[Measure]:
    told = p >= threshold
    columns = [np.ones(len(y)), y, p, logloss(y, p), (p - y) ** 2, told == (y > 0), told * y, told]
    parts = np.stack([column * seen for column in columns], axis=1)
    total = parts.sum(axis=0)
    nothing = "" if total[1] else "nothing came true"
    notes = {"precision": "" if total[7] else f"no probability reaches {threshold:g}", "recall": nothing, "bias": nothing}
    notes["f1"] = "" if total[7] + total[1] else f"nothing came true, and no probability reaches {threshold:g}"
    return [
        Measure(
            name, None if notes.get(name) else Sums(parts, read), better, words.format(threshold), 1.0 if better == "near" else np.nan,
            notes.get(name, ""),
        )
        for name, better, read, words in _READERS
    ]  # fmt: skip


def _ranks(y: Floats, p: Floats, seen: Bools) -> list[Measure]:
    rows = np.flatnonzero(seen)
    n, mine, chance = len(y), y[rows], p[rows]
    ranked = Ranked.of(mine, chance) if len(rows) else Ranked(rows, rows, mine)
    note = "" if 0 < mine.sum() < len(mine) else f"only one class: {mine.sum():.0f} of {len(mine)} rows came true"

    def measure(name: str, better: Better, read: Callable[[Floats], float], words: str, why: str) -> Measure:
        return Measure(name, None if why else Whole(n, lambda weight: read(weight[rows])), better, words, note=why)

    return [
        measure("auc", "higher", ranked.auc, "chance that a row that came true was given more than one that did not; .5 is guessing", note),
        measure("pr_auc", "higher", ranked.pr_auc, "average precision over all thresholds; the base rate is guessing", note),
        measure("ece", "lower", lambda w: ranked.calibration_error(chance, w),
                "mean |share that came true - mean probability| over ten equally filled bins", ""),
        measure("f1_best_threshold", "higher", ranked.best_f1, "F1 at the threshold that is best on these same rows: an upper bound", note),
    ]  # fmt: skip
