"""Texts as weighted terms: TF-IDF, whose words and weights are learned from training texts alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from whenbuy.core.arrays import Floats
from whenbuy.core.errors import NotEnoughDataError
from whenbuy.models.text.words import parts

if TYPE_CHECKING:
    from scipy.sparse import csr_array


@dataclass(frozen=True, slots=True)
class Tfidf:
    """How texts become weighted terms.

    Parameters
    ----------
    pairs
        Whether pairs of words are terms too.
    least
        A term is known from so many training texts on.
    most_share
        A term in more than this share of the training texts says nothing and is left out.
    most
        The most terms, those in the most texts: it bounds memory.
    without
        Words that are no terms.
    """

    pairs: bool = True
    least: int = 2
    most_share: float = 1.0
    most: int = 200_000
    without: tuple[str, ...] = ()

    def fit(self, texts: Sequence[str]) -> TextTerms:
        """Return the terms of these texts and what each weighs: log((1 + n) / (1 + df)) + 1, n texts of which df hold it.

        Raises
        ------
        NotEnoughDataError
            When no term stands in enough texts.
        """
        found: Counter[str] = Counter()
        dropped = frozenset(self.without)
        for text in texts:
            found.update(set(parts(text, self.pairs)))
        bound = self.most_share * len(texts)
        kept = sorted((-count, term) for term, count in found.items() if self.least <= count <= bound and term not in dropped)
        names = sorted(term for _, term in kept[: self.most])
        if not names:
            raise NotEnoughDataError(
                f"No word stands in {self.least} of {len(texts):,} texts.",
                "Words that come again teach what texts say.",
                "Give more texts.",
            )
        count = np.array([found[name] for name in names], float)
        return TextTerms(tuple(names), np.log((1 + len(texts)) / (1 + count)) + 1, self.pairs)


@dataclass(frozen=True, slots=True, eq=False)
class TextTerms:
    """The terms of the training texts (t) and what each weighs (t)."""

    names: tuple[str, ...]
    weight: Floats
    pairs: bool

    def __len__(self) -> int:
        return len(self.names)

    def matrix(self, texts: Sequence[str]) -> csr_array:
        """Return the weight of each term in each text (n x t), each text of length 1: (1 + log count) times the term's weight.

        A text without a known term is all 0.
        """
        from scipy.sparse import csr_array

        code = {name: place for place, name in enumerate(self.names)}
        offsets, where, value = [0], [], []
        for text in texts:
            mine = Counter(place for term in parts(text, self.pairs) if (place := code.get(term)) is not None)
            places = np.array(sorted(mine), np.int64)
            weights = (1 + np.log(np.array([mine[int(place)] for place in places], float))) * self.weight[places]
            where.append(places)
            value.append(weights / max(float(np.sqrt(weights @ weights)), 1e-300))
            offsets.append(offsets[-1] + len(places))
        shape = (len(texts), len(self))
        columns = np.concatenate([*where, np.empty(0, np.int64)]).astype(np.int32)
        return csr_array((np.concatenate([*value, np.empty(0)]), columns, np.array(offsets, np.int32)), shape=shape)


TYPES: Final[dict[str, type]] = {kind.__name__: kind for kind in (Tfidf, TextTerms)}
"""What stored terms are made of."""
