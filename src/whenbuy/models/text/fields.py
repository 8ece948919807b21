"""Several fields of a text side by side: body and title have terms of their own, for a word in a title weighs more."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from whenbuy.core.arrays import Bools, Floats, Singles
from whenbuy.core.errors import NotEnoughDataError
from whenbuy.core.texts import Texts
from whenbuy.models.text.tfidf import TextTerms, Tfidf
from whenbuy.models.text.vectors import LENGTH, unit, vectors

if TYPE_CHECKING:
    from scipy.sparse import csr_array

BLOCK: Final = "texts"
"""The block that holds what each key wrote."""
WEIGHTS: Final = (("text", 1.0), ("title", 0.7))
"""How much each field counts: a title is short, so that each of its terms weighs much already."""
MEANING: Final = 0.4
"""How much the vector of a text counts beside its terms, where vectors are read."""


@dataclass(frozen=True, slots=True, eq=False)
class Fields:
    """The learned terms of each field, and how much the field counts; beside them the vector of all that a key wrote, where it is read.

    Parameters
    ----------
    names, terms, weights
        Of each field.
    meaning
        How much the vector counts beside the terms; 0 where vectors are not read.
    middle
        The mean vector of the training texts; empty where vectors are not read.
    """

    names: tuple[str, ...]
    terms: tuple[TextTerms, ...]
    weights: tuple[float, ...]
    meaning: float = 0.0
    middle: Singles = field(default_factory=lambda: np.empty(0, np.float32))

    @classmethod
    def learn(cls, texts: Texts, tfidf: Tfidf, weights: tuple[tuple[str, float], ...] = WEIGHTS, meaning: float = 0.0) -> Fields:
        """Return the terms of those fields in which words come again.

        Raises
        ------
        NotEnoughDataError
            When there is none.
        DependencyError
            When vectors are to be read, and the extra ``text`` is not installed.
        """
        found: list[tuple[str, TextTerms, float]] = []
        for name, weight in weights:
            if name not in texts.codes:
                continue
            written, place = texts.distinct(name)
            try:
                found.append((name, tfidf.fit([written[i] for i in place[place > 0]]), weight))
            except NotEnoughDataError:
                continue  # a field of which every entry differs from every other teaches nothing
        if not found:
            raise NotEnoughDataError(
                f"No word comes again in {len(texts):,} texts.", "Words that come again teach what texts say.", "Give more texts."
            )
        terms = cls(tuple(one[0] for one in found), tuple(one[1] for one in found), tuple(one[2] for one in found))
        return replace(terms, meaning=meaning, middle=terms._meant(texts).mean(axis=0)) if meaning else terms

    def matrix(self, texts: Texts) -> csr_array:
        """Return the weight of each term of each field in the texts of each key (n x t); a field that is not there is empty.

        Behind the terms stands how far the vector of her texts lies from the mean, where vectors are read and a term is known.
        """
        from scipy.sparse import csr_array, hstack

        sides: list[Any] = []
        for name, terms, weight in zip(self.names, self.terms, self.weights, strict=True):
            if name not in texts.codes:
                sides.append(csr_array((len(texts), len(terms))))
                continue
            written, place = texts.distinct(name)
            sides.append(weight * terms.matrix(written)[place])
        found = csr_array(hstack(sides, format="csr"))
        if not self.meaning:
            return found
        known = (np.diff(found.indptr) > 0)[:, None]
        behind = np.where(known, self.meaning * (self._meant(texts) - self.middle), np.float32(0.0))
        return csr_array(hstack([found, csr_array(behind)], format="csr"))

    def _meant(self, texts: Texts) -> Singles:
        """Return the sum of the vectors of the fields of each key, brought to length 1 (n x 256)."""
        whole = np.zeros((len(texts), LENGTH), np.float32)
        for name in self.names:
            if name in texts.codes:
                written, place = texts.distinct(name)
                whole += vectors(written)[place]
        return unit(whole)


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """Logistic regressions on the terms: one weight per term and regression (t x c), an intercept (c) and the base rate (c) of each."""

    weights: Floats
    intercept: Floats
    base: Floats

    @classmethod
    def learn(cls, matrix: csr_array, came: Bools, strength: float) -> Lines:
        """Return the regressions of each column of ``came`` (n x c), both kinds of which stand in it.

        Parameters
        ----------
        strength
            The inverse of the ridge penalty.
        """
        from sklearn.linear_model import LogisticRegression

        fitted = [LogisticRegression(C=strength, max_iter=300).fit(matrix, column) for column in came.T]
        weights = np.stack([one.coef_[0] for one in fitted], axis=1)
        return cls(weights, np.array([one.intercept_[0] for one in fitted]), came.mean(axis=0))

    def chance(self, matrix: csr_array) -> Floats:
        """Return the chance of each (n x c); the base rate where a text has no known term. A row's answer depends on no other row."""
        score = np.asarray(matrix @ self.weights) + self.intercept
        nothing = np.diff(matrix.indptr) == 0
        return np.where(nothing[:, None], self.base, 1 / (1 + np.exp(-score)))


TYPES: Final[dict[str, type]] = {kind.__name__: kind for kind in (Fields, Lines)}
"""What stored fields and regressions are made of."""
