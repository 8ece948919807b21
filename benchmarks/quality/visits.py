"""Visits of Complete Journey in 28 days: the log-loss of the number, beside the Poisson rate of the last 84 days.

Rows for the area ``answers``: ``rows()`` yields one. The model learns from what was known on 1 November 2017 and is asked at the last four
weekly cutoffs whose windows close within the year. A visit is a basket: nothing else in these data has a time of day.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.rows import Row
from whenbuy.core.number import Number
from whenbuy.evaluate.bootstrap import draws, interval
from whenbuy.evaluate.number import number_measures
from whenbuy.ingest.read import read
from whenbuy.pipeline.judging.trial import Trial
from whenbuy.pipeline.learning.catalogue import floors, learners
from whenbuy.pipeline.learning.learn import fit

SPLIT, WEEKS, ROUNDS = "2017-11-01", 4, 500
VISITS = Row(area="answers", name="cj_visits_logloss", unit="nats", better="lower")


def rows() -> Iterator[Row]:
    """Yield the row: ours is to lie below the floor."""
    history = read(layout="complete_journey").history

    def candidates(answer: str, grid: Any) -> Any:
        return floors(answer, grid) if answer == "purchase" else learners(answer, grid)  # purchases have benchmarks of their own

    trial = Trial.of(history, weeks=WEEKS)
    losses = []
    for tried in (candidates, floors):
        model = fit(history, SPLIT, ask="visits", candidates=tried)
        answer, label = model.answer(history, trial.keys).answers["visits"], trial.labels(model)["visits"]
        assert isinstance(answer, Number)
        losses.append(next(measure for measure in number_measures(answer, label) if measure.name == "logloss"))
    ours, theirs = draws(losses, trial.users, ROUNDS, np.random.default_rng(0))
    low, high = interval(ours - theirs)
    value, floor = (loss.value() for loss in losses)
    note = f"{len(trial.keys):,} forecasts; ours minus the floor {value - floor:+.4f} ({low:+.4f} … {high:+.4f})"
    yield VISITS.got(value, floor=floor, note=note)
