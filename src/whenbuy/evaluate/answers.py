"""From an answer and what came true to its measures: which kind of answer is judged by what."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import numpy as np

from whenbuy.core.arrays import DAY
from whenbuy.core.errors import UsageError, WhenbuyError
from whenbuy.core.examples import Labels
from whenbuy.core.forecast import Amount, Classes, Forecast, Probability, TimeToEvent
from whenbuy.core.number import Number
from whenbuy.core.outlook import Outlook
from whenbuy.evaluate.amount import amount_measures, mean_measures
from whenbuy.evaluate.classes import class_measures
from whenbuy.evaluate.measure import Measure
from whenbuy.evaluate.number import number_measures
from whenbuy.evaluate.probability import probability_measures
from whenbuy.evaluate.when import curve_measures

Answer = Outlook | TimeToEvent | Amount | Probability | Classes | Number
Truth = Labels | Mapping[str, Labels]
ORDERS: Final = "orders"
"""The question how many orders come: its labels are scored against the curves' mean count."""


def measures_of(
    answer: Answer, truth: Truth, horizons: Sequence[float] = (), threshold: float = 0.5, names: Collection[str] = ()
) -> list[Measure]:
    """Return the measures of an answer, all over its n keys.

    Those of an outlook's answers carry the question's name in front, except for the purchase itself.

    Parameters
    ----------
    answer
        An outlook or one forecast (n keys).
    truth
        The labels of the same keys; by question for an outlook.
    horizons
        Days at which the chance of a curve is scored; those of the outlook by default.
    threshold
        The probability from which on a row counts as told.
    names
        The names of the measures wanted; all by default.

    Raises
    ------
    UsageError
        When the labels do not belong to the answer, or a curve is scored without a horizon.
    """
    found = _outlook(answer, truth, horizons, threshold) if isinstance(answer, Outlook) else _one(answer, truth, horizons, threshold)
    return [measure for measure in found if not names or measure.name in names]


def _one(answer: Forecast, truth: Truth, horizons: Sequence[float], threshold: float, beginning: str = "") -> list[Measure]:
    if not isinstance(truth, Labels):
        raise UsageError(
            f"One forecast was scored against a mapping of labels ({', '.join(truth)}).", "It needs the labels of its question."
        )
    if isinstance(answer, TimeToEvent):
        found = curve_measures(answer, truth, horizons)
    elif isinstance(answer, Probability):
        if len(truth) != len(answer):
            raise WhenbuyError(f"{len(answer)} chances were given {len(truth)} labels.")
        found = probability_measures(truth.value > 0, answer.chance, truth.observed, threshold=threshold)
    elif isinstance(answer, Classes):
        found = class_measures(answer, truth)
    elif isinstance(answer, Number):
        found = number_measures(answer, truth)
    elif isinstance(answer, Amount):
        return list(amount_measures(answer, truth, beginning or "amount_"))
    else:
        raise UsageError(f"A {type(answer).__name__} cannot be scored.", "Curves, amounts, numbers, chances and classes can be.")
    return [measure.named(beginning + measure.name) for measure in found]


def _outlook(outlook: Outlook, truth: Truth, horizons: Sequence[float], threshold: float) -> list[Measure]:
    if isinstance(truth, Labels):
        raise UsageError("An outlook was scored against the labels of one question.", "It needs a mapping from question to labels.")
    found: list[Measure] = []
    for question, labels in truth.items():
        if question == ORDERS:
            found += _counts(outlook.purchase, labels)
        elif question in outlook.answers:
            beginning = "" if question == "purchase" else f"{question}_"
            found += _one(outlook.answers[question], labels, horizons or outlook.horizons, threshold, beginning)
    if not found:
        raise UsageError(
            f"The labels are about {', '.join(truth) or 'nothing'}, the outlook answers {', '.join(outlook.answers)}.",
            "They must have a question in common.",
            "Make the labels of a question that the outlook answers.",
        )
    return found


def _counts(curves: TimeToEvent, labels: Labels) -> tuple[Measure, ...]:
    """Return the measures of the expected number of orders within each label's window."""
    if len(labels) != len(curves):
        raise WhenbuyError(f"{len(curves)} curves were given {len(labels)} labels.")
    whole, window = np.flatnonzero(labels.observed), (labels.end - curves.keys.cutoff) / DAY
    expected = np.zeros(len(curves))
    for days in np.unique(window[whole]):
        rows = whole[window[whole] == days]
        expected[rows] = curves.take(rows).count_at(float(days))
    return mean_measures(labels.value, expected, whole, f"{ORDERS}_")
