"""Encodings and selection beside scikit-learn's."""

import numpy as np
import polars as pl
import pytest
from sklearn.feature_selection import RFE
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import mutual_info_score
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, TargetEncoder

from tests.unit.features.test_encode import rows
from tests.unit.models.purchase_examples import examples
from whenbuy.features.encode import Encode
from whenbuy.features.select import Select


def drawn(n=3000, seed=0):
    rng = np.random.default_rng(seed)
    name = rng.choice([f"n{i}" for i in range(12)], n, p=np.arange(1, 13) / 78)
    return name, rng.random(n) < 0.1 + 0.05 * np.char.str_len(name)


def test_one_hot_equals_sklearn():
    name, _ = drawn()
    fitted, made = Encode(least=1).learn(rows({"c": name}))
    theirs = OneHotEncoder(sparse_output=False).fit(name[:, None])
    ours = {column.removeprefix("c="): made.table.column(column) for column in fitted.made}
    for place, category in enumerate(theirs.categories_[0]):
        assert ours[category].tolist() == theirs.transform(name[:, None])[:, place].tolist()


def test_ordinal_in_a_given_order_equals_sklearn():
    name, _ = drawn()
    order = tuple(np.unique(name))
    _, made = Encode(default="ordinal", orders={"c": order}).learn(rows({"c": name}))
    theirs = OrdinalEncoder(categories=[list(order)]).fit_transform(name[:, None])
    assert made.table.column("c").tolist() == theirs[:, 0].tolist()


def test_target_means_equal_sklearn():
    name, value = drawn()
    train = rows({"c": name}, value)
    fitted, _ = Encode("q", default="target", least=1, strength=20).learn(train)
    theirs = TargetEncoder(smooth=20.0, target_type="continuous").fit(name[:, None], value * 1.0).transform(name[:, None])
    assert fitted.prepare(train).table.column("c_mean_q") == pytest.approx(theirs[:, 0], rel=1e-6)


def test_mutual_information_equals_sklearn_less_the_bias():
    rng = np.random.default_rng(1)
    value, few = rng.random(2000) < 0.4, rng.integers(0, 6, 2000)
    few = np.where(value, few, rng.integers(0, 6, 2000) // 2)
    made = examples({"few": few}, labels={"q": (value, np.ones(2000, bool), 100)})
    (ours,) = Select("q", "mutual_information").learn(made)[0].score
    assert ours == pytest.approx(mutual_info_score(few, value) - 5 / 4000, rel=1e-9)


def test_recursive_equals_sklearn():
    rng = np.random.default_rng(2)
    values = rng.normal(size=(800, 12))
    value = rng.random(800) < 1 / (1 + np.exp(-values @ np.linspace(-1, 1, 12)))
    made = examples({f"x{i}": column for i, column in enumerate(values.T)}, labels={"q": (value, np.ones(800, bool), 100)})
    logs = np.sign(values) * np.log1p(np.abs(values))
    standard = (logs - logs.mean(axis=0)) / logs.std(axis=0)
    theirs = RFE(LogisticRegression(C=1.0), n_features_to_select=5, step=1).fit(standard, value)
    assert Select("q", "recursive", keep=5).learn(made)[0].stays.tolist() == theirs.support_.tolist()


def test_frames_of_categories_become_names():
    frame = pl.DataFrame({"c": pl.Series(["a", "b", None], dtype=pl.Categorical)})
    from whenbuy.features.encode import Names

    names = Names.of(frame)
    codes, dictionary = names.column("c")
    assert codes.tolist() == [0, 1, -1]
    assert dictionary.ids.to_list() == ["a", "b"]
