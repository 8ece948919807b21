"""Fitted preparations against scikit-learn on the same rows."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - opens the imputer below
from sklearn.impute import IterativeImputer, KNNImputer
from sklearn.linear_model import Ridge
from sklearn.neighbors import LocalOutlierFactor
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, QuantileTransformer, RobustScaler, StandardScaler

from whenbuy.clean import Fill, Isolation, LocalOutliers, Scale
from whenbuy.core.examples import Table


def drawn(n: int, seed: int, gaps: float = 0.0) -> Table:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, 5)) @ rng.normal(size=(5, 5)) * [1, 10, 100, 1, 3] + 5
    values[rng.random(values.shape) < gaps] = np.nan
    return Table(("a", "b", "c", "d", "e"), values.astype(np.float32))


def scaled(train: Table, new: Table) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    mean, deviation = np.nanmean(train.values.astype(float), axis=0), np.nanstd(train.values.astype(float), axis=0)
    return (train.values - mean) / deviation, (new.values - mean) / deviation, mean, deviation


@pytest.mark.parametrize("k", [1, 5])
def test_knn_fill_is_the_knn_imputer_on_scaled_rows(k: int) -> None:
    train, new = drawn(200, 0, 0.2), drawn(80, 1, 0.3)
    ours = Fill(default="knn", neighbours=k).fit(train)
    a, b, mean, deviation = scaled(train, new)
    peer = KNNImputer(n_neighbors=k).fit(a)
    assert ours.apply(new).values == pytest.approx(peer.transform(b) * deviation + mean, rel=1e-4, abs=1e-4)
    assert ours.apply(train).values == pytest.approx(peer.transform(a) * deviation + mean, rel=1e-4, abs=1e-4)


def test_model_fill_is_the_iterative_imputer_on_scaled_rows() -> None:
    train, new = drawn(300, 2, 0.2), drawn(80, 3, 0.3)
    ours = Fill(default="model", rounds=4, penalty=1.0).fit(train)
    a, b, mean, deviation = scaled(train, new)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = IterativeImputer(Ridge(alpha=1.0), max_iter=4, tol=0, imputation_order="ascending").fit(a)
    assert ours.apply(new).values == pytest.approx(peer.transform(b) * deviation + mean, rel=1e-4, abs=1e-3)


@pytest.mark.parametrize(
    ("method", "peer"),
    [
        ("standard", StandardScaler()), ("minmax", MinMaxScaler()), ("robust", RobustScaler()),
        ("quantile", QuantileTransformer(n_quantiles=100, subsample=None)),
    ],
)  # fmt: skip
def test_scalings(method: str, peer: StandardScaler) -> None:
    train, new = drawn(300, 4, 0.1), drawn(100, 5, 0.1)
    train = Table(train.names, np.round(train.values))  # ties
    ours = Scale(default=method, levels=100).fit(train)
    theirs = peer.fit(train.values.astype(float))
    for part in (train, new):
        assert ours.apply(part).values == pytest.approx(theirs.transform(part.values.astype(float)), rel=1e-5, abs=1e-5, nan_ok=True)


def test_the_logarithm_is_its_formula() -> None:
    """``log``: sign(x) ln(1 + |x|), with scikit-learn's FunctionTransformer as the peer; gaps stay gaps and nothing is learned."""
    train, new = drawn(50, 0), Table(("a",), np.array([[-1000.0], [-1.0], [0.0], [0.5], [np.e - 1], [1e6], [np.nan]], np.float32))
    fitted = Scale(default="log").fit(Table(("a",), train.values[:, :1]))
    peer = FunctionTransformer(lambda x: np.sign(x) * np.log1p(np.abs(x)))
    ours = fitted.apply(new).values
    assert ours == pytest.approx(peer.fit_transform(new.values.astype(float)), rel=1e-6, nan_ok=True)
    assert ours[4, 0] == pytest.approx(1.0, rel=1e-6)
    assert np.isnan(ours[-1, 0])
    assert fitted.says() == ("a: logarithm.",)


def test_isolation_scores() -> None:
    train, new = drawn(600, 6), drawn(200, 7)
    ours = Isolation(trees=50, rows=128, seed=9).fit(train)
    peer = IsolationForest(n_estimators=50, max_samples=128, random_state=9).fit(train.values)
    assert ours.scores(new) == pytest.approx(peer.score_samples(new.values), rel=1e-12)


def test_local_outlier_scores() -> None:
    train, new = drawn(300, 8), drawn(100, 9)
    ours = LocalOutliers(neighbours=15).fit(train)
    a, b, _, _ = scaled(train, new)
    peer = LocalOutlierFactor(n_neighbors=15, novelty=True).fit(a)
    assert ours.scores(new) == pytest.approx(peer.score_samples(b), rel=1e-5)
    assert ours.bound == pytest.approx(np.quantile(peer.negative_outlier_factor_, 0.01), rel=1e-5)
