"""A shop whose last days stream in: the log as it stood, the events that follow, and the log that one import of both would have made."""

from dataclasses import replace
from functools import cache

import numpy as np

from whenbuy.core.arrays import DAY
from whenbuy.core.history import History
from whenbuy.ingest.group import group
from whenbuy.ingest.lines import Lines
from whenbuy.ingest.reception import Event
from whenbuy.ingest.simulate import simulate
from whenbuy.models.how_many.rolled_counts import RolledCounts
from whenbuy.models.how_much.amount_floors import OwnMean
from whenbuy.models.trees.boosting import Boosting
from whenbuy.models.when.boosted_curve import DirectHorizons
from whenbuy.models.when.buy_till_you_die import BgNbd
from whenbuy.models.when.floors import KaplanMeier, PoissonRate
from whenbuy.models.when.hazard import PooledLogistic
from whenbuy.models.when.rhythm import Rhythm
from whenbuy.models.which.class_rates import OwnClassRate
from whenbuy.models.wrapping.blend import Blend
from whenbuy.models.wrapping.prepared import Prepared
from whenbuy.pipeline.learning.forecaster import Forecaster
from whenbuy.pipeline.learning.learn import fit
from whenbuy.serve.compaction import lines_of

FEW = Boosting(trees=30, learning_rate=0.1, leaves=8, row_fraction=0.5)


@cache
def shop(users: int = 150, days: int = 120, seed: int = 8) -> History:
    return simulate(users, days, seed).history


def stands_at(history: History, instant: int) -> History:
    """The history as it stood at an instant."""
    return replace(history, log=history.log.cut(instant))


def events_after(history: History, instant: int, source: str = "http") -> list[Event]:
    """What became known from an instant on, as a sender would have told it, in the order of arrival."""
    log = history.log
    rows = np.flatnonzero(log.known_at >= instant)
    rows = rows[np.argsort(log.known_at[rows], kind="stable")]
    owner = np.searchsorted(log.offsets, rows, side="right") - 1
    names = log.users.ids.to_list()
    told = {name: column.series(rows).to_list() for name, column in log.columns.items() if name != "orders"}
    found = []
    for i, row in enumerate(rows.tolist()):
        user = names[owner[i]] if owner[i] < len(names) else None
        values = {name: told[name][i] for name in told if told[name][i] is not None and name != "event_id"}
        found.append(Event(source, f"e{row}", user, log.kinds[log.kind[row]], int(log.time[row]), int(log.known_at[row]), values))
    return found


def joined(history: History, events: list[Event], end: int | None = None) -> History:
    """The history that one import of the log and the events behind it would have made."""
    if not events:
        return history
    lines, _ = lines_of(events, history.log)
    end = max(history.end, events[-1].known_at + 1) if end is None else end
    return replace(history, log=group(Lines.of(history.log).followed_by(lines), end))


def rich(answer: str, grid):
    """One learner of each kind that the default catalogue knows, small."""
    days = grid.days
    boosted = Prepared(DirectHorizons(days, FEW, key_days=grid.shortest), (Rhythm(),))
    curves = Blend((boosted, PooledLogistic(days, grid.step_days, max_rows=20_000), BgNbd(days)), (0.5, 0.3, 0.2))
    counts = Blend((BgNbd(days), RolledCounts(days)))
    return {"purchase": (curves,), "orders": (counts,), "amount": (OwnMean(),), "classes": (OwnClassRate(grid.shortest),)}.get(answer, ())


def plain(answer: str, grid):
    """Learners that cost nothing."""
    days = grid.days
    return {"purchase": (KaplanMeier(days), PoissonRate(days)), "orders": (PoissonRate(days),), "amount": (OwnMean(),)}.get(answer, ())


@cache
def model(kind: str = "plain", users: int = 150, days: int = 120, seed: int = 8, before_days: int = 12) -> Forecaster:
    """What is learned of the shop up to some days before its end."""
    history = shop(users, days, seed)
    return fit(history, history.end - before_days * DAY, horizons=(7, 14), candidates={"plain": plain, "rich": rich}[kind])


def differences(state, forecaster: Forecaster, history: History, users: list[str], at: int) -> float:
    """The greatest difference between live forecasts and the batch over the same events; infinite where words or instants differ."""
    frame = forecaster.answer(history, history.keys(users, at)).frame(further=True)
    worst = 0.0
    for row, answer in zip(frame.iter_rows(named=True), state.forecasts(users, at), strict=True):
        for name, told in row.items():
            worst = max(worst, _difference(told, getattr(answer, name)))
    return worst


def _difference(told, said) -> float:
    if isinstance(told, float) and isinstance(said, float):
        return abs(told - said) / max(1.0, abs(told))
    if hasattr(told, "timestamp") and hasattr(said, "timestamp"):
        return abs((told - said).total_seconds()) / 86_400  # of a day
    return 0.0 if told == said else np.inf


def apply_all(state, events):
    """Return a state after some events of the journal, in its order."""
    for seq, event in events:
        state.apply(seq, event)
    return state
