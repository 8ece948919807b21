"""From a history to examples: who is asked, what was known of them, and what came true."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from whenbuy.core.arrays import Instants, Ints
from whenbuy.core.examples import Examples, Table
from whenbuy.core.history import History
from whenbuy.core.keys import Keys
from whenbuy.core.question import Question
from whenbuy.features import Features


def examples(history: History, features: Features, keys: Keys, questions: Sequence[Question] = ()) -> Examples:
    """Return the features of each key as of its cutoff, and the label of each question as far as the history reaches."""
    past = history.before(keys)

    def silence(days: float, rows: Ints | slice) -> Table:
        return features.table(past.take(rows).silent(days))

    labels = {question.name: question.label(past, history.within(keys, question.horizon_days)) for question in questions}
    return Examples(keys, features.table(past), labels, silence)


def panel(history: History, features: Features, cutoffs: Instants, questions: Sequence[Question]) -> Examples:
    """Return the examples of everybody whom the first question asks, at every cutoff."""
    keys = history.panel(cutoffs)
    asked = questions[0].population(history.before(keys))
    return examples(history, features, keys.take(np.flatnonzero(asked)), questions)
