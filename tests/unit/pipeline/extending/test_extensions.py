"""A shop's own features, answers and learners: what is run, and what is turned away with which words."""

import re
from pathlib import Path

import pytest

from tests.unit.pipeline.quick import shop as small
from whenbuy.core.errors import AccessError, InputError, LeakError, NotFoundError, SettingsError
from whenbuy.ingest.simulate import simulate
from whenbuy.pipeline.extending.contracts import check
from whenbuy.pipeline.extending.extensions import Extensions, extensions, stored_types
from whenbuy.pipeline.learning.catalogue import types

ROOT = Path(__file__).resolve().parents[4]
HEAD = """
from dataclasses import dataclass, field
import numpy as np
from whenbuy import features as f
from whenbuy.core.examples import Labels
from whenbuy.core.forecast import Probability
from whenbuy.core.learner import refuse_leak
from whenbuy.models.whether.chance import BaseChance
from whenbuy.pipeline.learning.answers import Answer
from whenbuy.questions import Happens
from whenbuy.questions.asked import people

def answer(question, learner=BaseChance("own")):
    return Answer("own", "?", "?", "views", "chance", "checked", question=lambda days, classes: question,
                  candidates=lambda grid: (learner,), events=("view",), usual=False)
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "whenbuy.toml").write_text("[shop]\nextensions = true\n", encoding="utf-8")
    return tmp_path


def written(folder, code, head=HEAD) -> Extensions:
    (folder / "extensions.py").write_text(head + code, encoding="utf-8")
    (folder / "extensions.py").chmod(0o600)
    return extensions(folder)


def checked(folder, code):
    check(written(folder, code), small())


def example() -> str:
    """The file that docs/extensions.md shows."""
    page = (ROOT / "docs" / "extensions.md").read_text(encoding="utf-8")
    return next(block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "FEATURES" in block)


def test_the_documented_file_keeps_every_promise(folder):
    made = written(folder, example(), head="")
    check(made, simulate(150, 200, 8).history)
    assert [feature.name for feature in made.features] == ["fresh_orders_7d", "fresh_decay_3d", "fresh_at_home"]
    assert "returned" in made.table
    assert stored_types(folder).keys() - types().keys() == {"FreshRunsOut"}


def test_nothing_is_run_unless_the_settings_say_so(folder):
    (folder / "whenbuy.toml").write_text('[shop]\nname = "x"\n', encoding="utf-8")
    assert written(folder, "raise SystemExit") == Extensions()


def test_what_the_settings_say_must_be_there_and_make_sense(folder):
    with pytest.raises(NotFoundError, match="extensions = true"):
        extensions(folder)
    (folder / "whenbuy.toml").write_text('[shop]\nextensions = "yes"\n', encoding="utf-8")
    with pytest.raises(SettingsError, match="true or false"):
        extensions(folder)


def test_a_file_that_others_may_write_is_not_run(folder):
    (folder / "extensions.py").write_text("", encoding="utf-8")
    (folder / "extensions.py").chmod(0o666)
    with pytest.raises(AccessError, match="Others may write"):
        extensions(folder)


def test_the_same_content_gives_the_same_classes(folder):
    code = "@dataclass(frozen=True)\nclass Mine:\n    name: str = 'mine'\n    def measure(self, to): pass\n"
    assert written(folder, code).types["Mine"] is written(folder, code).types["Mine"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("1 / 0", r"line \d+"),
        ("def (", "SyntaxError"),
        ("FEATURES = [1]", "a tuple of features"),
        ("ANSWERS = (1,)", "a tuple of"),
        ("LEARNERS = {'purchase': 1}", "a function of the grid"),
        ("LEARNERS = {'nothing': len}", "whenbuy questions"),
        ("ANSWERS = (Answer('spend', '', '', '', 'chance', 'next', question=len, candidates=len),)", "Choose another name"),
    ],
)
def test_a_file_that_makes_no_sense_is_turned_away(folder, code, words):
    with pytest.raises(InputError, match=words):
        written(folder, code)


FEATURE = """
@dataclass(frozen=True, slots=True)
class Mine:
    name: str = "mine"
    def measure(self, to):
        {}
FEATURES = (Mine(),)
"""


@pytest.mark.parametrize(
    ("body", "error", "words"),
    [
        ("raise ValueError('no')", InputError, r"'mine' raised ValueError \(no\), line \d+"),
        ("f.Count('view', f'{max(1, len(to.log) % 50)}d', name=self.name).measure(to)", LeakError, "what came later"),
        ("pass", InputError, "shape"),
    ],
)
def test_a_feature_that_breaks_a_promise_is_turned_away(folder, body, error, words):
    with pytest.raises(error, match=words):
        checked(folder, FEATURE.format(body))


def test_a_feature_that_cannot_be_stored_or_has_a_taken_name_is_turned_away(folder):
    with pytest.raises(InputError, match="name of its own"):
        checked(folder, "FEATURES = (f.Frequency(name='frequency'),)")
    unstored = FEATURE.format("f.Count('view', name='mine').measure(to)").replace(
        'name: str = "mine"', 'name: str = "mine"; of: object = len'
    )
    with pytest.raises(InputError, match="cannot be stored"):
        checked(folder, unstored)


QUESTION = """
@dataclass(frozen=True)
class Mine:
    horizon_days: float = 14.0
    name: str = "own"
    entity: str = "user"
    def population(self, past):
        {population}
    def label(self, past, future):
        {label}
ANSWERS = (answer(Mine()),)
"""
FINE = {
    "population": "return people(past)",
    "label": "return Happens(14.0, 'view', 'own').label(past, future)",
}


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"population": "return np.ones(3)"}, InputError, "one yes or no a key"),
        ({"population": "return np.full(len(past), past._history.end > past.keys.cutoff.max())"}, LeakError, "population"),
        ({"label": "return np.ones(len(past))"}, InputError, "Labels"),
        ({"label": "return Labels(np.full(len(past), np.nan), np.ones(len(past), bool), future.end)"}, InputError, "no numbers"),
        (
            {"label": "return Labels(np.full(len(past), float(len(past._history.log))), np.ones(len(past), bool), future.end)"},
            LeakError,
            "window",
        ),
        ({"label": "return 1 / 0"}, InputError, "ZeroDivisionError"),
    ],
)
def test_a_question_that_breaks_a_promise_is_turned_away(folder, change, error, words):
    checked(folder, QUESTION.format(**FINE))
    with pytest.raises(error, match=words):
        checked(folder, QUESTION.format(**FINE | change))


LEARNER = """
COUNT = []
@dataclass(frozen=True)
class MineModel:
    known_until: int
    name: str = "mine"
    add: float = 0.0
    def predict(self, examples, *, in_sample=False):
        {leak}
        {answer}
@dataclass(frozen=True)
class Mine:
    name: str = "mine"
    def fit(self, train, valid=None):
        {learn}
        return MineModel({known}, add={add})
ANSWERS = (answer(Happens(14.0, "view", "own"), Mine()),)
"""
GOOD = {
    "leak": "refuse_leak(self.known_until, examples.keys, in_sample=in_sample)",
    "answer": "return Probability(examples.keys, np.full(len(examples), 0.3 + self.add), self.name)",
    "learn": "pass",
    "known": "int(train.label('own').end.max())",
    "add": "0.0",
}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"leak": "pass"}, "refuse_leak"),
        ({"known": "0"}, "known_until"),
        ({"known": "int(train.keys.cutoff.max())", "add": "float(train.label('own').value[:50].mean())"}, "known_until"),
        ({"learn": "COUNT.append(1)", "add": "0.001 * len(COUNT)"}, "second time"),
        ({"answer": "return np.ones(len(examples))"}, "answers with ndarray"),
        ({"answer": "return Probability(examples.keys, np.full(len(examples), 1 / (1 + len(examples))), self.name)"}, "other company"),
        ({"answer": "return Probability(examples.keys, examples.table.column('frequency') * 0 + np.nan, self.name)"}, "finite|number|nan"),
        ({"learn": "raise KeyError('x')"}, "KeyError"),
    ],
)
def test_a_learner_that_breaks_a_promise_is_turned_away(folder, change, words):
    checked(folder, LEARNER.format(**GOOD))
    with pytest.raises(Exception, match=words) as said:
        checked(folder, LEARNER.format(**GOOD | change))
    assert said.value.exit_code in (1, 2, 3)
