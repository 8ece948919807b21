"""From a history to examples: who is asked, what was known of them, and what came true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

import numpy as np

from whenbuy.core.arrays import Floats, Instants, Ints
from whenbuy.core.blocks import Block
from whenbuy.core.examples import Examples, Table
from whenbuy.core.history import History, Past
from whenbuy.core.keys import Keys
from whenbuy.core.question import Question
from whenbuy.features import Features
from whenbuy.pipeline.learning.split import spread
from whenbuy.questions.asked import people


class BlockSpec(Protocol):
    """Declares a block, as a spec of features declares the table."""

    def block(self, past: Past) -> Block:
        """Return the block of these keys."""


NOTHING: Mapping[str, BlockSpec] = MappingProxyType({})


def examples(
    history: History, features: Features, keys: Keys, questions: Sequence[Question] = (), blocks: Mapping[str, BlockSpec] = NOTHING
) -> Examples:
    """Return the features and blocks of each key as of its cutoff, and the label of each question as far as the history reaches."""
    past = history.before(keys)

    def silence(days: Floats, rows: Ints) -> Table:
        return features.table(past.take(rows).silent(days))

    labels = {question.name: question.label(past, history.within(keys, question.horizon_days)) for question in questions}
    told = {name: spec.block(past) for name, spec in blocks.items()}
    return Examples(keys, features.table(past), labels, silence, blocks=told)


def panel(
    history: History,
    features: Features,
    cutoffs: Instants,
    questions: Sequence[Question],
    blocks: Mapping[str, BlockSpec] = NOTHING,
    *,
    most: int = 2**62,
    seed: int = 0,
) -> Examples:
    """Return the labelled examples of every person at every cutoff before which she was known.

    Where there would be more than ``most``, whole users are left out, chosen by name and seed: the same ones whatever the cutoffs.
    """
    keys = people_at(history, cutoffs)
    if len(keys) > most:
        stays = spread(history.log.users.ids, seed) < most / len(keys)
        keys = keys.take(np.flatnonzero(stays[keys.code]))
    return examples(history, features, keys, questions, blocks)


def people_at(history: History, cutoffs: Instants) -> Keys:
    """Return a key for every person at every cutoff before which she was known."""
    keys = history.panel(cutoffs)
    return keys.take(np.flatnonzero(people(history.before(keys))))
