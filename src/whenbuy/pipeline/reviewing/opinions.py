"""What customers say of things: ratings, what their texts read like, topics, and where opinion falls."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Literal

import numpy as np
import polars as pl

from whenbuy.core.arrays import Floats, Ints
from whenbuy.core.card import card
from whenbuy.core.clock import Clock
from whenbuy.core.errors import ColumnError, NotEnoughDataError
from whenbuy.core.examples import Examples
from whenbuy.core.forecast import instants
from whenbuy.core.history import History
from whenbuy.core.texts import Texts
from whenbuy.models.text.fields import MEANING
from whenbuy.models.text.reading import TextRating
from whenbuy.models.text.topics import Topics, TopicsModel
from whenbuy.models.text.vectors import at_hand
from whenbuy.pipeline.reviewing.reviews import GROUPS, Reviews
from whenbuy.pipeline.reviewing.shrunk import shrunk
from whenbuy.pipeline.reviewing.trends import Trend, falling, trend

By = Literal["item", "category", "month"]
FOLDS: Final = 3
GOOD: Final = 0.75
"""A rating is good from so far up the scale on: 4 of 1 to 5."""
RATED: Final = 30
"""So many rated texts are needed before others are read."""
TRIED: Final = 3_000
"""On so many rated texts at most it is tried whether sentence vectors help."""


@dataclass(frozen=True, slots=True, eq=False)
class Opinions:
    """What each review says, as of a moment.

    Parameters
    ----------
    reviews
        The reviews (n).
    read
        The rating that each text reads like (n), by a reader that knew nothing of its writer; NaN where it cannot be read.
    sentiment
        The chance that a text like this goes with a good rating (n), NaN where it cannot be read.
    topics, shares
        The topics, and how much of each text is about each (n x k); None and no column where there are none.
    notes
        What should be known of it, in sentences.
    clock
        How the shop counts months.
    """

    reviews: Reviews
    read: Floats
    sentiment: Floats
    topics: TopicsModel | None
    shares: Floats
    notes: tuple[str, ...]
    clock: Clock

    def __len__(self) -> int:
        return len(self.reviews)

    @property
    def score(self) -> Floats:
        """How content each writer is, in stars (n): her rating, what her text reads like, or the mean of both; NaN without either."""
        given, read = self.reviews.rating, self.read
        return np.where(np.isnan(given), read, np.where(np.isnan(read), given, (given + read) / 2))

    @property
    def usual(self) -> By:
        """By what it is told where nothing was asked for: by item, or by category or month where items are not named."""
        group = self.reviews.group
        return "item" if "item" in group else "category" if "category" in group else "month"

    def frame(self, by: By = "item") -> pl.DataFrame:
        """Return a row per thing, or month: those of which opinion falls first, then those with the most reviews.

        Columns: the thing, reviews, rated, texts, mean_rating, expected_rating (drawn towards the mean of all where there are few),
        sentiment (drawn likewise), topics; but for months also trend (Kendall's tau with time), p_value, falling, since, before, after,
        words.

        Raises
        ------
        ColumnError
            When the log does not say of which thing the reviews are.
        """
        code, names = self._groups(by)
        n, rated = len(names), np.isfinite(self.reviews.rating)
        count, of_rated = _counted(code, n), _counted(code[rated], n)
        written = np.zeros(len(self), bool) if self.reviews.texts is None else self.reviews.texts.known
        total = _counted(code[rated], n, self.reviews.rating[rated])
        table = pl.DataFrame(
            {
                _column(by): names,
                "reviews": count,
                "rated": of_rated,
                "texts": _counted(code[written], n),
                "mean_rating": np.divide(total, of_rated, out=np.full(n, np.nan), where=of_rated > 0),
                "expected_rating": shrunk(self.reviews.rating, code, n),
                "sentiment": shrunk(self.sentiment, code, n),
                "topics": self._about(code, n),
            }
        )
        if by != "month":
            table = table.hstack(self._trends(code, names))
        order = ["falling", "reviews", _column(by)] if by != "month" else [_column(by)]
        table = table.filter(pl.col("reviews") > 0).sort(order, descending=[name in ("falling", "reviews") for name in order])
        return table.with_columns(pl.col(pl.Float64).fill_nan(None))

    def topic_frame(self, by: By | None = None) -> pl.DataFrame:
        """Return a row per topic, or per thing and topic: how much is said of it, and the mean score of what is said.

        Columns: the thing where one is asked for, topic, share (of what is said in texts that have a topic), mean_score, texts.
        """
        told = np.flatnonzero(self.shares.sum(axis=1) > 0)
        topics = () if self.topics is None else self.topics.names
        code, names = (np.zeros(len(self), np.int64), pl.Series([""])) if by is None else self._groups(by)
        told = told[code[told] >= 0]
        score, n = self.score[told], len(names)
        texts = _counted(code[told], n)
        parts = []
        for place, topic in enumerate(topics):
            share = self.shares[told, place]
            known = np.isfinite(score)
            total, weight = _counted(code[told], n, share), _counted(code[told][known], n, share[known])
            scored = _counted(code[told][known], n, share[known] * score[known])
            columns = {
                "topic": pl.Series([topic] * n, dtype=pl.String),
                "share": np.divide(total, texts, out=np.zeros(n), where=texts > 0),
                "mean_score": np.divide(scored, weight, out=np.full(n, np.nan), where=weight > 1e-9),
                "texts": texts,
            }
            parts.append(pl.DataFrame(({} if by is None else {_column(by): names}) | columns).filter(pl.col("texts") > 0))
        return pl.concat(parts).with_columns(pl.col("mean_score").fill_nan(None)) if parts else pl.DataFrame()

    def _groups(self, by: By) -> tuple[Ints, pl.Series]:
        """Return the thing (or month) of each review (n), -1 where nobody knows, and their names."""
        if by == "month":
            months = instants(self.reviews.time).dt.convert_time_zone(self.clock.zone).dt.strftime("%Y-%m")
            names = months.unique().sort()
            return np.searchsorted(names.to_numpy(), months.to_numpy()).astype(np.int64), names
        if by not in self.reviews.group:
            raise ColumnError(
                f"The log does not say of which {by} the reviews are.", f"The column {GROUPS[by]} names it.",
                "Add it, or ask by month.",
            )  # fmt: skip
        return self.reviews.group[by].astype(np.int64), self.reviews.names[by].ids

    def _about(self, code: Ints, n: int) -> pl.Series:
        """Return the two commonest topics of each thing in words (n)."""
        told = (self.shares.sum(axis=1) > 0) & (code >= 0)
        texts = np.maximum(_counted(code[told], n), 1)
        share = np.stack([_counted(code[told], n, column) / texts for column in self.shares[told].T], axis=1) if self.topics else None
        if share is None or self.topics is None:
            return pl.Series([None] * n, dtype=pl.String)
        names = self.topics.names
        first = np.argsort(-share, axis=1, kind="stable")[:, :2]
        return pl.Series(
            [
                "; ".join(f"{names[k]} ({row[k]:.0%})" for k in places if row[k] > 0) or None
                for row, places in zip(share, first, strict=True)
            ],
            dtype=pl.String,
        )

    def _trends(self, code: Ints, names: pl.Series) -> pl.DataFrame:
        """Return the trend of each thing's scores (a row per thing)."""
        score = self.score
        rows = np.flatnonzero(np.isfinite(score) & (code >= 0))
        rows = rows[np.lexsort((self.reviews.time[rows], code[rows]))]
        edges = np.searchsorted(code[rows], np.arange(len(names) + 1))
        found = [trend(self.reviews.time[mine], score[mine]) if len(mine := rows[start:stop]) else None for start, stop in pairwise(edges)]
        p_value = np.array([np.nan if one is None else one.p_value for one in found])
        falls = falling(p_value) & np.array([one is not None and one.after < one.before for one in found], bool)
        words = [
            self._words(one, rows[edges[place] : edges[place + 1]]) if one is not None and falls[place] else None
            for place, one in enumerate(found)
        ]
        since = pl.Series([None if one is None else one.since for one in found], dtype=pl.Int64)
        numbers = {name: pl.Series([None if one is None else getattr(one, name) for one in found], dtype=pl.Float64) for name in _NUMBERS}
        return pl.DataFrame(
            {"trend": numbers["tau"], "p_value": numbers["p_value"], "falling": falls, "since": since.cast(pl.Datetime("us", "UTC"))}
            | {"before": numbers["before"], "after": numbers["after"], "words": pl.Series(words, dtype=pl.String)}
        )

    def _words(self, found: Trend, rows: Ints) -> str:
        """Return in words how opinion of a thing falls, and of which topic more is said since: one of which people speak ill."""
        said = (
            f"Falls from {found.before:.1f} to {found.after:.1f} since {self.clock.show(found.since)[:10]} "
            f"({len(rows) - found.split} of {len(rows)} reviews)."
        )
        early, late = (part[self.shares[part].sum(axis=1) > 0] for part in (rows[: found.split], rows[found.split :]))
        if self.topics is None or not len(early) or not len(late):
            return said
        told, score = np.concatenate([early, late]), self.score
        then, now, weight = self.shares[early].mean(axis=0), self.shares[late].mean(axis=0), self.shares[told].sum(axis=0)
        mean = np.divide(score[told] @ self.shares[told], weight, out=np.full(len(weight), np.nan), where=weight > 1e-9)
        gain = np.nan_to_num(np.maximum(now - then, 0.0) * (score[rows].mean() - mean))
        place = int(np.argmax(gain))
        if gain[place] <= 0:
            return said
        return f"{said} More is said of “{self.topics.names[place]}”: {then[place]:.0%} → {now[place]:.0%}."

    def _repr_html_(self) -> str:
        return card("Opinions", f"{len(self):,} reviews.", self.frame(self.usual), note=" ".join(self.notes))

    def __repr__(self) -> str:
        return f"Opinions({len(self)} reviews, {0 if self.topics is None else len(self.topics)} topics)"


_NUMBERS: Final = ("tau", "p_value", "before", "after")


def opinions(history: History, as_of: int | str | None = None, *, topics: int = 10, seed: int = 0) -> Opinions:
    """Return what the reviews known before a moment say (the log's end by default).

    Raises
    ------
    NotEnoughDataError
        When there is no review.
    """
    reviews = Reviews.of(history, history.end if as_of is None else history.clock.instant(as_of))
    notes = []
    if reviews.outside:
        low, high = reviews.scale
        notes.append(f"{reviews.outside:,} ratings lie outside the scale of {low:g} to {high:g} and are not used.")
    n = len(reviews)
    read, sentiment, topic, shares = np.full(n, np.nan), np.full(n, np.nan), None, np.zeros((n, 0))
    if reviews.texts is None:
        notes.append("The reviews have no texts (column text): there is no sentiment and there are no topics.")
        return Opinions(reviews, read, sentiment, topic, shares, tuple(notes), history.clock)
    try:
        read, sentiment, said = _read(reviews, seed)
        notes += said
    except NotEnoughDataError as error:
        notes.append(f"Texts are not read for sentiment: {error.got} {error.need}")
    try:
        topic, shares = _topics(reviews, Topics(topics, seed=seed))
    except NotEnoughDataError as error:
        notes.append(f"There are no topics: {error.got} {error.need}")
    return Opinions(reviews, read, sentiment, topic, shares, tuple(notes), history.clock)


def _read(reviews: Reviews, seed: int) -> tuple[Floats, Floats, list[str]]:
    """Return the rating that each text reads like, and the chance that it is good (n each), by readers that knew none of her reviews.

    Behind them stands what is to be said of how they were read.
    """
    examples, texts = reviews.examples(), reviews.texts
    rated = int((np.isfinite(reviews.rating) & (texts.known if texts is not None else False)).sum())
    if rated < RATED:
        raise NotEnoughDataError(f"{rated} texts have a rating.", f"{RATED} teach what others say.", "Give a longer log.")
    writer = np.where(reviews.user < len(reviews.users), reviews.user, len(reviews.users) + np.arange(len(reviews)))
    fold = np.random.default_rng(seed).permutation(len(reviews.users) + len(reviews))[writer] % FOLDS
    levels, above, notes = _told(examples, fold.astype(np.int64), seed)
    low, high = reviews.scale
    good = int(np.searchsorted(levels, low + GOOD * (high - low)))
    sentiment = np.ones(len(reviews)) if good == 0 else above[:, good - 1] if good < len(levels) else np.zeros(len(reviews))
    known: Any = examples.block("texts", type(texts)).known if texts is not None else np.zeros(len(reviews), bool)
    return np.where(known, levels[0] + above @ np.diff(levels), np.nan), np.where(known, sentiment, np.nan), notes


def _told(examples: Examples, fold: Ints, seed: int) -> tuple[Floats, Floats, list[str]]:
    """Return what the better reader tells of folds that it did not know (see `TextRating.out_of_fold`), and what is to be said of it.

    Sentence vectors, where they are at hand, are read where that brings the reader nearer to the ratings of a sample.
    """
    plain = TextRating(seed=seed)
    if not at_hand():
        return *plain.out_of_fold(examples, fold), []
    label, readers = examples.label("rating"), (plain, TextRating(meaning=MEANING, seed=seed))
    rated = np.flatnonzero(label.observed & examples.block("texts", Texts).known)
    whole = len(examples) <= TRIED
    few = np.random.default_rng(seed).choice(rated, min(len(rated), TRIED), replace=False)
    rows = np.arange(len(examples)) if whole else np.sort(few)
    told = [reader.out_of_fold(examples.take(rows), fold[rows]) for reader in readers]
    judged = np.isin(rows, rated)
    wrong = [(levels[0] + above @ np.diff(levels) - label.value[rows])[judged] for levels, above in told]
    without, beside = (float(np.sqrt(np.mean(each**2))) for each in wrong)
    best = int(beside < without)
    said = f"Sentence vectors are not read: with them ratings are missed by {beside:.2f}, with words alone by {without:.2f}."
    levels, above = told[best] if whole else readers[best].out_of_fold(examples, fold)
    return levels, above, [] if best else [said]


def _topics(reviews: Reviews, learner: Topics) -> tuple[TopicsModel, Floats]:
    """Return the topics of the texts, and how much of each is about each (n x k); titles say too little."""
    texts = reviews.texts
    if texts is None or "text" not in texts.codes:
        raise NotEnoughDataError("There are titles alone.", "Topics are those of texts.", "Add the column text.")
    written, place = texts.distinct("text")
    model = learner.fit([written[i] for i in place])
    return model, model.shares(written)[place]


def _counted(code: Ints, n: int, weight: Floats | None = None) -> Any:
    """Return how many reviews each thing has, or the sum of what they weigh (n); those of nobody-knows-what count nowhere."""
    known = code >= 0
    return np.bincount(code[known], None if weight is None else weight[known], minlength=n)


def _column(by: By) -> str:
    return GROUPS.get(by, "month")
