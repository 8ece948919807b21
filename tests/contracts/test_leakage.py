"""Nothing of the future reaches the past: from the raw file to the learned model, and every planted leak is caught."""

import subprocess
import sys
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contracts.raw import DAY, HOUR, KINDS, NAMED, NOW, START, known, rows, save, written
from tests.contracts.shops import GRID, asked, boundary, kept, questions, shop, spec
from whenbuy.clean import DEFAULT, Bots, clean
from whenbuy.core.errors import ColumnError, EmptyError, LeakError
from whenbuy.core.history import History, Past
from whenbuy.core.keys import Keys
from whenbuy.core.profile import Profile
from whenbuy.features import Features, Recency, default_features
from whenbuy.ingest.read import read
from whenbuy.ingest.simulate import simulate
from whenbuy.models.how_much.amount_floors import OwnMean
from whenbuy.models.when.floors import KaplanMeier, PoissonRate
from whenbuy.models.when.hazard import PooledLogistic
from whenbuy.pipeline.keeping import bundle
from whenbuy.pipeline.learning import learn
from whenbuy.pipeline.learning.build import examples, panel
from whenbuy.pipeline.learning.plan import plan
from whenbuy.pipeline.verbs import init
from whenbuy.questions.asked import people

ROOT = Path(__file__).parents[2]
SHARP = (*DEFAULT[:-1], Bots(per_hour=2, hours=0.5, pause_minutes=61))


# ---------------------------------------------------------------------- L1: the cut file equals the file as of the cut


def history_of(made, path, rules):
    """The cleaned history of some rows; None where nothing is left of them."""
    try:
        found = read(save(made, path), columns=NAMED, kinds=KINDS, now=NOW).history
        return clean(found, rules, now=NOW).history
    except EmptyError:
        return None


def measured(history, names, cutoff, features):
    """What is known of some users: how many events, whether they are asked, and every bit of their features."""
    past = history.before(history.keys(names, cutoff))
    return past.count().tolist(), people(past).tolist(), features.table(past).values.tobytes()


def check_the_cut_file(folder, made, hours, sharp):
    rules = SHARP if sharp else DEFAULT
    whole = history_of(made, folder / "whole.csv", rules)
    if whole is None:
        return
    names, features = ["ann", "bob", "cec", "test-1", "nobody"], default_features(whole.log)
    for cutoff in (START + hour * HOUR for hour in hours):
        cut = history_of([row for row in made if known(row) < cutoff], folder / "cut.csv", rules)
        if cut is None:
            assert whole.before(whole.keys(names, cutoff)).count().tolist() == [0] * len(names)
        else:
            assert measured(whole, names, cutoff, features) == measured(cut, names, cutoff, features)


draws = given(rows(), st.lists(st.integers(-1, 62 * 24), min_size=1, max_size=2), st.booleans())


@settings(max_examples=30)
@draws
def test_features_of_the_cut_file_are_those_as_of_the_cut(tmp_path_factory, made, hours, sharp):
    check_the_cut_file(tmp_path_factory.getbasetemp(), made, hours, sharp)


@pytest.mark.nightly
@draws
def test_features_of_the_cut_file_are_those_as_of_the_cut_by_night(tmp_path_factory, made, hours, sharp):
    check_the_cut_file(tmp_path_factory.getbasetemp(), made, hours, sharp)


@cache
def till(folder: Path) -> pl.DataFrame:
    """The rows of a dirty simulated shop as a CSV file knows them: texts, in the order in which they became known."""
    frame = simulate(users=150, days=150, seed=11, dirty=True).history.log.frame().drop("orders", "text")
    frame.sort("known_at", maintain_order=True).write_csv(folder / "till.csv")
    return pl.read_csv(folder / "till.csv", infer_schema=False)


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return till(tmp_path_factory.mktemp("till"))


def shop_of(frame, path, **options) -> History:
    frame.write_csv(path)
    return init.read(path, now=NOW_OF_THE_SHOP, **options)


NOW_OF_THE_SHOP = "2030-01-01"


def test_a_simulated_shop_cut_at_the_file_equals_itself_as_of_the_cut(raw, tmp_path):
    whole = shop_of(raw, tmp_path / "whole.csv")
    features = default_features(whole.log)
    assert whole.log.late
    assert whole.log.count("bot")
    for cutoff in ("2024-03-01", "2024-04-10T15:45", "2024-05-20"):
        instant = whole.clock.instant(cutoff)
        cut = shop_of(raw.filter(pl.col("known_at").str.to_datetime(time_zone="UTC").dt.epoch("us") < instant), tmp_path / "cut.csv")
        names = whole.keys().ids().to_list()
        assert measured(whole, names, instant, features) == measured(cut, names, instant, features)


# ------------------------------------------------------------- L2: absurd future events change nothing that was learned


def absurd(raw, instant, seed=5):
    """Rows that became known at or after an instant, as wild as a file can hold: of everybody, of strangers, of new kinds, late ones."""
    rng, n = np.random.default_rng(seed), 400
    pick = raw[rng.integers(0, len(raw), n).tolist()]
    at = instant + rng.integers(0, 30 * DAY, n)
    happened = np.where(rng.random(n) < 0.3, at - rng.integers(0, 60 * DAY, n), at)
    kind = rng.choice(["purchase", "refund", "view", "alien", "bot", "another kind"], n)
    user = np.where(rng.random(n) < 0.2, "stranger", pick["user_id"].to_numpy())
    return pick.with_columns(
        pl.Series("user_id", user.astype(str)), pl.Series("kind", kind.astype(str)),
        time=pl.Series([written(value) for value in happened]), known_at=pl.Series([written(value) for value in at]),
        amount=pl.lit("1e13"), quantity=pl.lit("1000000"), item_id=pl.lit("never seen"),
    )  # fmt: skip


def quick(answer, grid):
    curves = PooledLogistic(grid.days, grid.step_days, max_rows=5_000), KaplanMeier(grid.days)
    return {"purchase": curves, "orders": (PoissonRate(grid.days),), "amount": (OwnMean(),)}.get(answer, ())


def learned(history, instant, folder):
    """Every byte of the training examples and of the model fitted as of an instant."""
    made = plan(history, instant, (7.0, 28.0), None, (), 0)
    answers = made.groups[0]
    parts = [*made.parts(answers), made.everything(answers)]
    found = [(*part.table.names, part.keys.ids().to_list(), kept(part)) for part in parts]
    bundle.save(folder, learn.fit(history, instant, horizons=(7, 28), candidates=quick), {})
    return found, {file.name: file.read_bytes() for file in folder.iterdir()}


def test_absurd_future_events_change_no_byte_of_what_is_learned(raw, tmp_path):
    instant = shop_of(raw, tmp_path / "whole.csv").clock.instant("2024-05-01")
    examples, files = learned(shop_of(raw, tmp_path / "whole.csv"), instant, tmp_path / "model")
    again, rewritten = learned(shop_of(pl.concat([raw, absurd(raw, instant)]), tmp_path / "absurd.csv"), instant, tmp_path / "again")
    for before, after in zip(examples, again, strict=True):
        assert before == after
    assert files == rewritten


def test_the_future_that_really_came_changes_no_byte_either(raw, tmp_path):
    instant = shop_of(raw, tmp_path / "whole.csv").clock.instant("2024-05-01")
    known_by_then = raw.filter(pl.col("known_at").str.to_datetime(time_zone="UTC").dt.epoch("us") < instant)
    whole = learned(shop_of(raw, tmp_path / "whole.csv"), instant, tmp_path / "model")
    cut = shop_of(known_by_then, tmp_path / "cut.csv")
    assert whole == learned(replace(cut, log=replace(cut.log, end=instant)), instant, tmp_path / "again")


def test_absurd_future_events_change_labels_only_where_their_window_reaches(raw, tmp_path):
    history = shop_of(raw, tmp_path / "whole.csv")
    instant = history.clock.instant("2024-05-01")
    other = shop_of(pl.concat([raw, absurd(raw, instant)]), tmp_path / "absurd.csv")
    cutoffs = instant - np.array([60, 45, 30]) * DAY
    features = default_features(history.cut(instant).log)
    one, two = (panel(made.cut(instant), features, cutoffs, questions()) for made in (history, other))
    assert kept(one) == kept(two)
    assert {name: label.observed.sum() for name, label in one.labels.items()} == {
        n: label.observed.sum() for n, label in two.labels.items()
    }


# -------------------------------------------------------------------------------------- L3: planted leaks are caught


@dataclass(frozen=True)
class SinceTheEnd:
    """A leak: recency measured at the log's end, not at the cutoff."""

    name: str = "recency_days"

    def measure(self, to):
        end = to.log.end
        to.by_day(self.name, lambda days: (end - days * DAY) / DAY)


@dataclass(frozen=True)
class Popularity:
    """A leak: how often the shop sold in all the log, read past the cutoff."""

    name: str = "popularity"

    def measure(self, to):
        sold = float(to.log.count("purchase"))
        to.by_day(self.name, lambda days: np.full(len(days), sold))


def survives_a_rewritten_future(features) -> bool:
    """Whether features stay, bit for bit, when what comes after the cutoff is another: the property that the tests above demand."""
    history, instant = shop(), boundary()
    keys = history.keys(as_of=instant)
    return features.table(history.before(keys)).values.tobytes() == features.table(history.cut(instant).before(keys)).values.tobytes()


def typed(tmp_path, line) -> str:
    """What mypy says to a question whose population is written like this."""
    file = tmp_path / "planted.py"
    file.write_text(f"""
from whenbuy.core.arrays import Bools
from whenbuy.core.examples import Labels
from whenbuy.core.history import Future, History, Past
from whenbuy.core.keys import Entity
from whenbuy.core.question import Question


class Planted:
    name: str = "planted"
    entity: Entity = "user"
    horizon_days: float = 28.0

    {line}

    def label(self, past: Past, future: Future) -> Labels:
        return Labels(past.count().astype(float), past.count() > 0, future.end)


asked: Question = Planted()
""")
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), "--no-error-summary", str(file)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600).stdout


def a_past_built_by_hand(tmp_path):
    history = shop()
    past = history.before(history.keys(as_of=boundary()))
    stop = past.stop.copy()
    later = np.flatnonzero(history.log.offsets[past.keys.code + 1] > stop)[0]
    stop[later] += 1  # one event more than was known
    with pytest.raises(LeakError, match="at or after its cutoff"):
        Past(past.keys, history, past.start, stop, past.at)


def a_feature_that_reads_the_whole_log(tmp_path):
    assert not survives_a_rewritten_future(Features((Recency("purchase"), Popularity())))


def a_recency_measured_at_the_end_of_the_log(tmp_path):
    assert survives_a_rewritten_future(Features((Recency("purchase", name="recency_days"),)))
    assert not survives_a_rewritten_future(Features((SinceTheEnd(),)))


def a_population_that_looks_at_the_future(tmp_path):
    honest = "def population(self, past: Past) -> Bools:\n        return past.count() > 0"
    assert typed(tmp_path, honest) == ""
    told = typed(tmp_path, "def population(self, past: Past, future: Future) -> Bools:\n        return future.orders() > 0")
    assert 'expression has type "Planted", variable has type "Question"' in told
    told = typed(tmp_path, "def population(self, past: Future) -> Bools:\n        return past.orders() > 0")
    assert 'expression has type "Planted", variable has type "Question"' in told
    told = typed(tmp_path, "def population(self, past: Past) -> Bools:\n        return past.within(28).orders() > 0")
    assert '"Past" has no attribute "within"' in told


def a_forecast_before_what_is_known(tmp_path):
    forecaster = learn.fit(shop(), boundary(), horizons=(7, 28), features=spec(), candidates=quick)
    assert forecaster.known_until == boundary()
    with pytest.raises(LeakError, match="as of an earlier moment"):
        forecaster.predict(shop(), boundary() - 1)
    assert forecaster.predict(shop(), boundary() - 1, in_sample=True).purchase.in_sample


def labels_from_beyond_the_boundary(tmp_path):
    cutoffs = boundary() - np.array([28, 14]) * DAY
    for history, leaks in ((shop().cut(boundary()), False), (shop(), True)):
        learns = panel(history, spec(), cutoffs, questions())
        for learner in (KaplanMeier(GRID.days), OwnMean(), PooledLogistic(GRID.days, rich=False, max_rows=4_000)):
            model = learner.fit(learns)
            if not leaks:
                model.predict(asked())
                continue
            with pytest.raises(LeakError, match="seen labels"):
                model.predict(asked())


def a_profile_of_today(tmp_path):
    with pytest.raises(ColumnError, match="would leak into every earlier cutoff"):
        Profile("user", pl.DataFrame({"id": ["u1"], "lifetime_orders": [99]}))


PLANTED = (
    a_past_built_by_hand, a_feature_that_reads_the_whole_log, a_recency_measured_at_the_end_of_the_log,
    a_population_that_looks_at_the_future, a_forecast_before_what_is_known, labels_from_beyond_the_boundary, a_profile_of_today,
)  # fmt: skip


@pytest.mark.parametrize("leak", PLANTED, ids=lambda leak: leak.__name__)
def test_a_planted_leak_is_caught(leak, tmp_path):
    leak(tmp_path)


def test_every_default_feature_survives_a_rewritten_future():
    assert survives_a_rewritten_future(spec())


def test_examples_of_one_key_hold_nothing_of_others():
    keys = shop().keys(as_of=boundary())
    alone = examples(shop(), spec(), Keys("user", keys.code[5:6], keys.cutoff[5:6], keys.names))
    assert alone.table.values.tobytes() == examples(shop(), spec(), keys).table.values[5:6].tobytes()
