import itertools

import numpy as np
import pytest

from tests.unit.models.purchase_examples import stored
from whenbuy.core.errors import UsageError, WhenbuyError
from whenbuy.models.trees import TYPES, Boosting, Forest, Trees
from whenbuy.models.trees.lightgbm_text import read_text

OBJECTIVES = ("binary", "poisson", "tweedie", "l1", "l2", "quantile")
SMALL = {"trees": 20, "min_leaf": 10, "learning_rate": 0.2}


def sample(objective="binary", n=600, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, 5)).astype(np.float32)
    values[rng.random(values.shape) < 0.1] = np.nan
    mean = 0.8 * np.nan_to_num(values[:, 0]) - 0.5 * np.nan_to_num(values[:, 1])
    if objective == "binary":
        return values, rng.random(n) < 1 / (1 + np.exp(-mean))
    if objective in ("poisson", "tweedie"):
        return values, rng.poisson(np.exp(mean)) * (1.0 if objective == "poisson" else rng.gamma(2.0, size=n))
    return values, mean + rng.normal(size=n)


def loss(objective, target, answer):
    if objective == "binary":
        return -np.mean(np.where(target, np.log(answer), np.log1p(-answer)))
    if objective in ("poisson", "tweedie"):
        return np.mean(answer - target * np.log(answer))
    level = {"l1": 0.5, "quantile": 0.8}.get(objective)
    return (
        np.mean((target - answer) ** 2)
        if level is None
        else np.mean(np.maximum(level * (target - answer), (level - 1) * (target - answer)))
    )


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_each_objective_learns_more_than_its_constant(objective):
    settings = Boosting(objective, level=0.8, **SMALL)
    values, target = sample(objective)
    grown = settings.grow(values, target)
    alone = settings.grow(values[:, :0], target)
    assert len(grown) == 20
    assert len(alone) == 0
    assert loss(objective, target, grown.predict(values)) < 0.97 * loss(objective, target, alone.predict(values[:, :0]))


@pytest.mark.parametrize("settings", [Boosting(**SMALL), Forest(trees=20)])
def test_same_seed_same_bits_and_another_seed_other_trees(settings):
    values, target = sample()
    again = type(settings)(**{**{name: getattr(settings, name) for name in settings.__dataclass_fields__}, "seed": 1})
    one, same, other = settings.grow(values, target), settings.grow(values, target), again.grow(values, target)
    assert np.array_equal(one.raw(values), same.raw(values))
    assert not np.array_equal(one.raw(values), other.raw(values))


NOTHING_TO_LEARN = {
    "constant columns": lambda values, target: (np.tile(np.array([1.0, np.nan, np.inf], np.float32), (len(values), 1)), target),
    "no columns": lambda values, target: (values[:, :0], target),
    "nothing known": lambda values, target: (np.full_like(values, np.nan), target),
    "zeros": lambda values, target: (values, 0 * target),
    "ones": lambda values, target: (values, 0 * target + 1),
}
HARD = {
    "few rows": lambda values, target: (values, target),
    "infinite": lambda values, target: (np.where(np.arange(len(values))[:, None] % 3, values, np.float32(np.inf)), target),
    "huge": lambda values, target: (values * np.float32(1e37), target),
    "tiny": lambda values, target: (values * np.float32(1e-42), target),
}


@pytest.mark.parametrize(
    "settings", [*(Boosting(objective, trees=20) for objective in OBJECTIVES), Forest(trees=20), Forest("l2", trees=20)]
)
@pytest.mark.parametrize("n", [0, 1, 2, 30, 300])
@pytest.mark.parametrize("kind", [*NOTHING_TO_LEARN, *HARD])
def test_poor_data_have_an_answer_without_a_word(settings, n, kind, capfd):
    rng = np.random.default_rng(n)
    values, target = {**NOTHING_TO_LEARN, **HARD}[kind](rng.normal(size=(n, 3)).astype(np.float32), rng.integers(0, 2, n).astype(float))
    grown = settings.grow(values, target)
    answer = grown.predict(values)
    assert np.isfinite(answer).all()
    if settings.objective == "binary":
        assert ((answer >= 0) & (answer <= 1)).all()
    if kind in NOTHING_TO_LEARN:
        assert len(grown) == 0
    if kind in ("zeros", "ones") and settings.objective != "binary":
        np.testing.assert_allclose(answer, target, atol=1e-299)
    assert capfd.readouterr() == ("", "")


def test_a_chance_is_never_certain():
    for settings, (n, target) in itertools.product((Boosting(), Forest()), ((9, 1.0), (9, 0.0), (0, 0.0))):
        grown = settings.grow(np.zeros((n, 2), np.float32), np.full(n, target))
        assert grown.predict(np.zeros((1, 2), np.float32))[0] == pytest.approx((n * target + 0.5) / (n + 1))


def test_a_start_takes_the_place_of_the_constant():
    values, target = sample("l2")
    settings = Boosting("l2", **SMALL)
    start = 3.0 * np.nan_to_num(values[:, 0])
    grown = settings.grow(values, target + start, start=start)
    assert np.mean((grown.raw(values) - target) ** 2) < 0.9 * np.var(target)
    assert settings.grow(values[:, :0], target, start=start).base == 0.0
    assert len(settings.grow(values, np.ones(600), start=start)) == 20
    assert len(Boosting(**SMALL).grow(values, np.ones(600), start=start)) == 0


def test_rows_without_weight_do_not_count():
    values, target = sample()
    target = target.astype(float)
    weight = (np.arange(600) % 3 > 0).astype(float)
    settings = Boosting(**SMALL)
    kept = weight > 0
    whole, part = settings.grow(values, target, weight), settings.grow(values[kept], target[kept], weight[kept])
    assert np.array_equal(whole.raw(values), part.raw(values))
    assert len(settings.grow(values, target, np.where(target == 1, 1.0, 0.0))) == 0
    assert settings.grow(values, target, np.zeros(600)).base == 0.0
    heavy = Boosting("l2", **SMALL).grow(values[:, :0], target, 1 + 3 * target)
    assert heavy.base == pytest.approx((4 * target).sum() / (1 + 3 * target).sum())


def test_growing_stops_where_new_rows_gain_nothing_more():
    values, target = sample(n=2000)
    many = Boosting(trees=400, learning_rate=0.3, min_leaf=5, patience=10)
    assert len(many.grow(values[:1000], target[:1000])) == 400
    part = (values[1000:], target[1000:], None, None)
    stopped = many.grow(values[:1000], target[:1000], valid=part)
    assert 0 < len(stopped) < 100
    full = many.grow(values[:1000], target[:1000])
    assert loss("binary", target[1000:], stopped.predict(values[1000:])) < loss("binary", target[1000:], full.predict(values[1000:]))
    assert len(many.grow(values[:1000], target[:1000], valid=(values[:0], target[:0], None, None))) == 400
    start = np.full(1000, 0.1)
    both = many.grow(values[:1000], target[:1000], start=start, valid=(values[1000:], target[1000:], np.ones(1000), start))
    assert 0 < len(both) < 100


def test_growing_goes_on_after_trees():
    values, target = sample(n=1000)
    first = Boosting(**SMALL).grow(values[:500], target[:500])
    more = Boosting(**SMALL).grow(values, target, after=first)
    assert len(more) == 40
    assert np.array_equal(more.value[: len(first.value)], first.value)
    assert loss("binary", target, more.predict(values)) < loss("binary", target, first.predict(values))
    watched = Boosting(trees=200, min_leaf=5, patience=5).grow(
        values[:500], target[:500], valid=(values[500:], target[500:], None, None), after=first
    )
    assert 20 < len(watched) < 220
    same = Boosting(**SMALL).grow(values[:0], target[:0], after=first)
    assert np.array_equal(same.raw(values), first.raw(values))
    assert np.array_equal(stored(more, TYPES).raw(values), more.raw(values))


def test_growing_goes_on_after_a_constant():
    values, target = sample()
    first = Boosting(**SMALL).grow(values[:5], target[:5])
    assert len(first) == 0
    more = Boosting(**SMALL).grow(values, target, after=first)
    assert len(more) == 20
    assert more.base == first.base


@pytest.mark.parametrize("after", [Trees.constant(0.0, 5), Forest("l2").grow(*sample("l2"))])
def test_growing_goes_on_on_the_same_scale_only(after):
    with pytest.raises(UsageError, match="same scale"):
        Boosting("poisson").grow(*sample("poisson"), after=after)


@pytest.mark.parametrize("settings", [Boosting(), Forest()])
@pytest.mark.parametrize(
    ("target", "more"),
    [
        ([0.0, 2.0, 1.0], {}),
        ([0.0, np.nan, 1.0], {}),
        ([0.0, 1.0], {}),
        ([0.0, 1.0, 1.0], {"weight": [1.0, -1.0, 1.0]}),
        ([0.0, 1.0, 1.0], {"weight": [1.0, np.inf, 1.0]}),
        ([0.0, 1.0, 1.0], {"weight": [1.0]}),
        ([0.0, 1.0, 1.0], {"start": [1.0, np.nan, 0.0]}),
    ],
)
def test_what_cannot_be_a_target_is_refused(settings, target, more):
    with pytest.raises(UsageError):
        settings.grow(np.zeros((3, 2), np.float32), np.array(target), **{name: np.array(part) for name, part in more.items()})


def test_counts_and_amounts_start_at_0_and_rows_have_columns():
    for objective in ("poisson", "tweedie"):
        with pytest.raises(UsageError, match="start at 0"):
            Boosting(objective).grow(np.zeros((1, 2), np.float32), np.array([-1.0]))
    with pytest.raises(UsageError, match="columns"):
        Boosting().grow(np.zeros(3, np.float32), np.zeros(3))


@pytest.mark.parametrize(
    ("kind", "setting"),
    [
        *((Boosting, one) for one in [{"trees": 0}, {"learning_rate": 0.0}, {"leaves": 1}, {"leaves": 513}, {"min_leaf": 0}, {"l2": -1.0}]),
        *(
            (Boosting, one)
            for one in [{"power": 2.0}, {"level": 0.0}, {"level": 1.0}, {"patience": 0}, {"seed": -1}, {"feature_fraction": 1.1}]
        ),
        *((Forest, one) for one in [{"trees": 0}, {"leaves": 1}, {"min_leaf": 0}, {"row_fraction": 1.0}, {"feature_fraction": 0.0}]),
        (Boosting, {"learning_rate": np.nan}),
    ],
)
def test_settings_out_of_range_are_refused(kind, setting):
    with pytest.raises(UsageError, match=f"{next(iter(setting))} is"):
        kind(**setting)


@pytest.mark.parametrize(
    "said",
    [
        "num_cat=1\nis_linear=0\ndecision_type=2",
        "num_cat=0\nis_linear=1\ndecision_type=2",
        "num_cat=0\nis_linear=0\ndecision_type=1",
        "num_cat=0\nis_linear=0\ndecision_type=6",
    ],
)
def test_trees_that_whenbuy_never_asks_for_are_refused(said):
    split = "num_leaves=2\nsplit_feature=0\nthreshold=1\nleft_child=-1\nright_child=-2\nleaf_value=1 2"
    text = f"tree\n\nTree=0\n{split}\n{said}\n\nend of trees\n"
    with pytest.raises(WhenbuyError, match="never"):
        read_text(text, 1, "identity")


def test_a_forest_is_a_mean_of_its_trees():
    values, target = sample("l2")
    grown = Forest("l2", trees=30).grow(values, target)
    assert grown.divisor == 30
    answer = grown.predict(values)
    assert target.min() <= answer.min() <= answer.max() <= target.max()
    assert np.mean((answer - target) ** 2) < 0.9 * np.var(target)
    with pytest.raises(UsageError, match="not a sum"):
        Forest("l2").grow(values, target, start=target)


def test_a_tree_of_a_forest_that_cannot_split_says_the_mean():
    rng = np.random.default_rng(0)
    values = np.zeros((40, 2), np.float32)
    values[:12, 0] = 1.0
    target = rng.normal(size=40) + 5.0 * values[:, 0]
    grown = Forest("l2", trees=50, min_leaf=9).grow(values, target)
    assert 0 < len(grown) < 50
    assert target.min() <= grown.predict(values).min() <= target.mean() <= grown.predict(values).max() <= target.max()


@pytest.mark.parametrize("grow", [Forest(trees=20), Forest("l2", trees=20), Boosting(trees=20, min_leaf=10)])
@pytest.mark.parametrize("seed", range(6))
def test_rows_that_weigh_next_to_nothing_make_no_leaf_of_their_own(grow, seed):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(900, 4)).astype(np.float32).round(1)
    target, faint = (rng.random(900) < 0.3) * 1.0, rng.random(900) < 0.5
    trees = grow.grow(values, target, np.where(faint, 1e-12, 1.0))
    assert trees.predict(values).mean() == pytest.approx(target[~faint].mean(), abs=0.05)


def test_what_lightgbm_refuses_is_an_error_of_ours(monkeypatch):
    import lightgbm

    def refuses(*_, **__):
        raise lightgbm.basic.LightGBMError("Check failed")

    monkeypatch.setattr(lightgbm, "train", refuses)
    values, target = sample()
    with pytest.raises(UsageError, match=r"weigh from 0\.5 to 2"):
        Boosting(trees=5, min_leaf=10).grow(values, target, np.where(target > 0, 2.0, 0.5))
