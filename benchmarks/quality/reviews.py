"""Reviews of women's clothes: is the thing recommended, and how is it rated; rows of the area `answers`.

22,641 reviews with a text, 5-fold stratified by the recommendation, shuffled with seed 0; body and title are read. The AUC is the mean over
the folds, the error that of all out-of-fold answers. The peer is one TF-IDF of both with a linear model. The weight of titles and the ridge
were chosen on the same reviews, so the figures are a little too good. The rows `reviews_vectors_*` read sentence vectors too (extra
``text``); what these count was chosen inside the training part of the first fold.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from benchmarks.rows import DATA, Row, data_folder
from whenbuy.core.examples import Examples, Labels, Table
from whenbuy.core.keys import Keys
from whenbuy.core.log import Dictionary
from whenbuy.core.texts import Texts
from whenbuy.models.text.fields import BLOCK, MEANING
from whenbuy.models.text.reading import TextChance, TextRating
from whenbuy.models.text.vectors import at_hand

AREA, FOLDS = "answers", 5
AUC = Row(area=AREA, name="reviews_auc", unit="AUC", better="higher", peer=0.9589, target=0.96)
RMSE = Row(area=AREA, name="reviews_rmse", unit="stars", better="lower", peer=0.702, target=0.69)
WITH_AUC, WITH_RMSE = replace(AUC, name="reviews_vectors_auc"), replace(RMSE, name="reviews_vectors_rmse")


def rows() -> Iterator[Row]:
    """Score what is read off the texts of folds that were not learned from."""
    folder = data_folder()
    if folder is None:
        yield from (row.without(DATA) for row in (AUC, RMSE, WITH_AUC, WITH_RMSE))
        return
    asked = examples(pl.read_parquet(folder / "womens_reviews" / "reviews.parquet"))
    yield from _scored(asked, 0.0, AUC, RMSE)
    if at_hand():
        yield from _scored(asked, MEANING, WITH_AUC, WITH_RMSE)
    else:
        yield from (replace(row, note="the extra text is not installed") for row in (WITH_AUC, WITH_RMSE))


def _scored(asked: Examples, meaning: float, auc: Row, rmse: Row) -> Iterator[Row]:
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold

    recommended, rating = asked.label("recommended").value, asked.label("rating").value
    told, areas = np.empty(len(asked)), []
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(rating, recommended):
        learns, later = asked.take(train), asked.take(test)
        chance = TextChance("recommended", meaning=meaning).fit(learns).predict(later, in_sample=True).chance
        areas.append(roc_auc_score(recommended[test], chance))
        told[test] = TextRating(meaning=meaning).fit(learns).predict(later, in_sample=True).mean
    yield auc.got(float(np.mean(areas)), note=f"folds from {min(areas):.4f} to {max(areas):.4f}; peer: TF-IDF and a linear model")
    yield rmse.got(float(np.sqrt(np.mean((told - rating) ** 2))), note="peer: TF-IDF and ridge regression")


def examples(table: pl.DataFrame) -> Examples:
    """The reviews that have a text, with what is asked of each."""
    table = table.filter(pl.col("review_text").is_not_null())
    n = len(table)
    nothing = Table((), np.empty((n, 0), np.float32))

    def silence(days: Any, rows: Any) -> Table:
        del days
        return nothing.take(rows)

    def labels(column: str) -> Labels:
        return Labels(table[column].to_numpy().astype(float), np.ones(n, bool), np.zeros(n, np.int64))

    keys = Keys("user", np.arange(n, dtype=np.int32), np.zeros(n, np.int64), Dictionary.of(map(str, range(n))))
    texts = Texts.of(text=table["review_text"], title=table["title"])
    return Examples(keys, nothing, {"recommended": labels("recommended_ind"), "rating": labels("rating")}, silence, blocks={BLOCK: texts})
