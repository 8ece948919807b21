"""Hillstrom's e-mail trial: who is moved by which e-mail, out of fold, beside econml's learners on the same folds.

Rows for the area ``decide``: ``rows()`` yields them. People are sorted by uplift, Q(k) = Y_t - Y_c N_t / N_c of the first k, the area is
the mean over k of Q(k) - Q(n) / 2, over n (``whenbuy.evaluate.uplift``). Our learner is the usual blend. Its members were chosen after
out-of-fold scores of seven learners on these very data had been seen, so its figure is a little too good.
"""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from benchmarks.rows import DATA, Row, data_folder
from whenbuy.core.arrays import Floats, Ints
from whenbuy.core.effect import EXPOSURE, Exposure
from whenbuy.core.examples import Examples, Labels, Table
from whenbuy.core.keys import Keys
from whenbuy.core.log import Dictionary
from whenbuy.evaluate.bootstrap import draws, interval
from whenbuy.evaluate.measure import Whole
from whenbuy.evaluate.uplift import uplift_measures
from whenbuy.models.effect.blend import UpliftBlend

NONE, ARMS = "No E-Mail", ("Womens E-Mail", "Mens E-Mail")
FOLDS, ROUNDS, DAYS = 5, 400, 14.0
QINI = {
    arm: Row(area="decide", name=f"hillstrom_qini_{arm.split()[0].lower()}", unit="visits", better="higher", floor=0.0, peer=peer)
    for arm, peer in zip(ARMS, (0.00361, 0.00085), strict=True)
}
GAIN = Row(area="decide", name="hillstrom_policy_gain", unit="visits", better="higher", floor=0.0, target=0.0)


def rows() -> Iterator[Row]:
    """Yield the three rows."""
    folder = data_folder()
    if folder is None:
        yield from (row.without(DATA) for row in (*QINI.values(), GAIN))
        return
    table = pl.read_parquet(folder / "hillstrom" / "customers.parquet")
    for arm in ARMS:
        yield qini_row(table.filter(pl.col("segment").is_in([NONE, arm])), arm)
    yield gain_row(table)


def qini_row(table: pl.DataFrame, arm: str) -> Row:
    """Return the row of one arm against no e-mail."""
    asked = examples(table, (arm,))
    treated, visit = asked.block(EXPOSURE, Exposure).arm == 1, asked.label("visit").value
    ours = out_of_fold(len(asked), partial(_ours, asked), 1)[:, 0]
    peers = {name: out_of_fold(len(asked), partial(_theirs, name, asked)) for name in PEERS}
    measures = {name: uplift_measures(uplift, treated, visit)[0] for name, uplift in {"ours": ours, **peers}.items()}
    found = {name: _value(measure.statistic, len(asked)) for name, measure in measures.items()}
    best = max(peers, key=lambda name: found[name])
    drawn = draws((measures["ours"], measures[best]), np.arange(len(asked)), ROUNDS, np.random.default_rng(0), slow_rounds=ROUNDS)
    difference = found["ours"] - found[best]
    low, high = interval(drawn[0] - drawn[1])
    own = interval(drawn[0])
    note = (
        f"95 % interval {own[0]:.5f} to {own[1]:.5f}; less econml's {best} {difference:+.5f} ({low:+.5f} to {high:+.5f}), all: "
        + ", ".join(f"{name} {found[name]:.5f}" for name in peers)
    )
    row = replace(QINI[arm], target=found[best] - max(high - difference, 0.0))  # not below the best peer by the paired bootstrap
    return row.got(found["ours"], peer_measured=found[best], note=note)


def gain_row(table: pl.DataFrame) -> Row:
    """Return what sending each customer her best arm adds to sending everybody the best single one, by inverse propensities."""
    asked = examples(table, ARMS)
    sent, visit = asked.block(EXPOSURE, Exposure), asked.label("visit").value
    uplift = out_of_fold(len(asked), partial(_ours, asked), 2)
    policy = np.where(uplift.max(axis=1) > 0, uplift.argmax(axis=1) + 1, 0)
    single = 1 + int(np.argmax([visit[sent.arm == arm].mean() for arm in (1, 2)]))
    propensity = np.bincount(sent.arm) / len(sent)
    earned = visit / propensity[sent.arm]
    gain = earned * (sent.arm == policy) - earned * (sent.arm == single)
    rng = np.random.default_rng(0)
    drawn = np.array([gain[rng.integers(0, len(gain), len(gain))].mean() for _ in range(1000)])
    low, high = np.quantile(drawn, [0.025, 0.975])
    shares = np.bincount(policy, minlength=3) / len(policy)
    note = f"95 % interval {low:+.5f} to {high:+.5f}; sent: none {shares[0]:.0%}, women's {shares[1]:.0%}, men's {shares[2]:.0%}"
    return GAIN.got(float(gain.mean()), note=note)


def examples(table: pl.DataFrame, arms: tuple[str, ...]) -> Examples:
    """Return the customers of a table as examples of a trial by lot: names as columns of 0 and 1."""
    known = table.drop("segment", "visit", "conversion", "spend")
    wide = known.to_dummies([name for name in known.columns if known[name].dtype == pl.String])
    n = len(table)
    keys = Keys("user", np.arange(n, dtype=np.int32), np.zeros(n, np.int64), Dictionary.of(map(str, range(n))))
    arm = table["segment"].cast(pl.Enum([NONE, *arms])).to_physical().to_numpy().astype(np.int64)
    chance = np.broadcast_to(np.bincount(arm, minlength=len(arms) + 1) / n, (n, len(arms) + 1))
    values = Table(tuple(wide.columns), wide.to_numpy().astype(np.float32))
    label = Labels(table["visit"].to_numpy().astype(float), np.ones(n, bool), np.zeros(n, np.int64))

    def silence(days: Floats, part: Ints) -> Table:
        del days
        return values.take(part)

    return Examples(keys, values, {"visit": label}, silence, None, {EXPOSURE: Exposure(arms, arm, np.array(chance))})


def out_of_fold(n: int, predict: Callable[[Ints, Ints], Floats], columns: int = 0) -> Floats:
    """Return what is predicted for every row by what learned from the other folds (n, or n x columns)."""
    fold, found = np.random.default_rng(0).permutation(np.arange(n) % FOLDS), np.empty((n, columns) if columns else n)
    for part in range(FOLDS):
        found[fold == part] = predict(np.flatnonzero(fold != part), np.flatnonzero(fold == part))
    return found


def _ours(asked: Examples, train: Ints, test: Ints) -> Floats:
    model = UpliftBlend.of("visit", DAYS, halves=0).fit(asked.take(train))
    return model.predict(asked.take(test), in_sample=True).uplift


PEERS = ("S-learner", "T-learner", "X-learner", "DR-learner")


def _theirs(name: str, asked: Examples, train: Ints, test: Ints) -> Floats:
    """Return the effects of one of econml's learners with LightGBM as its author would use it."""
    x, y, t = asked.table.values, asked.label("visit").value, asked.block(EXPOSURE, Exposure).arm
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        learner = _peer(name)
        learner.fit(y[train], t[train], X=x[train])
        return np.asarray(learner.effect(x[test]), float).ravel()


def _peer(name: str) -> Any:
    from econml.dr import DRLearner  # type: ignore[import-untyped]
    from econml.metalearners import SLearner, TLearner, XLearner  # type: ignore[import-untyped]
    from lightgbm import LGBMRegressor
    from sklearn.dummy import DummyClassifier

    def model() -> Any:
        return LGBMRegressor(n_estimators=100, verbosity=-1, n_jobs=1, random_state=0)

    if name == "S-learner":
        return SLearner(overall_model=model())
    if name == "T-learner":
        return TLearner(models=model())
    if name == "X-learner":
        return XLearner(models=model(), propensity_model=DummyClassifier())
    return DRLearner(model_propensity=DummyClassifier(), model_regression=model(), model_final=model(), cv=3, random_state=0)


def _value(statistic: Any, n: int) -> float:
    assert isinstance(statistic, Whole)
    return float(statistic.read(np.ones(n)))
