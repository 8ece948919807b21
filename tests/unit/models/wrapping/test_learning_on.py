"""Learning on: what happened since counts once, and like what came before."""

import numpy as np
import pytest

from tests.contracts.shops import GRID, boundary, later, questions, shop, spec, train
from tests.unit.models.purchase_examples import examples
from whenbuy.core.arrays import DAY
from whenbuy.models.fitting import newton
from whenbuy.models.fitting.grown_on import taught
from whenbuy.models.fitting.newton import Logistic
from whenbuy.models.trees.boosting import Boosting
from whenbuy.models.when.boosted_curve import DirectHorizons
from whenbuy.models.when.floors import BaseRate, KaplanMeier
from whenbuy.models.when.hazard import PooledLogistic
from whenbuy.models.whether.chance import BaseChance
from whenbuy.pipeline.learning.build import panel

DAYS = tuple(float(day) for day in range(1, 29))


def watched(cutoff_day, n, seed, until_day):
    """People at one cutoff with exponential waits, watched up to a day."""
    rng = np.random.default_rng(seed)
    recency = rng.uniform(0, 40, n)
    wait, whole = rng.exponential(10 + recency), min(28, until_day - cutoff_day)
    columns = {"recency_days": recency, "tenure_days": recency + 5}
    labels = {
        "purchase": (np.minimum(wait, whole), wait < whole, cutoff_day + whole),
        "orders": ((wait < whole).astype(float), np.full(n, whole == 28), cutoff_day + whole),
    }
    return examples(columns, cutoff_day=cutoff_day, labels=labels)


def both(one, other):
    columns = {name: np.concatenate([one.table.column(name), other.table.column(name)]) for name in one.table.names}
    labels = {
        name: (np.concatenate([a.value, b.value]), np.concatenate([a.observed, b.observed]), np.concatenate([a.end, b.end]) // DAY)
        for name, a, b in ((name, one.labels[name], other.labels[name]) for name in one.labels)
    }
    day = np.concatenate([one.keys.cutoff, other.keys.cutoff]) // DAY
    made = examples(columns, cutoff_day=day, labels={name: (v, o, 0) for name, (v, o, _) in labels.items()})
    for name, (_, _, end) in labels.items():
        made.labels[name].end[:] = end * DAY
    return made


@pytest.mark.parametrize("learner", [BaseRate(DAYS), KaplanMeier(DAYS, strata=1)], ids=["everybody", "strata"])
def test_kaplan_meier_after_new_people_is_that_of_both(learner):
    old, new = watched(100, 400, 1, 128), watched(128, 300, 2, 156)
    model, whole = learner.fit(old).update(new), learner.fit(both(old, new))
    assert model.survival == pytest.approx(whole.survival, abs=1e-12)
    assert model.mean_count == pytest.approx(whole.mean_count)
    assert model.known_until == whole.known_until == 156 * DAY
    assert learner.fit(old).tally.curves(np.array(DAYS))[0] == pytest.approx(learner.fit(old).survival, abs=1e-12)


def test_a_window_that_was_open_is_learned_from_where_it_goes_on():
    """Seen for 14 days at first, then to its end: together what one look at the end would have seen."""
    half, whole = watched(100, 500, 3, 114), watched(100, 500, 3, 128)
    learner = BaseRate(DAYS)
    model, once = learner.fit(half).update(whole), learner.fit(whole)
    assert model.survival == pytest.approx(once.survival, abs=1e-12)


def test_beyond_what_anybody_was_watched_for_the_mean_hazard_continues():
    learner = BaseRate((*DAYS, 56.0))
    model = learner.fit(watched(100, 400, 1, 128)).update(watched(128, 300, 2, 156))
    assert model.survival[0, -1] == pytest.approx(model.survival[0, -2] ** 2)


def test_a_chance_is_the_share_of_all_rows():
    def answers(day, came):
        made = {"event_recency_days": np.ones(len(came))}
        return examples(made, cutoff_day=day, labels={"x": (came, np.ones(len(came)), day + 7)})

    old, new = answers(100, [1.0, 0.0, 0.0, 1.0]), answers(107, [0.0, 0.0, 1.0])
    model = BaseChance("x").fit(old).update(new)
    assert model.chance == pytest.approx((3 + 0.5) / (7 + 1))
    assert model.weight == 7


def test_one_newton_step_is_the_slow_one():
    rng = np.random.default_rng(0)
    matrix, came = rng.normal(size=(200, 3)), rng.random(200) < 0.3
    score = 0.5 * matrix[:, 0] - 1
    step = newton.one_step(matrix, Logistic(came, np.full(200, 1 / 200)), score, times=4.0, ridge=0.01)
    whole = np.hstack([matrix, np.ones((200, 1))])
    chance = 1 / (1 + np.exp(-score))
    curve, slope = np.diag([0.01, 0.01, 0.01, 0.0]), np.zeros(4)
    for row, p, y in zip(whole, chance, came, strict=True):
        curve += 4 * p * (1 - p) * np.outer(row, row) / 200
        slope += (y - p) * row / 200
    assert step == pytest.approx(np.linalg.solve(curve, slope))


def test_the_hazard_after_a_step_is_near_that_of_all_periods():
    learner = PooledLogistic(GRID.days, rich=False)
    model = learner.fit(train())
    new = model.update(later())
    assert new.steps > model.steps
    cutoffs = np.concatenate([np.unique(train().keys.cutoff)[:-1], np.unique(later().keys.cutoff)])
    whole = learner.fit(panel(shop().cut(boundary() + 28 * DAY), spec(), cutoffs, questions()[:1]))
    asks = later()
    told = [each.predict(asks, in_sample=True).probability(7.0) for each in (model, new, whole)]
    assert np.abs(told[1] - told[2]).mean() < 0.7 * np.abs(told[0] - told[2]).mean() + 0.002


def test_a_row_teaches_a_horizon_once():
    """Watched for 7 of 28 days when the model learned: only the longer horizons learn from it now."""
    known = 107 * DAY
    seen = watched(100, 50, 4, 128)
    assert [len(taught(seen, days, known)[0]) for days in (3.0, 7.0, 8.0, 28.0)] == [0, 0, 50, 50]
    assert len(taught(watched(107, 50, 4, 121), 14.0, known)[0]) == 50
    assert len(taught(watched(107, 50, 4, 120), 14.0, known)[0]) == 0


def test_boosted_curves_keep_their_trees_and_add_some():
    learner = DirectHorizons(GRID.days, Boosting(trees=40, learning_rate=0.05, row_fraction=0.5), horizons=4)
    model = learner.fit(train())
    new = model.update(later())
    for old, grown, was, now in zip(model.trees, new.trees, model.rows, new.rows, strict=True):
        count = len(old.value)
        assert grown.value[:count].tobytes() == old.value.tobytes()
        assert len(grown.starts) >= len(old.starts)
        assert now >= was
    assert new.rows.sum() > model.rows.sum()  # nobody has been watched for four weeks yet
    assert sum(len(grown.starts) for grown in new.trees) > sum(len(old.starts) for old in model.trees)
    label, chance = later().label("purchase"), [each.chances(later().table.values) for each in (model, new)]
    place = int(np.abs(model.horizons - 7).argmin())
    rows = np.flatnonzero(label.end - later().keys.cutoff >= 7 * DAY)
    came = (label.observed & (label.value < 7))[rows].mean()
    off = [abs(float(each[rows, place].mean()) - came) for each in chance]
    assert off[1] <= off[0] + 1e-9  # the level moves towards what came
