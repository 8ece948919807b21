import numpy as np
import polars as pl

from whenbuy.core.acts import act, acts_of, thing_column, usual_acts
from whenbuy.ingest.read import read
from whenbuy.ingest.simulate import simulate


def told(log, row, acts):
    """The act of one row, looked up plainly."""
    kind, column = log.kinds[log.kind[row]], thing_column(log)
    thing = log.columns[column].series(np.array([row]))[0] if column else None
    for name in (act(kind, thing), kind):
        if name in acts:
            return acts.index(name)
    return -1


def test_the_act_of_each_row_is_that_of_a_plain_look():
    log = simulate(30, 90, 2).history.log
    rows = np.arange(0, len(log), 3)
    for acts in (usual_acts(log, 12), ("view", "purchase of c04", "nothing of the kind")):
        assert acts_of(log, acts, rows).tolist() == [told(log, row, acts) for row in rows.tolist()]


def test_the_usual_acts_are_every_kind_and_the_commonest_pairs():
    log = simulate(30, 90, 2).history.log
    acts = usual_acts(log, 5)
    kinds = [name for name in log.kinds if log.count(name) and name != "shown"]
    assert list(acts[: len(kinds)]) == kinds
    assert len(acts) == len(kinds) + 5
    column = log.columns[thing_column(log)].series()
    pairs = pl.DataFrame({"kind": [log.kinds[code] for code in log.kind.tolist()], "thing": column}).drop_nulls()
    pairs = pairs.filter(pl.col("kind") != "shown")
    count = dict(pairs.group_by("kind", "thing").len().select(pl.format("{} of {}", "kind", "thing"), "len").iter_rows())
    rarest = min(count[name] for name in acts[len(kinds) :])
    assert sum(n > rarest for n in count.values()) <= 5


def test_a_log_without_things_and_an_empty_one():
    log = read(pl.DataFrame({"user_id": ["a", "a"], "event": ["view", "purchase"], "time": ["2024-01-01", "2024-01-02"]})).history.log
    assert thing_column(log) is None
    assert set(usual_acts(log)) == {"view", "purchase"}
    assert acts_of(log, ("purchase",), np.arange(2)).tolist() == [-1, 0]
    assert acts_of(log, (), np.arange(2)).tolist() == [-1, -1]
