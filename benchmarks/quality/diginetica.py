"""The next click of Diginetica: of every prefix of every test session the next item, all items ranked; rows of the area `answers`.

The sessions have no clock, only an order: they are laid over 150 days. Whom to believe is learned from the last training sessions, over
rankers that learned from those before; the settings were chosen there too. Then the rankers learn from all training sessions. The test
prefixes are looked at once.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import polars as pl

from benchmarks.rows import DATA, Row, data_folder
from whenbuy.core.examples import Examples
from whenbuy.core.history import History
from whenbuy.core.ranking import Taken
from whenbuy.ingest.read import read
from whenbuy.models.ranking.hybrid import SESSION_PARTS, Hybrid
from whenbuy.models.ranking.sequence import NextThing
from whenbuy.models.trees.boosting import Boosting
from whenbuy.pipeline.recommending.asking import Asking
from whenbuy.questions.items import NextItems

AREA = "answers"
PRECISION = Row(area=AREA, name="diginetica_p20", unit="%", better="higher", peer=53.80, target=55.0)
MRR = Row(area=AREA, name="diginetica_mrr20", unit="%", better="higher", peer=19.02, target=19.5)
APART = tuple(
    Row(area=AREA, name=f"diginetica_{name}", unit="%", better="higher", peer=peer)
    for name, peer in (("p20_repeated", 98.1), ("mrr20_repeated", 65.2), ("p20_new", 42.4), ("mrr20_new", 7.1))
)
DAYS, LAST, K = 150, 16_000, 20
LEARNING = NextThing().learning
NET = NextThing(replace(LEARNING, training=replace(LEARNING.training, epochs=7, patience=1, budget_s=400.0)), first=60)
SETTINGS = Hybrid(
    (*SESSION_PARTS, NET),
    Boosting(trees=250, learning_rate=0.07, leaves=31, min_leaf=100, feature_fraction=0.5),
    most=2_500_000,
    share=0.25,
    first=K,
)
QUESTION = NextItems(1.0, only="event", kind="view")


def rows() -> Iterator[Row]:
    """Score the hybrid on every test prefix."""
    folder = data_folder()
    if folder is None:
        yield from (row.without(DATA) for row in (PRECISION, MRR, *APART))
        return
    data = folder / "sessions_diginetica"
    sessions = pl.read_parquet(data / "train_sessions.parquet")["items"]
    told = pl.read_parquet(data / "test_prefixes.parquet")
    test = told.select(pl.col("prefix").list.concat(pl.col("target")))["prefix"]
    earlier, last = asked(sessions.head(len(sessions) - LAST), prefixes(sessions.tail(LAST)), DAYS + 1)
    model = SETTINGS.fit(earlier, last)
    del earlier, last
    everything, tested = asked(sessions, test, DAYS + 3)
    found = model.update(everything).predict(tested).item
    taken = tested.label(QUESTION.name)
    assert isinstance(taken, Taken)
    repeated = told.select(pl.col("prefix").list.contains(pl.col("target"))).to_series().to_numpy()
    hit = (found == taken.item[:, None]) & (found >= 0)
    precision, place = hit.any(axis=1), np.where(hit.any(axis=1), 1 / (1.0 + hit.argmax(axis=1)), 0.0)
    for part, names in ((np.ones(len(hit), bool), (PRECISION, MRR)), (repeated, APART[:2]), (~repeated, APART[2:])):
        yield names[0].got(100 * precision[part].mean())
        yield names[1].got(100 * place[part].mean())


def prefixes(sessions: pl.Series) -> pl.Series:
    """Every beginning of each session that holds two events or more: the last of them is what came next."""
    frame = sessions.alias("items").to_frame().with_columns(n=pl.int_ranges(2, pl.col("items").list.len() + 1)).explode("n")
    return frame.drop_nulls("n").select(pl.col("items").list.head(pl.col("n")))["items"]


def asked(sessions: pl.Series, asked: pl.Series, today: int) -> tuple[Examples, Examples]:
    """The sessions laid over days, one user each, as of the day ``today`` after them; and on it the others as of their last event."""
    n, day = len(sessions), 86_400
    moment = today * day * 1_000_000
    begins = np.concatenate([np.arange(n) * (DAYS * day // n), np.full(len(asked), today * day)])
    frame = pl.DataFrame(
        {"user": np.arange(n + len(asked)), "begin": begins, "item_id": pl.concat([sessions, asked]).cast(pl.List(pl.String))}
    )
    frame = frame.with_columns(second=pl.int_ranges(0, pl.col("item_id").list.len())).explode("item_id", "second")
    time = pl.from_epoch(pl.col("begin") + pl.col("second"), "s")
    events = frame.select(user_id="s" + pl.col("user").cast(pl.String).str.zfill(7), event=pl.lit("view"), time=time, item_id="item_id")
    history: History = read(events, kinds={"view": "view"}).history
    log = history.log
    last = log.known_at[log.offsets[1:] - 1]
    everybody = history.keys(log.users.ids.head(n), moment)
    keys = history.keys(log.users.ids.tail(len(asked)))
    keys = type(keys)("user", keys.code, last[keys.code], keys.names)
    known = history.cut(moment)
    reads = Asking.of(known, {"view": 1.0}, halflives_days=(3.0, 14.0, 60.0))
    return reads.examples(history, everybody), reads.examples(history, keys, QUESTION)
