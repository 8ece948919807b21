"""The fitted preparations: they learn from training rows only, say what they learned, and are made of arrays."""

from __future__ import annotations

import json

import numpy as np
import pytest

from whenbuy.clean import STEPS, TYPES, Bound, Fill, Isolation, LocalOutliers, Scale
from whenbuy.core.codec import decode, encode
from whenbuy.core.errors import ColumnError, NotEnoughDataError, SettingsError
from whenbuy.core.examples import Table

NAN = float("nan")
NAMES = ("a", "b", "c", "d")
ALL = {
    "constant": Fill(), "simple": Fill({"a": "mean", "b": "median", "c": "mode", "d": "keep"}),
    "nearest": Fill({"a": "nearest"}, "knn", most=50), "model": Fill({"a": "median"}, "model"),
    "scale": Scale({"a": "minmax", "b": "robust", "c": "quantile", "d": "log"}), "standard": Scale(),
    "bound": Bound({"a": "zscore"}, "iqr"), "isolation": Isolation(10, 32), "local": LocalOutliers(5, 60),
}  # fmt: skip


def drawn(n: int = 120, seed: int = 0) -> Table:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, 4)) * [1, 10, 100, 5] + [0, 5, 50, 0]
    values[:, 3] += values[:, 1]
    values[rng.random(values.shape) < 0.15] = NAN
    return Table(NAMES, values.astype(np.float32))


def table(**columns: list[float]) -> Table:
    return Table(tuple(columns), np.array(list(columns.values()), np.float32).T)


@pytest.mark.parametrize("name", ALL)
def test_a_step_survives_storage_and_answers_the_same(name: str) -> None:
    step, new = ALL[name], drawn(40, 1)
    fitted = step.fit(drawn())
    arrays: dict[str, np.ndarray] = {}
    plain = json.loads(json.dumps(encode(fitted, arrays)))
    again = decode(plain, arrays, TYPES)
    assert again.apply(new).values.tobytes() == fitted.apply(new).values.tobytes()
    assert again.apply(new).names == fitted.apply(new).names
    assert decode(encode(step, arrays), arrays, TYPES) == step
    assert fitted.says()
    assert step.fit(drawn()).apply(new).values.tobytes() == fitted.apply(new).values.tobytes()


@pytest.mark.parametrize("name", ALL)
def test_a_row_is_prepared_by_itself(name: str) -> None:
    fitted, new = ALL[name].fit(drawn()), drawn(20, 2)
    whole = fitted.apply(new).values
    alone = np.vstack([fitted.apply(new.take(slice(i, i + 1))).values for i in range(20)])
    assert alone == pytest.approx(whole, rel=1e-5, nan_ok=True)
    assert len(fitted.apply(new.take(slice(0, 0)))) == 0


@pytest.mark.parametrize("name", ALL)
def test_bad_tables(name: str) -> None:
    fitted = ALL[name].fit(drawn())
    with pytest.raises(ColumnError, match="lacks d"):
        fitted.apply(table(a=[1], b=[2], c=[3]))
    with pytest.raises(NotEnoughDataError):
        ALL[name].fit(drawn(0))
    hollow = Table(NAMES, np.full((5, 4), NAN, np.float32))
    assert len(ALL[name].fit(hollow).apply(drawn())) == 120
    wild = Table(NAMES, np.array([[np.inf, -np.inf, 1e30, NAN]], np.float32))
    found = fitted.apply(wild).values
    assert not np.isinf(found[:, 4:] if found.shape[1] > 4 else found).any()  # a flag stands beside the values as they were


def test_simple_fills() -> None:
    train = table(a=[1, 2, 6, NAN], b=[1, 2, 9, NAN], c=[5, 4, 4, 5], d=[1, NAN, 3, 4])
    fitted = Fill({"a": "mean", "b": "median", "c": "mode", "d": "keep"}).fit(train)
    gaps = Table(NAMES, np.full((1, 4), NAN, np.float32))
    assert fitted.apply(gaps).values[0, :3].tolist() == [3, 2, 4]
    assert np.isnan(fitted.apply(gaps).values[0, 3])
    assert Fill(value=-1).fit(train).apply(gaps).values.tolist() == [[-1] * 4]
    assert fitted.says() == (
        "a: 1 of 4 training rows (25.0%) had no value; filled with the mean 3.",
        "b: 1 of 4 training rows (25.0%) had no value; filled with the median 2.",
        "d: 1 of 4 training rows (25.0%) had no value; left empty.",
    )


def test_the_nearest_row_lends_its_value() -> None:
    train = table(a=[0, 1, 2, 10], b=[0, 1, 2, 10])
    asked = table(a=[1.2, NAN], b=[NAN, 9])
    assert Fill(default="nearest").fit(train).apply(asked).values == pytest.approx(np.array([[1.2, 1], [10, 9]]))
    assert Fill(default="knn", neighbours=3).fit(train).apply(asked).values == pytest.approx(np.array([[1.2, 1], [13 / 3, 9]]))


def test_the_model_fills_along_the_line() -> None:
    x = np.arange(50, dtype=float)
    fitted = Fill({"b": "model"}, penalty=1e-6).fit(table(a=x.tolist(), b=(3 * x + 1).tolist()))
    assert fitted.apply(table(a=[100], b=[NAN])).values == pytest.approx(np.array([[100, 301]]), rel=1e-4)


def test_bounds_clip_to_what_was_usual() -> None:
    train = table(a=list(range(101)), b=[7] * 101)
    fitted = Bound(default="iqr", reach=1).fit(train)
    assert fitted.apply(table(a=[-500, 50, 500, NAN], b=[-1, 0, 1, 2])).values[:, 0].tolist()[:3] == [-25, 50, 125]
    assert fitted.apply(table(a=[1], b=[9])).values.tolist() == [[1, 9]]
    assert fitted.says() == ("a: usual is -25 to 125; 0 of 101 training rows lay beyond.",)


@pytest.mark.parametrize("step", [Isolation(), LocalOutliers()])
def test_a_strange_row_is_flagged(step: Isolation | LocalOutliers) -> None:
    rng = np.random.default_rng(3)
    train = Table(("a", "b"), rng.normal(size=(500, 2)).astype(np.float32))
    found = step.fit(train).apply(table(a=[0, 40], b=[0, -40]))
    assert found.names[:2] == ("a", "b")
    assert found.values[:, 2].tolist() == [0, 1]
    assert step.fit(train).apply(train).values[:, 2].mean() == pytest.approx(0.01, abs=0.01)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Fill(default="guess"), lambda: Fill({"a": "guess"}), lambda: Fill(neighbours=0), lambda: Fill(penalty=0),
        lambda: Scale(default="x"),
        lambda: Scale(levels=1), lambda: Bound(default="x"), lambda: Bound(reach=0), lambda: Isolation(trees=0), lambda: Isolation(share=0),
        lambda: LocalOutliers(most=1), lambda: LocalOutliers(share=1),
    ],
)  # fmt: skip
def test_wrong_settings_are_refused(wrong: object) -> None:
    with pytest.raises(SettingsError):
        wrong()  # type: ignore[operator]


def test_a_method_for_no_column_is_refused() -> None:
    with pytest.raises(ColumnError, match="amuont"):
        Fill({"amuont": "mean"}).fit(drawn())


def test_every_step_is_tested() -> None:
    assert {type(step) for step in ALL.values()} == set(STEPS.values())
