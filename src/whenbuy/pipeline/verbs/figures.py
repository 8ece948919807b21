"""Tables of how candidates fared and of scores beside the floor's."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

import polars as pl

from whenbuy.evaluate.scores import Comparison, Duel
from whenbuy.pipeline.judging.trial import headline
from whenbuy.pipeline.learning.forecaster import Choice

_SHOWN: Final = ("auc", "logloss", "ece", "brier")
"""The scores of each horizon that are shown; all of them are kept with the run."""
_COLUMNS: Final = ("ours", "floor", "difference", "low", "high", "verdict", "better", "definition")


def choice_table(choices: Iterable[Choice]) -> pl.DataFrame:
    """Return how every candidate fared, a row each."""
    rows = [(c.answer, c.model, c.score, *map(_known, (c.value, c.low, c.high)), c.floor, c.chosen, c.note) for c in choices]
    names = ["answer", "model", "score", "value", "low", "high", "floor", "chosen", "note"]
    return pl.DataFrame(rows, names, orient="row", infer_schema_length=None)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def shown(comparison: Comparison, days: Iterable[float]) -> list[Duel]:
    """Return the scores that a person reads, in their order."""
    lengths = tuple(days)
    further = headline(lengths) if lengths else ()
    wanted = [f"{score}_{each:g}d" for each in lengths for score in _SHOWN]
    wanted += ["c_index", *(name for name in further if not name.startswith((*_SHOWN, "bias")))]
    scored = {row.name: row for row in comparison.rows}
    return [scored[name] for name in wanted if name in scored]


def score_table(comparison: Comparison, names: Sequence[str], called: tuple[str, str] = ("ours", "floor")) -> pl.DataFrame:
    """Return one row per answer and score, ours beside the floor's; the two columns may be called otherwise."""
    rows = pl.DataFrame({"name": names}).join(comparison.frame(), on="name", maintain_order="left")
    answer = pl.col("name").str.extract("^(orders|amount|spend|quantity|redemption|classes)_").fill_null("purchase")
    return rows.select(answer.alias("answer"), pl.col("name").alias("score"), *_COLUMNS).rename(
        dict(zip(("ours", "floor"), called, strict=True))
    )
