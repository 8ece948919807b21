"""The simulated shop that the contracts share: learned from up to a boundary, asked after it."""

from functools import cache

import numpy as np

from whenbuy.core.acts import usual_acts
from whenbuy.core.arrays import DAY
from whenbuy.core.examples import Examples
from whenbuy.core.history import History
from whenbuy.core.keys import Keys
from whenbuy.features import ActiveDays, ByClass, Features, LatestActs, default_features, most_bought, rhythm_features
from whenbuy.ingest.simulate import simulate
from whenbuy.pipeline.learning.build import examples, panel
from whenbuy.pipeline.learning.grid import Grid
from whenbuy.questions import (
    Happens,
    NextAct,
    NextActivity,
    NextAmount,
    NextClasses,
    NextPurchase,
    OrderCount,
    PastVisits,
    Quantity,
    Spend,
    Visits,
)

GRID = Grid((0.5, 1.0, 7.0, 14.0, 28.0, 35.0, 42.0, 49.0, 56.0), 1.0)
ASKED = (NextPurchase(28.0), OrderCount(28.0), OrderCount(7.0, name="orders_7d"), NextAmount(28.0), Spend(7.0), Quantity(7.0))


@cache
def shop() -> History:
    return simulate(users=300, days=200, seed=3).history


@cache
def boundary() -> int:
    history = shop()
    return int(history.clock.midnight_before(np.array([history.end - 56 * DAY]))[0])


@cache
def spec() -> Features:
    return Features((*default_features(shop().log).spec, *rhythm_features(shop().log, shop().clock)))


@cache
def acts():
    return usual_acts(shop().cut(boundary()).log, 4)


@cache
def blocks():
    classes = ByClass(most_bought(shop().cut(boundary()).log, most=4))
    return {"interactions": classes, "visits": PastVisits(), "acts": LatestActs(acts()), "days": ActiveDays()}


def questions():
    further = (NextActivity(28.0), Visits(28.0), NextAct(7.0, acts()))
    return (*ASKED, *further, Happens(14.0, kind="view", name="redemption"), NextClasses(7.0, blocks()["interactions"].classes))


@cache
def train() -> Examples:
    """Examples of everybody, every other week up to the boundary; all labels are censored there."""
    cutoffs = np.arange(boundary() - 98 * DAY, boundary() + 1, 14 * DAY)
    return panel(shop().cut(boundary()), spec(), cutoffs, questions(), blocks())


@cache
def later() -> Examples:
    """Examples of everybody in the four weeks after the boundary; all labels are censored at their end."""
    cutoffs = np.arange(boundary(), boundary() + 28 * DAY, 7 * DAY)
    return panel(shop().cut(boundary() + 28 * DAY), spec(), cutoffs, questions(), blocks())


def asked(users=None, days: int = 0) -> Examples:
    """Everybody (or those named), so many days after the boundary."""
    return ask(shop().keys(users, boundary() + days * DAY))


def ask(keys: Keys) -> Examples:
    return examples(shop(), spec(), keys, blocks=blocks())


@cache
def buyer() -> str:
    """Somebody who has bought more than once before the boundary."""
    made = asked()
    return str(made.keys.ids()[int(np.nanargmax(made.table.column("frequency")))])


def kept(made: Examples) -> dict[str, bytes]:
    """Every byte of some examples: what nobody may change."""
    parts = {"code": made.keys.code, "cutoff": made.keys.cutoff, "table": made.table.values}
    parts |= {} if made.weight is None else {"weight": made.weight}
    for name, label in made.labels.items():
        parts |= {f"{name} value": label.value, f"{name} observed": label.observed, f"{name} end": label.end}
    return {name: np.ascontiguousarray(part).tobytes() for name, part in parts.items()}


def bits(forecast) -> list[bytes]:
    """Every number of a forecast, bit for bit."""
    names = ("survival", "mean_count", "grid_days", "prior", "mean", "quantiles", "levels", "chance", "dispersion")
    return [np.ascontiguousarray(getattr(forecast, name)).tobytes() for name in names if hasattr(forecast, name)]
