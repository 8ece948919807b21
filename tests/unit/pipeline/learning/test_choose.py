"""Choosing: the floor answers unless it is beaten beyond doubt; blends and corrections must help on weeks that they have not seen."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from tests.unit.models.purchase_examples import examples
from whenbuy.core.errors import NotEnoughDataError
from whenbuy.core.forecast import Amount, TimeToEvent
from whenbuy.models.wrapping.blend import Blend
from whenbuy.pipeline.learning.choose import Budget, Told, choose
from whenbuy.pipeline.learning.judges import curve_judge, number_judge

GRID = (7.0, 14.0, 28.0)
USERS, WEEKS = 400, 6
AMPLE = Budget.of(1e9)


def world(seed=0):
    """Two columns that each know half of the true rate, and what came: USERS users at WEEKS cutoffs."""
    rng = np.random.default_rng(seed)
    one, other = rng.normal(size=(2, USERS))
    rate = np.exp(one + other - 3.2)
    code, week = np.tile(np.arange(USERS), WEEKS), np.repeat(np.arange(WEEKS), USERS)
    wait = rng.exponential(size=USERS * WEEKS) / rate[code] * 7
    luck = rng.normal(scale=0.05, size=USERS)[code]
    columns = {"one": one[code], "other": other[code], "luck": luck, "bad luck": -luck, "zero": np.zeros(USERS * WEEKS)}
    label = (np.minimum(wait, 28), wait < 28, 28 + 7 * week + 100)
    return examples(columns, code=code, cutoff_day=100 + 7 * week, labels={"purchase": rows(label), "amount": rows(label)})


def rows(label):
    value, observed, _ = label
    return value, observed, 100 + 7 * WEEKS + 28


@dataclass(frozen=True)
class Knows:
    """A learner that answers by the mean of some columns, its hazard scaled by a factor."""

    name: str
    columns: tuple = ()
    scale: float = 1.0
    poor: bool = False

    def fit(self, train, valid=None):
        if self.poor:
            raise NotEnoughDataError("Nothing.", "Something.", "Bring it.")
        return self

    @property
    def known_until(self):
        return 0

    def predict(self, examples, *, in_sample=False):
        told = sum((examples.table.column(column) for column in self.columns), np.zeros(len(examples)))
        rate = self.scale * np.exp(told - 3.2 + 0.5 * (2 - len(self.columns)))
        fallen = np.outer(rate, np.array(GRID) / 7)
        return TimeToEvent.of(examples.keys, np.array(GRID), np.exp(-fallen), fallen, self.name)


@dataclass(frozen=True)
class PassesAll(Knows):
    """The same with a block beside the table."""

    reads: ClassVar[tuple[str, ...]] = ("days",)


FLOOR, ONE, OTHER, BOTH = Knows("floor"), Knows("one", ("one",)), Knows("other", ("other",)), Knows("both", ("one", "other"))


def chosen(*candidates, valid=None, budget=AMPLE):
    valid = valid or world()
    return choose("purchase", candidates, valid, valid, curve_judge(valid, GRID, GRID), budget=budget, say=lambda text: None)


def test_the_best_answers_when_it_beats_the_floor():
    found = chosen(FLOOR, BOTH, ONE)
    assert found.learner == BOTH
    floor, best, _ = found.choices
    assert (floor.floor, floor.chosen, best.floor, best.chosen) == (True, False, False, True)
    assert best.low < best.high < 0
    assert best.low < best.value - floor.value < best.high
    assert np.isnan(floor.low)


def test_who_does_not_beat_the_floor_beyond_doubt_does_not_answer():
    floor = Knows("floor", ("zero", "zero"))
    twins = [Knows(name, (name, "zero")) for name in ("luck", "bad luck")]  # noise; one of them is better by chance
    found = chosen(floor, *twins)
    assert found.learner == floor
    assert [choice.chosen for choice in found.choices] == [True, False, False]
    assert min(choice.value for choice in found.choices) < found.choices[0].value
    assert any("the floor answers" in note for note in found.notes)


def test_unlike_members_answer_together_when_that_helps_on_later_weeks():
    found = chosen(FLOOR, ONE, OTHER)
    assert isinstance(found.learner, Blend)
    assert {member.name for member in found.learner.members} == {"one", "other"}
    assert found.learner.weights == pytest.approx((0.5, 0.5), abs=0.15)
    blend = found.choices[-1]
    assert blend.chosen
    assert blend.value < min(choice.value for choice in found.choices[:-1])


def test_who_passes_a_whole_past_for_every_answer_has_a_part_only_where_that_helps_beyond_doubt():
    helps = PassesAll("other", ("other",))
    found = chosen(FLOOR, ONE, helps)
    assert isinstance(found.learner, Blend)
    assert helps in found.learner.members
    hardly = PassesAll("hardly", ("one", "luck"))  # the same chances but for noise
    found = chosen(FLOOR, Knows("one", ("one", "zero")), hardly)
    assert hardly not in getattr(found.learner, "members", (found.learner,))
    assert chosen(hardly).learner == hardly


def test_a_blend_that_does_not_help_is_not_made():
    found = chosen(FLOOR, BOTH, Knows("worse", ("one", "other"), scale=1.3))
    assert found.learner == BOTH
    assert len(found.choices) == 3


def test_a_wrong_level_is_corrected():
    found = chosen(Knows("loud", ("one", "other"), scale=2.0))
    assert found.correction is not None
    assert found.correction.offset == pytest.approx([-np.log(2)] * 3, abs=0.2)


def test_a_right_level_is_left_alone_or_nearly():
    found = chosen(FLOOR, BOTH)
    assert found.correction is None or found.correction.offset == pytest.approx([0.0] * 3, abs=0.2)


def test_one_cutoff_is_halved_by_users():
    valid = world().take(slice(0, USERS))
    assert chosen(FLOOR, BOTH, valid=valid).learner == BOTH


def test_a_candidate_that_cannot_learn_says_why_and_when_none_can_nobody_answers():
    found = chosen(FLOOR, Knows("poor", poor=True), BOTH)
    assert found.choices[1].note == "Nothing. Something. Bring it."
    assert found.learner == BOTH
    nobody = chosen(Knows("poor", poor=True))
    assert nobody.learner is None
    assert "could learn" in nobody.notes[0]
    alone = chosen(Knows("poor", poor=True), BOTH)  # the floor could not learn: nothing to beat
    assert alone.learner == BOTH


def test_a_spent_budget_leaves_out_all_but_the_floor():
    found = chosen(FLOOR, BOTH, budget=Budget(0.0, -1.0))
    assert found.learner == FLOOR
    assert found.choices[1].note == "Left out: the time budget of 0 CPU seconds was spent."


def test_where_nothing_can_be_compared_the_simplest_answers():
    valid = world()
    judge = number_judge("the amount", nobody_bought(valid), "amount", lambda amount: amount.mean)
    found = choose("amount", (Says(1.0), Says(2.0)), valid, nobody_bought(valid), judge, budget=AMPLE, say=lambda text: None)
    assert found.learner == Says(1.0)
    assert "nothing to compare" in found.notes[0]


def nobody_bought(made):
    from dataclasses import replace

    from whenbuy.core.examples import Labels

    label = made.label("amount")
    return replace(made, labels={**made.labels, "amount": Labels(label.value, np.zeros(len(label), bool), label.end)})


@dataclass(frozen=True)
class Says:
    """A learner that always says one amount."""

    amount: float

    @property
    def name(self):
        return f"says-{self.amount:g}"

    def fit(self, train, valid=None):
        return self

    def predict(self, examples, *, in_sample=False):
        n = len(examples)
        return Amount(examples.keys, np.full(n, self.amount), np.array([0.5]), np.full((n, 1), self.amount), self.name)


def test_amounts_are_judged_by_their_mean_where_one_came():
    valid = world()
    label = valid.label("amount")
    true = float(label.value[label.observed].mean())
    judge = number_judge("the amount", valid, "amount", lambda amount: amount.mean)
    found = choose("amount", (Says(5.0 * true), Says(true)), valid, valid, judge, budget=AMPLE, say=lambda text: None)
    assert found.learner == Says(true)
    assert found.choices[1].value == pytest.approx(float(label.value[label.observed].std()))


class Counted(Knows):
    """Counts how often it learns."""

    fits: list = []  # noqa: RUF012

    def fit(self, train, valid=None):
        self.fits.append(self.name)
        return super().fit(train, valid)


def test_who_is_a_candidate_in_more_than_one_place_learns_once():
    made, Counted.fits[:] = world(), []
    one, other, alone = (Counted(name, columns) for name, columns in (("one", ("one",)), ("other", ("other",)), ("both", ("one", "other"))))
    mixed = Blend((one, other))
    lists = ((FLOOR, one, other, mixed), (FLOOR, one, alone))
    told, plain = Told.of(lists), curve_judge(made, GRID, GRID)
    shared = [choose("purchase", each, made, made, plain, budget=AMPLE, told=told, say=lambda text: None) for each in lists]
    assert sorted(Counted.fits) == ["both", "one", "other"]
    assert [known.name for known, _ in told.known] == ["floor", "one", "other"]  # who comes once is not kept
    apart = [choose("purchase", each, made, made, plain, budget=AMPLE, say=lambda text: None) for each in lists]
    assert [each.choices for each in shared] == [each.choices for each in apart]


def test_what_reaches_beyond_the_checked_days_is_not_blended():
    made = world()
    judges = [number_judge("it", made, "amount", lambda curves: curves.count_at(28.0), whole=whole) for whole in (True, False)]
    found = [choose("amount", (FLOOR, ONE, OTHER), made, made, judge, budget=AMPLE, say=lambda text: None) for judge in judges]
    assert isinstance(found[0].learner, Blend)
    assert not isinstance(found[1].learner, Blend)
