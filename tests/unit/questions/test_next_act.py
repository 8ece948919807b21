import numpy as np
import polars as pl

from whenbuy.core.acts import acts_of, usual_acts
from whenbuy.core.arrays import DAY
from whenbuy.ingest.read import read
from whenbuy.ingest.simulate import simulate
from whenbuy.questions.next_act import NextAct


def test_the_label_is_the_act_of_the_first_event_in_the_window():
    history = simulate(40, 90, 3).history
    log, days = history.log, 7.0
    acts = usual_acts(log, 9)
    keys = history.keys(None, history.end - 10 * DAY)
    label = NextAct(days, acts).label(history.before(keys), history.within(keys, days))
    assert label.observed.all()
    for row, (user, cutoff) in enumerate(zip(keys.code.tolist(), keys.cutoff.tolist(), strict=True)):
        mine = np.arange(log.offsets[user], log.offsets[user + 1])
        inside = [r for r in mine.tolist() if cutoff <= log.time[r] < cutoff + days * DAY and log.kinds[log.kind[r]] != "shown"]
        if not inside:
            assert label.value[row].sum() == 0
            continue
        first = min(inside, key=lambda r: (log.time[r], r))
        expected = np.zeros(len(acts))
        expected[acts_of(log, acts, np.array([first]))[0]] = 1
        np.testing.assert_array_equal(label.value[row], expected)


def test_an_open_window_is_not_observed_and_an_unknown_act_is_none_of_them():
    frame = pl.DataFrame(
        {"user_id": ["a", "a", "b"], "event": ["view", "poke", "view"], "time": ["2024-01-01", "2024-01-10", "2024-01-20"]}
    )
    history = read(frame).history
    question = NextAct(7.0, ("view", "cart"))
    early, late = history.keys(["a"], "2024-01-05"), history.keys(["a", "nobody"], "2024-01-18")
    came = question.label(history.before(early), history.within(early, 7.0))
    assert came.observed.tolist() == [True]
    assert came.value.sum() == 0
    waiting = question.label(history.before(late), history.within(late, 7.0))
    assert waiting.observed.tolist() == [False, False]
    assert question.population(history.before(late)).tolist() == [True, False]


def test_what_is_shown_to_her_is_passed_over():
    times = ["2024-01-01", "2024-01-10", "2024-01-11", "2024-01-30"]
    frame = pl.DataFrame({"user_id": ["a"] * 4, "event": ["view", "shown", "cart", "view"], "time": times})
    history = read(frame).history
    acts = usual_acts(history.log)
    assert set(acts) == {"view", "cart"}
    key = history.keys(["a"], "2024-01-05")
    assert NextAct(7.0, acts).label(history.before(key), history.within(key, 7.0)).value[0].tolist() == [name == "cart" for name in acts]
