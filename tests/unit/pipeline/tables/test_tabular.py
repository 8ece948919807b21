"""A plain table as a question of yes and no: what is learned, chosen, scored, warned of and refused."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from whenbuy.core.errors import ColumnError, EmptyError, NotEnoughDataError, NotFoundError, UsageError
from whenbuy.evaluate.probability import Ranked
from whenbuy.models.trees import Boosting
from whenbuy.models.whether.chance import BaseChance, LogisticChance, TreesChance
from whenbuy.pipeline.tables.contest import Contest, Folds, best_threshold
from whenbuy.pipeline.tables.sheet import Sheet, Target
from whenbuy.pipeline.tables.tabular import TableModel, fit_table, members

QUICK = {"folds": 3, "rounds": 20}


def few(question, seed):
    """Candidates that learn quickly."""
    return (BaseChance(question), LogisticChance(question, crossed=0), TreesChance(question, Boosting(trees=20, feature_fraction=1.0)))


def sessions(n=600, seed=0):
    """Visits whose purchase depends on pages, value, who comes, and where from."""
    rng = np.random.default_rng(seed)
    pages, value, kind = rng.poisson(8, n), rng.gamma(0.5, 10, n), rng.choice(["new", "old", "other"], n, p=[0.3, 0.6, 0.1])
    region = rng.integers(1, 40, n)
    score = -4 + 0.2 * pages + 0.15 * value + (kind == "new") * 1.0 + (region % 2) * 0.5
    bought = rng.random(n) < 1 / (1 + np.exp(-score))
    frame = {"pages": pages, "value": np.where(rng.random(n) < 0.1, np.nan, value), "kind": kind, "region": region, "bought": bought}
    return pl.DataFrame(frame)


@pytest.fixture(scope="module")
def model():
    return fit_table(sessions(1500), "bought", candidates=few, encodings={"region": "target"}, **QUICK)


def auc(came, chance):
    return Ranked.of(np.asarray(came, float), chance).auc(np.ones(len(came)))


# ------------------------------------------------------------------------------------------------------- what comes


def test_it_beats_the_floor_and_says_what_was_tried(model):
    assert [one.model for one in model.tried] == ["base-chance", "additive-chance", "boosting-chance", "blend", "blend"]
    assert sum(one.chosen for one in model.tried) == 1
    floor, best = model.tried[0], next(one for one in model.tried if one.chosen)
    assert best.logloss < floor.logloss
    assert best.auc > 0.7
    assert model.frame().columns == ["model", "logloss", "auc", "pr_auc", "chosen", "note"]
    names = {"auc", "pr_auc", "logloss", "brier", "ece", "base_rate", "f1", "precision", "recall", "accuracy"}
    assert {row.name for row in model.scores.rows} == names
    low, high = model.scores.values()["auc"][1:]
    assert low < model.scores["auc"] < high
    assert "chosen on other folds" in next(row.definition for row in model.scores.rows if row.name == "f1")
    assert model.notes == ()


def test_new_rows_get_chances_in_their_order(model):
    asked = sessions(500, seed=5)
    answer = model.predict(asked.drop("bought"))
    assert auc(asked["bought"].to_numpy(), answer.chance) > 0.7
    order = np.random.default_rng(0).permutation(500)
    assert model.predict(asked[order]).chance.tolist() == answer.chance[order].tolist()
    assert answer.frame().columns == ["row", "probability", "told"]
    assert answer.told.tolist() == (answer.chance >= model.threshold).tolist()
    assert "probability" in answer._repr_html_()


def test_a_name_never_seen_is_told_of(model):
    strange = sessions(4, seed=2).with_columns(kind=pl.Series(["new", "martian", None, "old"]))
    assert "kind: 1 of 4 rows have a rare or unknown name." in model.predict(strange).notes


def test_it_is_stored_and_read_again_bit_for_bit(model, tmp_path):
    model.save(tmp_path / "model")
    again = TableModel.load(tmp_path / "model")
    asked = sessions(50, seed=7)
    assert again.predict(asked).chance.tobytes() == model.predict(asked).chance.tobytes()
    assert (again.threshold, again.tried, again.notes, again.sheet, again.target) == (
        model.threshold, model.tried, model.notes, model.sheet, model.target,
    )  # fmt: skip
    assert repr(again.scores) == repr(model.scores)  # NaN is not equal to itself


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    for name in ("one", "other"):
        fit_table(sessions(), "bought", candidates=few, **QUICK).save(tmp_path / name)
    for file in ("manifest.json", "model.json", "arrays.safetensors"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes()


def test_the_page_shows_scores_candidates_encodings_and_what_was_dropped():
    frame = sessions().with_columns(same=pl.lit(1), **{"<b>x": pl.col("pages")})
    model = fit_table(frame, "bought", candidates=few, selection=("variance", "mutual_information"), **QUICK)
    page = model._repr_html_()
    assert "bought = true" in page
    assert "onehot" in page
    assert "<b>x" not in page
    assert [one.rule for one in model.selections] == ["variance", "mutual_information"]
    assert "same" not in model.selections[0].kept
    assert "1 of 8 features go: same" in model.selections[0].says()[0]


def test_the_default_candidates_are_four_and_their_blends():
    assert [one.name for one in members("x")] == ["base-chance", "logistic-chance", "boosting-chance", "forest-chance"]
    model = fit_table(sessions(300), "bought", folds=2, rounds=0)
    assert len(model.tried) == 6
    assert len(model.predict(sessions(3)).chance) == 3


# ------------------------------------------------------------------------------------------------------ what goes in


def test_pandas_csv_and_parquet_say_the_same(tmp_path):
    frame = sessions(300)
    frame.write_csv(tmp_path / "t.csv")
    frame.write_parquet(tmp_path / "t.parquet")
    told = [
        fit_table(source, "bought", candidates=few, **QUICK).predict(source).chance
        for source in (frame, frame.to_pandas(), tmp_path / "t.csv", str(tmp_path / "t.parquet"), frame.to_arrow())
    ]
    for other in told[1:]:
        assert other == pytest.approx(told[0], abs=1e-6)


def test_what_means_yes_is_found_out():
    for values, yes in ((["yes", "no"], "yes"), ([1, 0], "1"), ([1.0, 0.0], "1"), (["Ja", "Nein"], "Ja"), ([True, False], "true"),
                        (["bought", "left"], "left"), (["no", "maybe"], "maybe"), ([2, 1], "1")):  # fmt: skip
        assert Target.find(pl.DataFrame({"t": values}), "t").yes == yes
    assert Target.find(pl.DataFrame({"t": ["bought", "left"]}), "t", "bought").yes == "bought"
    assert Target.find(pl.DataFrame({"t": [2, 1]}), "t", 2).yes == "2"
    with pytest.raises(UsageError, match="no value"):
        Target.find(pl.DataFrame({"t": [2, 1]}), "t", 7)


def test_columns_are_read_as_what_they_are():
    n = 60
    frame = pl.DataFrame(
        {
            "id": np.arange(n), "email": [f"u{i}@x" for i in range(n)], "size": ["S", "M", "L"] * 20, "price": ["1,234.5", "2", ""] * 20,
            "day": [date(2020, 1, 1) + timedelta(days=i) for i in range(n)], "nothing": [None] * n, "list": [[1]] * n,
            "x": np.arange(n) % 7,
        },
        strict=False,
    )  # fmt: skip
    sheet, notes = Sheet.learn(frame, {"x"})
    assert (sheet.numbers, sheet.names, sheet.instants) == (("price",), ("size",), ("day",))
    assert [note.split()[0] for note in notes] == ["id", "email", "nothing", "list"]
    assert "like an id" in notes[1]
    table, names = sheet.read(frame)
    assert table.names == ("price", "day_month", "day_weekday", "day_hour")
    assert table.column("price")[:2].tolist() == [1234.5, 2]
    assert np.isnan(table.column("price")[2])
    assert names.column("size")[1].ids.to_list() == ["S", "M", "L"]
    assert sheet.cyclic.columns == {"day_month": 12, "day_weekday": 7, "day_hour": 24}


def test_dates_are_features_that_go_round():
    n = 400
    rng = np.random.default_rng(0)
    day = [date(2020, 1, 1) + timedelta(days=int(i)) for i in rng.integers(0, 700, n)]
    frame = pl.DataFrame({"day": day, "noise": rng.normal(size=n), "sunday": [d.weekday() == 6 or rng.random() < 0.02 for d in day]})
    model = fit_table(frame, "sunday", candidates=few, folds=4, rounds=0)
    assert model.scores["auc"] > 0.9
    assert model.model.steps[-1].kept[:2] == ("noise", "day_month_sin")


def test_rows_without_a_target_are_left_out_and_told_of():
    frame = sessions(300).with_columns(bought=pl.when(pl.int_range(300) > 9).then("bought"))
    model = fit_table(frame, "bought", candidates=few, **QUICK)
    assert model.rows == 290
    assert model.notes == ("10 of 300 rows have no bought and are left out.",)


# ------------------------------------------------------------------------------------------------------ what is wrong


def test_a_column_that_gives_the_target_away_is_told_of_first():
    frame = sessions().with_columns(receipt=pl.col("bought").cast(pl.Int64) * 5, other=1.0 - pl.col("bought").cast(pl.Float64))
    notes = fit_table(frame, "bought", candidates=few, **QUICK).notes
    assert notes[0].startswith("LEAK? receipt alone ranks the target with an AUC of 1.000")
    assert "other" in notes[1]
    assert fit_table(frame, "bought", drop=("receipt", "other"), candidates=few, **QUICK).notes == ()


def test_ids_are_told_of_and_not_learned():
    frame = sessions(300).with_columns(visit=pl.int_range(300), cookie=pl.format("c{}", pl.int_range(300)))
    model = fit_table(frame, "bought", candidates=few, **QUICK)
    assert [note.split()[0] for note in model.notes] == ["visit", "cookie"]
    assert {*model.sheet.numbers, *model.sheet.names} == {"pages", "value", "kind", "region"}


def three_parts(error):
    return all((error.value.got, error.value.need, error.value.do))


@pytest.mark.parametrize(
    ("change", "target", "error", "said"),
    [
        (lambda f: f, "price", ColumnError, "no column 'price'"),
        (lambda f: f.with_columns(bought=True), "bought", NotEnoughDataError, "always true"),
        (lambda f: f.with_columns(bought=None), "bought", NotEnoughDataError, "empty"),
        (lambda f: f.with_columns(bought=pl.int_range(600) < 5), "bought", NotEnoughDataError, "5 of 600"),
        (lambda f: f, "value", ColumnError, "different values"),
        (lambda f: f.select("bought", id=pl.int_range(600)), "bought", ColumnError, "none is a feature"),
        (lambda f: f.clear(), "bought", EmptyError, "no row"),
    ],
)
def test_what_cannot_be_learned_is_refused(change, target, error, said):
    with pytest.raises(error, match=said) as told:
        fit_table(change(sessions()), target, candidates=few, **QUICK)
    assert three_parts(told)


def test_wrong_calls_are_refused(tmp_path, model):
    with pytest.raises(ColumnError, match="'colour'"):
        fit_table(sessions(), "bought", drop=("colour",))
    with pytest.raises(ColumnError, match="'colour'"):
        fit_table(sessions(), "bought", encodings={"colour": "onehot"})
    with pytest.raises(UsageError, match="folds=1"):
        fit_table(sessions(), "bought", folds=1)
    with pytest.raises(NotFoundError):
        fit_table(tmp_path / "nothing.csv", "bought")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(EmptyError):
        fit_table(tmp_path / "empty.csv", "bought")
    with pytest.raises(UsageError):
        fit_table(3, "bought")
    with pytest.raises(ColumnError, match="'pages'"):
        model.predict(sessions().drop("pages"))
    with pytest.raises(ColumnError, match="no number"):
        model.predict(sessions().with_columns(pages=pl.lit("many")))
    with pytest.raises(NotFoundError):
        TableModel.load(tmp_path / "nothing")


def test_a_candidate_that_cannot_learn_does_not_stop_the_others():
    class Never:
        name = "never"

        def fit(self, train, valid=None):
            raise NotEnoughDataError("It never learns.", "More.", "Give more.")

    model = fit_table(sessions(), "bought", candidates=lambda q, seed: (*few(q, seed), Never()), **QUICK)
    assert model.tried[-1].note == "It never learns. More. Give more."
    assert np.isnan(model.tried[-1].auc)
    with pytest.raises(NotEnoughDataError, match="No candidate"):
        fit_table(sessions(), "bought", candidates=lambda q, seed: (Never(),), **QUICK)


def test_noise_is_left_to_the_floor():
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({f"x{i}": rng.normal(size=400) for i in range(8)}).with_columns(t=pl.Series(rng.random(400) < 0.3))
    model = fit_table(frame, "t", candidates=few, folds=5, rounds=0)
    assert [one.model for one in model.tried if one.chosen] == ["base-chance"]
    assert model.predict(frame).chance == pytest.approx(np.full(400, frame["t"].mean()), abs=0.01)


# ------------------------------------------------------------------------------------------------------------- folds


def test_groups_are_never_torn_and_kinds_are_spread():
    rng = np.random.default_rng(0)
    owner = rng.integers(0, 60, 500)
    came = rng.random(500) < 0.05 + 0.3 * (owner % 3 == 0)
    folds = Folds.random(came, owner, 5, 0)
    assert all(len(np.unique(folds.fold[owner == one])) == 1 for one in range(60))
    some = np.array([came[owner == one].any() for one in range(60)])
    for fold in range(5):
        mine = np.unique(owner[folds.fold == fold])
        assert abs(some[mine].sum() - some.sum() / 5) <= 1
    single = Folds.random(came, np.arange(500), 10, 1)
    assert np.ptp(np.bincount(single.fold)) <= 1
    assert np.ptp(np.bincount(single.fold, came)) <= 1
    with pytest.raises(NotEnoughDataError, match="one group"):
        Folds.random(came, np.zeros(500), 5, 0)


def test_folds_are_fewer_where_a_kind_is_rare():
    came = np.arange(100) < 3
    assert Folds.random(came, np.arange(100), 10, 0).fold.max() == 2


def test_folds_in_time_look_back_only():
    rank = np.repeat(np.arange(10), 7)
    folds = Folds.onward(rank, 4)
    assert folds.fold.min() == -1
    for learns, asked in folds.split():
        assert rank[learns].max() < rank[asked].min()
    assert sorted(np.unique(rank[folds.rows])) == [5, 6, 7, 8, 9]
    with pytest.raises(NotEnoughDataError, match="same time"):
        Folds.onward(np.zeros(5, int), 3)


def test_group_and_time_shape_the_folds():
    frame = sessions(400).with_columns(who=pl.int_range(400) // 4, at=pl.int_range(400) // 40)
    by_group = fit_table(frame.drop("at"), "bought", group="who", candidates=few, **QUICK)
    assert by_group.scores.users == 100
    assert "who" not in by_group.sheet.numbers
    by_time = fit_table(frame.drop("who"), "bought", time="at", candidates=few, **QUICK)
    assert by_time.scores.keys == 200
    assert "at" not in by_time.sheet.numbers


def test_no_score_is_made_of_rows_that_the_model_has_seen():
    """A column of random names fits its own rows perfectly, yet the scores say that it is worthless."""
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({"name": rng.integers(0, 300, 900).astype(str), "t": rng.random(900) < 0.5})
    model = fit_table(frame, "t", candidates=few, encodings={"name": "target"}, folds=5, rounds=0)
    assert all(abs(one.auc - 0.5) < 0.07 for one in model.tried)


def test_choices_about_a_fold_are_made_on_others():
    """Turning the labels of one fold around changes neither a blend's weights for it nor the threshold by which its rows are told."""
    frame = sessions(300)
    steps, came = (), frame["bought"].to_numpy()
    from whenbuy.pipeline.tables.tabular import _examples

    sheet, _ = Sheet.learn(frame, {"bought"})
    folds = Folds.random(came, np.arange(300), 3, 0)
    train = _examples(*sheet.read(frame), came=came, question="q", owner=np.arange(300))
    contest = Contest.hold(few("q", 0), steps, train, came, folds)
    turned = came ^ (folds.fold == 1)
    other = Contest(folds, turned, contest.entrants[:3], ()).with_blends(contest.entrants[1:3])
    mine = folds.fold == 1
    for one, two in zip(contest.entrants, other.entrants, strict=True):
        assert one.chance[mine].tolist() == two.chance[mine].tolist()
    for one in contest.entrants[:3]:
        assert contest.told(one)[mine].tolist() == other.told(one)[mine].tolist()


def test_the_threshold_is_the_best_there_is():
    rng = np.random.default_rng(0)
    chance = rng.random(300).round(2)
    came = rng.random(300) < chance**2

    def f1(threshold):
        told = chance >= threshold
        return 2 * (told & came).sum() / (told.sum() + came.sum())

    assert f1(best_threshold(came, chance)) == max(f1(one) for one in np.unique(chance))
    assert best_threshold(np.zeros(5, bool), np.ones(5)) == 0.5
