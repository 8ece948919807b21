"""What a text says of its writer: whether she is content, and which rating she gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import Bools, Floats, Ints
from whenbuy.core.errors import NotEnoughDataError
from whenbuy.core.examples import Examples, Labels
from whenbuy.core.forecast import Amount, Probability
from whenbuy.core.learner import refuse_leak
from whenbuy.core.texts import Texts
from whenbuy.models.text.fields import BLOCK, WEIGHTS, Fields, Lines
from whenbuy.models.text.tfidf import Tfidf

STEPS: Final = 10
"""Ratings on a finer scale are read off so many steps of it."""
LEVELS: Final = (0.1, 0.5, 0.9)
"""The quantiles of a rating that is read."""


@dataclass(frozen=True, slots=True)
class TextChance:
    """A chance read off texts: a logistic regression on weighted words and pairs of words, body and title apart.

    Parameters
    ----------
    question
        Whose label is read: 0 or 1.
    strength
        The inverse of the ridge penalty.
    tfidf
        How texts become terms.
    weights
        How much each field counts.
    meaning
        How much sentence vectors count beside the words (such as `MEANING`; it needs the extra ``text``); 0 where they are not read.
    most
        Texts above this number are sampled.
    seed
        Chooses the sample where one is taken.
    """

    question: str
    strength: float = 4.0
    tfidf: Tfidf = Tfidf()
    weights: tuple[tuple[str, float], ...] = WEIGHTS
    meaning: float = 0.0
    most: int = 50_000
    seed: int = 0

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "text-chance"

    def fit(self, train: Examples, valid: Examples | None = None) -> TextChanceModel:
        """Return what the texts teach; ``valid`` is not needed.

        Raises
        ------
        NotEnoughDataError
            When the labels of texts are all alike, or no word comes again.
        """
        del valid
        label, texts, rows = _cases(train, self.question, self.most, self.seed)
        came = label.value[rows] > 0
        if not 0 < came.sum() < len(came):
            raise _all_alike(self.question, len(came))
        fields = Fields.learn(texts.take(rows), self.tfidf, self.weights, self.meaning)
        lines = Lines.learn(fields.matrix(texts.take(rows)), came[:, None], self.strength)
        return TextChanceModel(self.name, fields, lines, int(label.end[rows].max()))


@dataclass(frozen=True, slots=True, eq=False)
class TextChanceModel:
    """The terms of the training texts, and how each moves the chance."""

    name: str
    fields: Fields
    lines: Lines
    known_until: int

    def predict(self, examples: Examples, *, in_sample: bool = False) -> Probability:
        """Return the chance that each key's text tells; the base rate, marked ``prior``, where it has no known word."""
        refuse_leak(self.known_until, examples.keys, in_sample=in_sample)
        matrix = self.fields.matrix(examples.block(BLOCK, Texts))
        return Probability(examples.keys, self.lines.chance(matrix)[:, 0], self.name, np.diff(matrix.indptr) == 0, in_sample)


@dataclass(frozen=True, slots=True)
class TextRating:
    """A rating read off texts, as an answer in order: cumulative logits P(rating > c), one regression per step c of the scale.

    The expected rating is the lowest level plus the sum of the steps times their chances (McCullagh 1980, section 2; the weights of the
    steps are free, as in Frank & Hall 2001, and the chances are made to fall by sorting).

    Parameters
    ----------
    question
        Whose label is read: ratings.
    strength, tfidf, weights, meaning, most, seed
        See `TextChance`.
    """

    question: str = "rating"
    strength: float = 4.0
    tfidf: Tfidf = Tfidf()
    weights: tuple[tuple[str, float], ...] = WEIGHTS
    meaning: float = 0.0
    most: int = 50_000
    seed: int = 0

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""
        return "text-rating"

    def fit(self, train: Examples, valid: Examples | None = None) -> TextRatingModel:
        """Return what the texts teach; ``valid`` is not needed.

        Raises
        ------
        NotEnoughDataError
            When the ratings of texts are all alike, or no word comes again.
        """
        del valid
        label, texts, rows = _cases(train, self.question, self.most, self.seed)
        levels, above = self._above(label.value[rows])
        fields = Fields.learn(texts.take(rows), self.tfidf, self.weights, self.meaning)
        lines = Lines.learn(fields.matrix(texts.take(rows)), above, self.strength)
        return TextRatingModel(self.name, levels, fields, lines, int(label.end[rows].max()))

    def out_of_fold(self, train: Examples, fold: Ints) -> tuple[Floats, Floats]:
        """Return the levels, and P(rating > level) for each but the last (n x c), of each text by regressions that knew none of its fold.

        The words and their weights are those of all texts: they know no ratings.

        Parameters
        ----------
        fold
            The fold of each text (n).

        Raises
        ------
        NotEnoughDataError
            As ``fit``, also for what is left without one fold.
        """
        label, texts, rows = _cases(train, self.question, self.most, self.seed)
        levels, above = self._above(label.value[rows])
        fields = Fields.learn(texts.take(rows), self.tfidf, self.weights, self.meaning)
        whole = fields.matrix(texts) if len(train) <= self.most else None  # memory stays bounded where texts are very many
        learns = fields.matrix(texts.take(rows)) if whole is None else whole[rows]
        lines = {}
        for part in np.unique(fold).tolist():
            others = fold[rows] != part
            share = above[others].mean(axis=0) if others.any() else np.zeros(len(levels) - 1)
            if not ((share > 0) & (share < 1)).all():
                raise _all_alike(self.question, int(others.sum()))
            lines[part] = Lines.learn(learns[others], above[others], self.strength)
        found = np.empty((len(train), len(levels) - 1))
        for start in range(0, len(train), self.most):
            block = np.arange(start, min(start + self.most, len(train)))
            matrix = fields.matrix(texts.take(block)) if whole is None else whole
            for part, line in lines.items():
                mine = np.flatnonzero(fold[block] == part)
                found[block[mine]] = line.chance(matrix[mine])
        return levels, -np.sort(-found, axis=1)

    def _above(self, rating: Floats) -> tuple[Floats, Bools]:
        """Return the levels, and whether each rating lies above each but the last (n x c)."""
        levels = _levels(rating)
        if len(levels) < 2:
            raise _all_alike(self.question, len(rating))
        return levels, rating[:, None] > (levels[1:] + levels[:-1]) / 2


@dataclass(frozen=True, slots=True, eq=False)
class TextRatingModel:
    """The levels of the scale (c + 1, rising), the terms, and how each moves the chance of more than each level but the last."""

    name: str
    levels: Floats
    fields: Fields
    lines: Lines
    known_until: int

    def above(self, examples: Examples, *, in_sample: bool = False) -> Floats:
        """Return P(rating > level) for each level but the last (n x c), never rising along a row."""
        refuse_leak(self.known_until, examples.keys, in_sample=in_sample)
        chance = self.lines.chance(self.fields.matrix(examples.block(BLOCK, Texts)))
        return -np.sort(-chance, axis=1)

    def predict(self, examples: Examples, *, in_sample: bool = False) -> Amount:
        """Return the expected rating that each key's text tells, and its quantiles; those of all ratings where it has no known word."""
        above = self.above(examples, in_sample=in_sample)
        mean = self.levels[0] + above @ np.diff(self.levels)
        quantiles = self.levels[np.stack([(above > 1 - level).sum(axis=1) for level in LEVELS], axis=1)]
        return Amount(examples.keys, mean, np.array(LEVELS), quantiles, self.name, in_sample)


def _cases(train: Examples, question: str, most: int, seed: int) -> tuple[Labels, Texts, Ints]:
    """Return the labels, the texts, and the rows of which both are known, sampled where there are very many."""
    label, texts = train.label(question), train.block(BLOCK, Texts)
    rows = np.flatnonzero(label.observed & texts.known).astype(np.int64)
    if not len(rows):
        raise NotEnoughDataError(
            f"None of {len(train):,} texts has a {question}.", "Texts whose answer is known teach what others say.", "Give some with it."
        )
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
    return label, texts, rows


def _levels(rating: Floats) -> Floats:
    """Return the ratings that are given, or even steps between them where they are very many."""
    levels = np.unique(rating)
    return levels if len(levels) <= STEPS + 1 else np.linspace(levels[0], levels[-1], STEPS + 1)


def _all_alike(question: str, rows: int) -> NotEnoughDataError:
    return NotEnoughDataError(
        f"All {rows:,} texts have the same {question}.",
        "What tells good texts from bad is learned from both.",
        "Give a longer log.",
    )


TYPES: Final[dict[str, type]] = {kind.__name__: kind for kind in (TextChance, TextChanceModel, TextRating, TextRatingModel)}
"""What stored readers of texts are made of."""
