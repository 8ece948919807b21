"""The next basket of Ta-Feng: recall among the first ten of all items; rows of the area `answers`.

14,036 customers with 3 to 50 baskets (a basket is a day's purchases); the last basket of each is the target, all items are ranked, none is
dropped from history or target. Nothing of any target basket is ever read, and what was popular is read as of the customer's own day. The
trees learn from the baskets before the targets, over rankers that know none of these; the number of trees and the parts were chosen one
basket earlier still.
"""

from collections.abc import Iterator
from dataclasses import replace
from math import inf

import numpy as np

from benchmarks.rows import DATA, Row, data_folder
from whenbuy.core.examples import Examples
from whenbuy.core.history import History
from whenbuy.core.keys import Keys
from whenbuy.core.learner import Learner
from whenbuy.core.ranking import Ranking, Taken
from whenbuy.evaluate.ranking import ranking_measures
from whenbuy.ingest.read import read
from whenbuy.models.ranking.hybrid import Hybrid
from whenbuy.models.ranking.own import OwnItems
from whenbuy.models.ranking.popularity import Popularity
from whenbuy.pipeline.recommending.asking import Asking
from whenbuy.questions.items import NextItems

AREA = "answers"
RECALL = Row(area=AREA, name="tafeng_recall10", unit="share", better="higher", peer=0.1153, target=0.125)
NDCG = Row(area=AREA, name="tafeng_ndcg10", unit="share", better="higher")
LATELY = Row(area=AREA, name="tafeng_recall10_lately_popular", unit="share", better="higher", peer=0.0783)
OWN = Row(area=AREA, name="tafeng_recall10_own_frequency", unit="share", better="higher", peer=0.1153)
FEWEST, MOST = 3, 50
QUESTION = NextItems(1.0)


def rows() -> Iterator[Row]:
    """Score the hybrid and two floors on the last baskets."""
    folder = data_folder()
    if folder is None:
        yield from (row.without(DATA) for row in (RECALL, NDCG, LATELY, OWN))
        return
    history = read(folder / "ta_feng" / "events.parquet").history
    before, before_everybody = asked(history, 2)
    last, everybody = asked(history, 1)
    model = Hybrid().fit(before_everybody, before).update(everybody)
    found = model.predict(last, in_sample=True)
    yield RECALL.got(recall(found, last), note="peer: own frequency filled up with popularity (GP-TopFreq)")
    yield NDCG.got(ranking_measures(found.item.astype(np.int64), *truth(last))[1].value())
    floors: tuple[tuple[Row, Learner[Ranking]], ...] = ((LATELY, Popularity(0)), (OWN, OwnItems(inf, inf)))
    for row, floor in floors:
        yield row.got(recall(floor.fit(everybody).predict(last, in_sample=True), last))


def recall(found: Ranking, asked: Examples) -> float:
    """The mean share of the target baskets that stands among the first ten."""
    return ranking_measures(found.item.astype(np.int64), *truth(asked))[0].value()


def truth(asked: Examples) -> tuple[np.ndarray, np.ndarray]:
    """Who took what."""
    taken = asked.label(QUESTION.name)
    assert isinstance(taken, Taken)
    return taken.owner, taken.item.astype(np.int64)


def asked(history: History, back: int) -> tuple[Examples, Examples]:
    """The customers as of the day of their basket number ``back`` from the end, and everybody, when neither it nor a later one is known."""
    log = history.log
    user = np.repeat(np.arange(len(log.users)), np.diff(log.offsets))
    first = np.append(True, (user[1:] != user[:-1]) | (log.time[1:] != log.time[:-1]))
    baskets = np.bincount(user[first], minlength=len(log.users))
    number = np.cumsum(first) - 1 - np.repeat(np.cumsum(baskets) - baskets, np.diff(log.offsets))
    left, member = baskets[user] - number, ((baskets >= FEWEST) & (baskets <= MOST))[user]
    known = replace(history, log=log.take(np.flatnonzero(~member | (left > back))))
    at = np.flatnonzero(member & first & (left == back) & (number > 0))
    keys = Keys("user", user[at].astype(np.int32), log.time[at], log.users)
    asking = Asking.of(known)
    told = QUESTION.label(history.before(keys), history.within(keys, QUESTION.horizon_days))
    return replace(asking.examples(known, keys), labels={QUESTION.name: told}), asking.examples(known, known.keys())
