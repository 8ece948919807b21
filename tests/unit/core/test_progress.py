"""Words that carry how much is done."""

from hypothesis import given
from hypothesis import strategies as st

from whenbuy.core.progress import Step, part, stepwise


def test_a_step_is_the_text_that_it_is():
    step = Step("learning", 0.25)
    assert step == "learning"
    assert step.share == 0.25
    assert (Step("", -1).share, Step("", 7).share) == (0, 1)


@given(st.lists(st.floats(0, 100), max_size=8), st.integers(0, 10))
def test_shares_rise_from_step_to_step_and_never_pass_one(weights, words):
    said = []
    told = stepwise(said.append, weights)
    for place in range(words):
        told(str(place))
    shares = [step.share for step in said]
    assert [str(step) for step in said] == [str(place) for place in range(words)]
    assert shares == sorted(shares)
    assert all(0 <= share <= 1 for share in shares)
    if words and words >= len(weights) and sum(weights) > 0:
        assert abs(shares[-1] - 1) < 1e-9


def test_steps_weigh_what_they_take():
    said = []
    told = stepwise(said.append, [1, 2, 1])
    for word in "abc":
        told(word)
    assert [step.share for step in said] == [0.25, 0.75, 1.0]


def test_a_part_of_a_longer_work_keeps_to_its_part():
    said = []
    told = part(said.append, 0.5, 0.7)
    told("words alone")
    told(Step("half", 0.5))
    assert said == ["words alone", "half"]
    assert not isinstance(said[0], Step)
    assert abs(said[1].share - 0.6) < 1e-12
