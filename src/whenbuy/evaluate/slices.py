"""Scores of parts: of groups of people against the rest of them, and of each class of things."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from whenbuy.core.arrays import Bools, Ints
from whenbuy.core.errors import UsageError
from whenbuy.core.examples import Labels
from whenbuy.core.forecast import Classes, Probability
from whenbuy.evaluate.answers import Answer, Truth, measures_of
from whenbuy.evaluate.scores import Scores, duels, score, users_of


def slices(
    answer: Answer,
    truth: Truth,
    segments: Mapping[str, pl.Series],
    names: Collection[str] = (),
    horizons: Sequence[float] = (),
    clusters: Ints | None = None,
    *,
    rounds: int = 500,
    seed: int = 0,
) -> pl.DataFrame:
    """Return the scores of each segment beside those of everybody else.

    Columns: ``by`` (the name of the segmentation), ``segment``, ``n`` (rows), ``users``, ``name`` of the score, its ``value`` with the
    95 % interval ``low`` to ``high`` over resampled users, its value among the ``rest``, the ``difference`` (of a score that should be near
    its aim: of the distances to it) with ``difference_low`` and ``difference_high``, and the ``verdict``: "better" or "worse" than the rest
    only where that interval excludes 0. Of a hundred segments that differ in nothing, about five get such a verdict. A loss is lower where
    little can happen: read it beside the bias, which asks whether what was promised came.

    Parameters
    ----------
    answer, truth, horizons, clusters, rounds, seed
        As for ``score``.
    segments
        By name of the segmentation, the segment of each key (n); rows without one belong neither to it nor to the rest.
    names
        The names of the scores wanted; all by default.
    """
    measures, users = measures_of(answer, truth, horizons, names=names), users_of(answer, clusters)
    found: list[tuple[Any, ...]] = []
    for by, segment, inside, rest in _parts(segments, len(answer)):
        mine, others = ([measure.among(rows) for measure in measures] for rows in (inside, rest))
        head = (by, segment, int(inside.sum()), len(np.unique(users[inside])))
        for duel in duels(mine, others, users, rounds, seed):
            numbers = duel.ours, duel.ours_low, duel.ours_high, duel.floor, duel.difference, duel.low, duel.high
            found.append((*head, duel.name, *numbers, duel.verdict, duel.better))
    return pl.DataFrame(found, _SLICE, orient="row").fill_nan(None)


def by_class(
    answer: Classes, labels: Labels, clusters: Ints | None = None, *, threshold: float = 0.5, rounds: int = 200, seed: int = 0
) -> pl.DataFrame:
    """Return the scores of each class as those of one chance: ``class`` and the columns of a score; the most bought class first."""
    found = [Scores(answer.model, len(answer), 0, ()).frame().select(pl.lit("").alias("class"), pl.all())]
    for place in np.argsort(-labels.value[labels.observed].sum(axis=0), kind="stable"):
        one = Probability(answer.keys, answer.chance[:, place], answer.model, in_sample=answer.in_sample)
        came = Labels(labels.value[:, place], labels.observed, labels.end)
        frame = score(one, came, clusters=clusters, threshold=threshold, rounds=rounds, seed=seed).frame()
        found.append(frame.select(pl.lit(answer.classes[place]).alias("class"), pl.all()))
    return pl.concat(found)


_SLICE = {
    "by": pl.String, "segment": pl.String, "n": pl.Int64, "users": pl.Int64, "name": pl.String, "value": pl.Float64, "low": pl.Float64,
    "high": pl.Float64, "rest": pl.Float64, "difference": pl.Float64, "difference_low": pl.Float64, "difference_high": pl.Float64,
    "verdict": pl.String, "better": pl.String,
}  # fmt: skip


def _parts(segments: Mapping[str, pl.Series], n: int) -> Iterator[tuple[str, str, Bools, Bools]]:
    """Yield each segment: the segmentation, its name, the rows inside it and those of the rest (n each)."""
    for by, of in segments.items():
        if len(of) != n:
            raise UsageError(f"{n} keys were given {len(of)} segments by {by}.", "Every key needs one.", "Give null to those without.")
        known = of.is_not_null().to_numpy()
        for segment in of.drop_nulls().unique().sort():
            inside = (of == segment).fill_null(False).to_numpy()
            yield by, str(segment), inside, known & ~inside
