"""Columns of names as numbers: what each method makes of them, what it does with names it never saw, and that no label leaks."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whenbuy.core.codec import decode, encode
from whenbuy.core.errors import ColumnError, NotEnoughDataError, SettingsError, WhenbuyError
from whenbuy.core.examples import Examples, Labels, Table
from whenbuy.core.keys import Keys
from whenbuy.core.log import Dictionary
from whenbuy.evaluate.probability import Ranked
from whenbuy.features.encode import NAMES, TYPES, Encode, Names
from whenbuy.models.trees import Boosting
from whenbuy.models.whether.chance import TreesChance


def rows(columns, value=None, *, user=None, observed=None, weight=None, further=None):
    """Examples with columns of names, one row per user."""
    names = Names.of(pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String)))
    n = len(names)
    code = np.arange(n, dtype=np.int32) if user is None else np.asarray(user, np.int32)
    keys = Keys("user", code, np.zeros(n, np.int64), Dictionary.of(map(str, range(int(code.max(initial=-1)) + 1))))
    table = Table(("x",), np.arange(n, dtype=np.float32)[:, None]) if further is None else further
    labels = {}
    if value is not None:
        seen = np.ones(n, bool) if observed is None else np.asarray(observed)
        labels["q"] = Labels(np.asarray(value, float), seen, np.zeros(n, np.int64))
    return Examples(keys, table, labels, lambda days, places: table.take(places), weight, {NAMES: names})


def made(step, train, asked=None):
    """The encoded columns of training rows, and of others, as dictionaries of lists."""
    fitted, learned = step.learn(train)
    told = fitted.prepare(train if asked is None else asked)
    return [{name: part.table.column(name).tolist() for name in part.table.names if name != "x"} for part in (learned, told)]


COLOURS = {"colour": ["red"] * 3 + ["blue"] * 2 + ["green", None]}


def test_one_hot_gives_each_common_name_a_column():
    train, asked = made(Encode(least=2), rows(COLOURS), rows({"colour": ["blue", "green", "never seen", None]}))
    assert list(train) == ["colour=red", "colour=blue", "colour=(other)", "colour=(missing)"]
    assert train["colour=red"] == [1, 1, 1, 0, 0, 0, 0]
    assert train["colour=(other)"] == [0, 0, 0, 0, 0, 1, 0]
    assert asked["colour=blue"] == [1, 0, 0, 0]
    assert asked["colour=(other)"] == [0, 1, 1, 0]
    assert asked["colour=(missing)"] == [0, 0, 0, 1]


def test_what_training_lacks_has_no_column():
    train, asked = made(Encode(least=1), rows({"c": ["a", "b"]}), rows({"c": ["new", None]}))
    assert list(train) == ["c=a", "c=b"]
    assert list(asked.values()) == [[0, 0], [0, 0]]


def test_ordinal_counts_names_by_how_common_they_are_or_in_the_order_given():
    train, asked = made(Encode(default="ordinal", least=2), rows(COLOURS), rows({"colour": ["never seen", None]}))
    assert train["colour"][:6] == [0, 0, 0, 1, 1, 2]
    assert asked["colour"][0] == 2
    assert np.isnan(asked["colour"][1])
    ordered, _ = made(Encode(default="ordinal", orders={"m": ("jan", "feb", "mar", "apr")}), rows({"m": ["mar", "jan", "apr", "odd"]}))
    assert ordered["m"] == [1, 0, 2, 3]


def test_equally_common_names_are_ordered_by_name_whatever_the_order_of_rows():
    one, _ = made(Encode(default="ordinal", least=1), rows({"c": ["b", "a", "c"]}))
    assert one["c"] == [1, 0, 2]


def test_hashing_needs_no_memory_and_is_the_same_everywhere():
    step = Encode(default="hash", buckets=8)
    train, asked = made(step, rows({"c": ["a", "b", None]}), rows({"c": ["never seen", "a"]}))
    hits = np.array([train[f"c#{k}"] for k in range(8)])
    assert hits.sum(axis=0).tolist() == [1, 1, 0]
    assert hits[:, 0].argmax() == 0xE8B7BE43 % 8  # CRC-32 of "a" (ISO 3309)
    assert np.array([asked[f"c#{k}"] for k in range(8)])[:, 1].tolist() == hits[:, 0].tolist()


def test_a_column_can_be_skipped_and_auto_chooses_by_how_many_names_there_are():
    many = {"few": ["a", "b"] * 30, "many": [f"n{i % 30}" for i in range(60)], "none": ["z"] * 60}
    fitted, _ = Encode("q", {"none": "skip"}, least=1, most=5).learn(rows(many, np.arange(60) % 2))
    assert [(one.column, one.method) for one in fitted.columns] == [("few", "onehot"), ("many", "target")]
    fitted, _ = Encode(least=1, most=5).learn(rows(many))
    assert [one.method for one in fitted.columns] == ["onehot", "hash", "onehot"]


# ------------------------------------------------------------------------------------------------------ the target


def slow_means(names, value, fold, step, overall):
    """The out-of-fold means by a plain loop."""
    found = []
    for i, name in enumerate(names):
        others = [value[j] for j in range(len(names)) if names[j] == name and fold[j] != fold[i]]
        found.append((sum(others) + step.strength * overall) / (len(others) + step.strength))
    return found


def test_target_means_are_out_of_fold_in_training_and_full_in_prediction():
    rng = np.random.default_rng(0)
    name, value, user = rng.choice(["a", "b", "c"], 200), rng.random(200) < 0.4, rng.integers(0, 50, 200)
    step = Encode("q", default="target", strength=5)
    train, asked = made(step, rows({"c": name}, value, user=user), rows({"c": ["a", "never seen"]}))
    overall = value.mean()
    places = np.unique(user, return_inverse=True)[1]
    fold = (np.random.default_rng(0).permutation(len(np.unique(user))) % 5)[places]
    assert train["c_mean_q"] == pytest.approx(slow_means(name, value, fold, step, overall), rel=1e-6)
    full = (value[name == "a"].sum() + 5 * overall) / ((name == "a").sum() + 5)
    assert asked["c_mean_q"] == pytest.approx([full, overall], rel=1e-6)


def test_a_row_never_sees_the_label_of_its_own_user():
    rng = np.random.default_rng(1)
    user, name = np.repeat(np.arange(40), 5), rng.choice(["a", "b", "c"], 200)
    value = rng.random(200) < 0.5
    step = Encode("q", default="target", least=1)
    mine = user == 7
    value[mine], name[mine] = [1, 0, 0, 0, 1], ["a", "b", "c", "a", "b"]
    before = np.array(made(step, rows({"c": name}, value, user=user))[0]["c_mean_q"])
    turned = value.copy()
    turned[mine] = [0, 1, 1, 0, 0]
    after = np.array(made(step, rows({"c": name}, turned, user=user))[0]["c_mean_q"])
    assert turned.mean() == value.mean()
    assert before[mine].tolist() == after[mine].tolist()
    assert before[~mine].tolist() != after[~mine].tolist()


@pytest.mark.parametrize("names", [200, 2_000, 8_000])
def test_random_names_tell_nothing_in_or_out_of_sample(names):
    rng, n = np.random.default_rng(names), 8_000
    value, later = rng.random(n) < 0.2, rng.random(n) < 0.2
    columns, others = ({"c": rng.integers(0, names, n).astype(str)} for _ in range(2))
    fitted, learned = Encode("q", default="target", least=1).learn(rows(columns, value, further=Table((), np.empty((n, 0), np.float32))))
    asked = fitted.prepare(rows(others, later, further=Table((), np.empty((n, 0), np.float32))))
    grown = TreesChance("q", Boosting(feature_fraction=1.0)).fit(learned)
    noise = TreesChance("q", Boosting(feature_fraction=1.0)).fit(replace(learned, table=Table(learned.table.names, noise_like(learned))))
    assert abs(auc(value, learned.table.values[:, 0]) - 0.5) < 0.025  # three standard errors of an AUC at 1,600 of 8,000
    assert abs(auc(later, asked.table.values[:, 0]) - 0.5) < 0.025
    assert abs(auc(later, grown.predict(asked, in_sample=True).chance) - 0.5) < 0.025
    lucky = auc(value, noise.predict(replace(learned, table=Table(learned.table.names, noise_like(learned))), in_sample=True).chance)
    assert auc(value, grown.predict(learned, in_sample=True).chance) < lucky + 0.03  # trees fit it no better than any noise


def noise_like(learned):
    """The encoded column with its rows dealt anew."""
    return np.random.default_rng(9).permutation(learned.table.values)


def auc(came, chance):
    return Ranked.of(came * 1.0, np.asarray(chance, float)).auc(np.ones(len(came)))


def test_unobserved_labels_and_weights_count_as_they_should():
    train = rows({"c": ["a"] * 10}, [1.0] * 5 + [0.0] * 5, observed=[True] * 5 + [False] * 5)
    assert made(Encode("q", default="target"), train)[1]["c_mean_q"] == pytest.approx([1.0] * 10)
    weighted = rows({"c": ["a"] * 10}, [1.0] * 5 + [0.0] * 5, weight=np.array([3.0] * 5 + [1.0] * 5))
    assert made(Encode("q", default="target"), weighted)[1]["c_mean_q"] == pytest.approx([0.75] * 10)
    with pytest.raises(NotEnoughDataError, match="No label"):
        Encode("q", default="target").learn(rows({"c": ["a"]}, [1.0], observed=[False]))


# ---------------------------------------------------------------------------------------------- bounds and reports


def test_a_million_names_are_bounded():
    n = 1_000_000
    codes = np.arange(n, dtype=np.int32)[:, None]
    keys = Keys("user", codes[:, 0], np.zeros(n, np.int64), Dictionary(pl.Series("id", np.arange(n)).cast(pl.String)))
    table = Table((), np.empty((n, 0), np.float32))
    names = Names(("c",), codes, (keys.names,))
    labels = {"q": Labels((np.arange(n) % 5 == 0) * 1.0, np.ones(n, bool), np.zeros(n, np.int64))}
    train = Examples(keys, table, labels, lambda days, places: table.take(places), None, {NAMES: names})
    for method, least in (("target", 1), ("onehot", 1)):
        fitted, learned = Encode("q", default=method, least=least, limit=1_000).learn(train)
        (one,) = fitted.columns
        assert len(one.known) <= 1_000
        assert one.seen == n
        assert one.merged_names == one.merged_rows == n - len(one.known)
        assert learned.table.values.shape[1] <= 21


def test_the_report_says_what_was_done():
    fitted, _ = Encode(least=2).learn(rows(COLOURS))
    assert fitted.frame().rows() == [("colour", "onehot", 4, 3, 1, 1)]
    assert fitted.says() == ("colour: 3 names, each read as one column per name; 1 rare names in 1 rows count as one.",)
    assert fitted.unknown(rows({"colour": ["red", "green", "never seen", None]}).block(NAMES, Names)) == {"colour": 2}
    assert "onehot" in fitted._repr_html_()


def test_it_survives_the_codec():
    train = rows(COLOURS, [1, 0, 1, 0, 1, 0, 1])
    for method in ("onehot", "ordinal", "target", "hash"):
        step = Encode("q", default=method, orders={"colour": ("red", "blue")} if method == "ordinal" else {})
        arrays = {}
        fitted, _ = step.learn(train)
        again = decode(encode(fitted, arrays), arrays, TYPES)
        assert again.prepare(train).table.values.tobytes() == fitted.prepare(train).table.values.tobytes()
        assert decode(encode(step, {}), {}, TYPES) == step


def test_rows_read_in_silence_keep_their_names():
    fitted, learned = Encode(least=1).learn(rows({"c": ["a", "b"]}))
    for examples in (learned, fitted.prepare(rows({"c": ["a", "b"]}))):
        assert examples.silence(np.zeros(3), np.array([1, 0, 1])).column("c=b").tolist() == [1, 0, 1]
        assert examples.take(np.array([1])).table.column("c=b").tolist() == [1]


def test_errors_say_what_to_do():
    train = rows(COLOURS)
    with pytest.raises(SettingsError, match="no encoding 'magic'"):
        Encode(default="magic")
    with pytest.raises(SettingsError, match="without a question"):
        Encode(columns={"c": "target"})
    with pytest.raises(SettingsError, match="folds=1"):
        Encode(folds=1)
    with pytest.raises(ColumnError, match="sizes"):
        Encode(columns={"sizes": "onehot"}).learn(train)
    with pytest.raises(NotEnoughDataError):
        Encode().learn(train.take(slice(0, 0)))
    fitted, _ = Encode().learn(train)
    with pytest.raises(ColumnError, match="colour"):
        fitted.prepare(rows({"size": ["a"]}))
    with pytest.raises(WhenbuyError, match="codes of shape"):
        Names(("a",), np.zeros((2, 2), np.int32), (Dictionary.of(()),))


@given(st.lists(st.none() | st.text(max_size=3), min_size=1, max_size=30), st.sampled_from(["onehot", "ordinal", "target", "hash"]))
def test_any_names_give_finite_columns_and_the_same_ones_for_part_of_the_rows(names, method):
    value = np.arange(len(names)) % 2
    step = Encode("q", default=method, least=1)
    train = rows({"c": names}, value)
    fitted, learned = step.learn(train)
    whole = fitted.prepare(train)
    assert learned.table.names == whole.table.names
    values = whole.table.values
    assert np.isfinite(values[:, 1:][[name is not None for name in names]]).all()
    half = np.arange(0, len(names), 2)
    assert fitted.prepare(train.take(half)).table.values.tobytes() == values[half].tobytes()


# ------------------------------------------------------------------------------------------------------ going round
