"""What texts are about: topics, each named by its own words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import Floats
from whenbuy.core.errors import NotEnoughDataError, SettingsError
from whenbuy.models.text.tfidf import TextTerms, Tfidf

SWEEPS: Final = 100
"""So often the shares of a text are improved: each sweep is a coordinate descent, and the answer stands long before."""
_WORDS: Final = 3
_FAINT: Final = 0.1
_BLOCK: Final = 1 << 14


@dataclass(frozen=True, slots=True)
class Topics:
    """Non-negative matrix factorisation of weighted words (Lee & Seung 1999): each text is a sum of a few topics, each topic of words.

    Parameters
    ----------
    count
        How many topics; fewer where there are few texts.
    each
        So many texts carry a topic at least.
    most
        Texts above this number are sampled.
    seed
        Chooses the sample and where the factorisation begins.
    """

    count: int = 10
    each: int = 20
    most: int = 20_000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.count < 1 or self.each < 2 or self.most < self.each:
            raise SettingsError(
                f"There are to be {self.count} topics of {self.each} texts each, from {self.most} at most.",
                "One topic, two texts and no fewer at most than for one topic are the least.",
                "Leave out what should be as usual.",
            )

    def fit(self, texts: Sequence[str]) -> TopicsModel:
        """Return the topics of these texts.

        Raises
        ------
        NotEnoughDataError
            When they are fewer than one topic takes, or no word comes again.
        """
        from sklearn.decomposition import NMF
        from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

        written = [text for text in texts if text]
        if len(written) < self.each:
            raise NotEnoughDataError(f"There are {len(written):,} texts.", f"A topic takes {self.each}.", "Give a longer log.")
        if len(written) > self.most:
            rows = np.sort(np.random.default_rng(self.seed).choice(len(written), self.most, replace=False))
            written = [written[row] for row in rows]
        few = max(2, min(5, len(written) // 100))
        terms = Tfidf(pairs=False, least=few, most_share=0.3, most=5_000, without=tuple(sorted(ENGLISH_STOP_WORDS))).fit(written)
        count = min(self.count, len(written) // self.each, len(terms))
        factors = NMF(count, init="nndsvda", random_state=self.seed, max_iter=400, tol=1e-3)
        matrix = terms.matrix(written)
        factors.fit(matrix)
        weight = factors.components_[factors.components_.sum(axis=1) > 0]
        names = _named(terms, weight)
        if not names:
            raise NotEnoughDataError(f"{len(written):,} texts have no topic.", "Words must come again in some.", "Give more texts.")
        model = TopicsModel(terms, weight, names)
        order = np.argsort(-model.shares(written).sum(axis=0), kind="stable")
        return TopicsModel(terms, weight[order], tuple(names[place] for place in order))


@dataclass(frozen=True, slots=True, eq=False)
class TopicsModel:
    """The topics of the training texts, the commonest first: the words of each with their weights (k x t), and its name."""

    terms: TextTerms
    weight: Floats
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def shares(self, texts: Sequence[str]) -> Floats:
        """Return how much of each text is about each topic (n x k): rows sum to 1, or are 0 where a text has no word of any.

        Weights w >= 0 with the least |x - w H| are found by coordinate descent (Cichocki & Phan 2009), for each text alone.
        """
        return np.concatenate(
            [np.empty((0, len(self))), *(self._shares(texts[start : start + _BLOCK]) for start in range(0, len(texts), _BLOCK))]
        )

    def _shares(self, texts: Sequence[str]) -> Floats:
        toward = np.asarray(self.terms.matrix(texts) @ self.weight.T)
        alike = self.weight @ self.weight.T
        found = np.zeros_like(toward)
        for _ in range(SWEEPS):
            for topic in range(len(self)):
                rest = toward[:, topic] - (found * alike[topic]).sum(
                    axis=1
                )  # row by row, no BLAS: its bits do not depend on the other rows
                found[:, topic] = np.maximum(found[:, topic] + rest / alike[topic, topic], 0.0)
        scaled = found * self.weight.sum(axis=1)
        scaled[scaled < 1e-6 * scaled.max(axis=1, keepdims=True)] = 0.0
        total = scaled.sum(axis=1, keepdims=True)
        return np.asarray(np.divide(scaled, total, out=np.zeros_like(scaled), where=total > 1e-12))


def _named(terms: TextTerms, weight: Floats) -> tuple[str, ...]:
    """Return the words of each topic that weigh much in it and little elsewhere, in order; no two topics have one name."""
    share = weight / np.maximum(weight.sum(axis=0), 1e-300)
    names: list[str] = []
    for row in weight * share:
        best = [terms.names[place] for place in np.argsort(-row, kind="stable")[:_WORDS] if row[place] > _FAINT * row.max()]
        name = ", ".join(best)
        names.append(name if name not in names else f"{name} ({len(names) + 1})")
    return tuple(names)


TYPES: Final[dict[str, type]] = {kind.__name__: kind for kind in (Topics, TopicsModel)}
"""What stored topics are made of."""
