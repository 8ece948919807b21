"""Cross-validation over users and learning curves."""

import numpy as np
import polars as pl
import pytest

from tests.unit.core.logs import make
from tests.unit.pipeline.quick import HORIZONS, candidates, learn, shop
from whenbuy.core.arrays import DAY
from whenbuy.core.errors import NotEnoughDataError, UsageError
from whenbuy.pipeline.judging.cross_validation import ALL, cross_validate
from whenbuy.pipeline.judging.learning_curve import learning_curve
from whenbuy.pipeline.judging.trial import Trial
from whenbuy.pipeline.learning.learn import fit
from whenbuy.pipeline.learning.split import folds


def run(*args, **options):
    return cross_validate(*args, **{"learn": learn, "horizon_days": 14.0, "rounds": 20} | options).frame()


def curve(*args, **options):
    return learning_curve(*args, **{"learn": learn, "horizon_days": 14.0, "rounds": 20, "weeks": 2} | options).frame()


def test_everybody_is_judged_once_by_a_model_that_never_saw_her():
    history, taught = shop(), []

    def spy(known, cutoff):
        taught.append((known, cutoff))
        return learn(known, cutoff)

    found = run(history, 3, learn=spy, weeks=2)
    trial = Trial.of(history, weeks=2, horizon_days=14.0)
    fold = folds(history.log.users.ids, 3)
    for place, (known, cutoff) in enumerate(taught):
        assert cutoff == trial.cutoffs[0]
        assert not np.diff(known.log.offsets)[fold == place].any()
        assert np.array_equal(np.diff(known.log.offsets)[fold != place], np.diff(history.log.offsets)[fold != place])
    sizes = {row["fold"]: row["n"] for row in found.iter_rows(named=True)}
    assert list(sizes) == ["1", "2", "3", ALL]
    assert sizes.pop(ALL) == len(trial.keys) == sum(sizes.values())


def test_all_folds_together_are_the_sum_of_their_losses_and_the_mean_of_their_ranks():
    found = run(shop(), 3)
    for name in ("logloss_14d", "auc_14d"):
        rows = found.filter(pl.col("name") == name)
        each, whole = rows.filter(pl.col("fold") != ALL), rows.filter(pl.col("fold") == ALL)
        assert whole["value"].item() == pytest.approx(np.average(each["value"], weights=each["n"]))
        assert whole["low"].item() < whole["value"].item() < whole["high"].item()
    assert run(shop(), 3).equals(found)
    with pytest.raises(UsageError, match="1 folds"):
        run(shop(), 1)


def test_less_is_compared_with_everything():
    found = curve(shop(), shares=(0.5, 0.2), history_weeks=(4, 8, 1000))
    assert found.columns == [
        "of", "size", "name", "value", "low", "high", "everything", "difference", "difference_low", "difference_high", "verdict", "note",
    ]  # fmt: skip
    points = found.select("of", "size").unique(maintain_order=True)
    assert points["of"].to_list() == ["users", "users", "weeks", "weeks"]  # a thousand weeks were never recorded
    assert points["size"].to_list()[2:] == [4, 8]
    assert points["size"][0] < points["size"][1] < len(shop().log.users)
    row = found.filter(pl.col("name") == "logloss_14d").row(0, named=True)
    assert row["difference"] == pytest.approx(row["value"] - row["everything"])
    assert found.filter(pl.col("name") == "logloss_14d")["everything"].n_unique() == 1
    assert curve(shop(), shares=(0.5, 0.2), history_weeks=(4, 8)).equals(found)


def test_what_cannot_teach_says_so_in_its_row():
    log = make([(u, d * DAY, 0, 1, 500, 1) for u in range(3) for d in range(u, 120, 6)], late=False)

    def picky(known, cutoff):
        if np.count_nonzero(np.diff(known.log.offsets)) < 3:
            raise NotEnoughDataError("Only few were left.")
        return fit(known, cutoff, horizons=HORIZONS, candidates=candidates)

    found = curve(log, learn=picky, shares=(0.01,), history_weeks=())
    assert found["note"].to_list() == ["Only few were left."]
    assert found["value"].null_count() == 1
    assert curve(log, learn=picky, shares=(), history_weeks=()).is_empty()
    with pytest.raises(UsageError, match=r"Shares \[1\.5\]"):
        curve(log, shares=(1.5,))
