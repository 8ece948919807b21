"""Selection: five rules find the columns that tell something, drop the rest, and say so."""

import numpy as np
import pytest

from tests.unit.models.purchase_examples import examples, stored
from whenbuy.core.errors import ColumnError, NotEnoughDataError, SettingsError
from whenbuy.core.examples import Table
from whenbuy.features.select import TYPES, Select

RULES = ("variance", "mutual_information", "l1", "permutation", "recursive")


def drawn(n=1500, seed=0, *, amounts=False):
    """Two columns that tell, one of them with gaps that tell, three that do not, and a constant one."""
    rng = np.random.default_rng(seed)
    strong, weak = rng.normal(size=n), rng.normal(size=n)
    score = 1.5 * strong + weak
    value = score + rng.normal(size=n) if amounts else rng.random(n) < 1 / (1 + np.exp(-score))
    gappy = np.where(rng.random(n) < 0.3, np.nan, weak)
    noise = {f"noise_{i}": rng.normal(size=n) for i in range(3)}
    columns = {"strong": strong, "weak": gappy, **noise, "constant": np.ones(n)}
    return examples(columns, labels={"q": (value, np.ones(n, bool), 100)})


@pytest.mark.parametrize("amounts", [False, True])
@pytest.mark.parametrize("rule", RULES[1:])
def test_what_tells_stays_and_what_is_constant_goes(rule, amounts):
    fitted, made = Select("q", rule, keep=2).learn(drawn(amounts=amounts))
    assert fitted.kept == ("strong", "weak")
    assert made.table.names == ("strong", "weak")
    assert made.silence(np.zeros(2), np.array([4, 5])).names == ("strong", "weak")
    free, _ = Select("q", rule).learn(drawn(amounts=amounts))
    assert not free.stays[-1]
    assert {"strong", "weak"} <= {*free.kept}


def test_variance_drops_what_never_changes():
    n = 100
    columns = {"a": np.arange(n), "same": np.ones(n), "gaps": np.full(n, np.nan), "seen": np.where(np.arange(n) < 50, np.nan, 1.0)}
    fitted, _ = Select().learn(examples(columns))
    assert fitted.kept == ("a", "seen")
    assert fitted.score.tolist() == [0.99, 0, 0, 0.5]
    assert Select(least=0.6).learn(examples(columns))[0].kept == ("a",)


def test_mutual_information_of_noise_is_nothing_and_of_a_copy_all_there_is():
    n = 20_000
    rng = np.random.default_rng(3)
    value = rng.random(n) < 0.3
    made = examples({"copy": value, "noise": rng.normal(size=n)}, labels={"q": (value, np.ones(n, bool), 100)})
    copy, noise = Select("q", "mutual_information").learn(made)[0].score
    assert copy == pytest.approx(-(0.3 * np.log(0.3) + 0.7 * np.log(0.7)), abs=0.01)
    assert abs(noise) < 0.001


def test_the_best_always_stays_and_so_does_what_must():
    train = drawn()
    fitted, _ = Select("q", "mutual_information", least=99).learn(train)
    assert fitted.kept == ("strong",)
    assert Select("q", "l1", least=99, always=("constant",)).learn(train)[0].kept == ("strong", "constant")
    assert Select("q", "recursive").learn(train)[0].stays.sum() == 3


def test_the_report_names_what_went_and_why():
    fitted, _ = Select("q", "mutual_information", keep=2).learn(drawn())
    frame = fitted.frame()
    assert frame.columns == ["column", "stays", "rule", "score"]
    assert frame["column"][0] == "strong"
    assert frame["score"].is_sorted(descending=True)
    assert fitted.says()[0].startswith("mutual information: 4 of 6 features go: noise_0 (")
    assert Select().learn(drawn().take(slice(0, 1)))[0].kept == ("strong",)
    everything, _ = Select().learn(examples({"a": [0.0, 1.0]}))
    assert everything.says() == ("variance: all 1 features stay.",)
    assert "strong" in fitted._repr_html_()


@pytest.mark.parametrize("rule", RULES)
def test_the_same_seed_gives_the_same_choice_and_the_codec_keeps_it(rule):
    train = drawn(400)
    step = Select("q", rule, most=300, seed=5)
    fitted, _ = step.learn(train)
    assert step.learn(train)[0].score.tobytes() == fitted.score.tobytes()
    again = stored(fitted, TYPES)
    assert again.prepare(train).table.values.tobytes() == fitted.prepare(train).table.values.tobytes()
    assert stored(step, TYPES) == step


@pytest.mark.parametrize("rule", RULES)
def test_odd_tables_are_no_trouble(rule):
    rng = np.random.default_rng(0)
    value = rng.random(200) < 0.5
    seen = (value, np.ones(200, bool), 100)
    empty = examples({"a": np.full(200, np.nan), "b": np.full(200, np.inf), "c": np.zeros(200)}, labels={"q": seen})
    assert len(Select("q", rule).learn(empty)[0].kept) == 1
    absurd = examples({"a": np.full(200, 3e38), "b": np.where(value, 3e38, -3e38)}, labels={"q": seen})
    assert "b" in Select("q", rule, keep=1).learn(absurd)[0].kept


def test_errors_say_what_to_do():
    with pytest.raises(SettingsError, match="no rule"):
        Select("q", "luck")
    with pytest.raises(SettingsError, match="without a question"):
        Select(rule="l1")
    with pytest.raises(SettingsError, match="keep=0"):
        Select(keep=0)
    train = drawn(50)
    with pytest.raises(NotEnoughDataError, match="all are the same"):
        Select("q", "l1").learn(examples({"a": np.arange(5)}, labels={"q": (np.ones(5), np.ones(5, bool), 100)}))
    with pytest.raises(NotEnoughDataError):
        Select().learn(train.take(slice(0, 0)))
    with pytest.raises(NotEnoughDataError, match="users"):
        Select("q", "permutation").learn(
            examples({"a": np.arange(20)}, code=np.zeros(20), labels={"q": (np.arange(20) % 2, [True] * 20, 9)})
        )
    with pytest.raises(ColumnError):
        Select(always=("nothing",)).learn(train)
    fitted, _ = Select().learn(train)
    with pytest.raises(ColumnError, match="selection was made from"):
        fitted.apply(Table(("strong",), np.zeros((1, 1), np.float32)))
