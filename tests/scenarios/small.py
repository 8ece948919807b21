"""A small simulated shop with every kind of event, learned from in a second."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.foreign import ok
from whenbuy.ingest.simulate import simulate
from whenbuy.models.how_much.amount_floors import GlobalMean, OwnMean
from whenbuy.models.how_much.spend import SpendRate
from whenbuy.models.when.floors import KaplanMeier, PoissonRate
from whenbuy.models.whether.chance import BaseChance
from whenbuy.models.which.class_rates import ClassRate, OwnClassRate
from whenbuy.pipeline.judging import backtest
from whenbuy.pipeline.learning import learn
from whenbuy.pipeline.learning.catalogue import learners


def candidates(answer: str, grid: Any) -> tuple[Any, ...]:
    curves = (PoissonRate(grid.days), KaplanMeier(grid.days))
    return {
        "purchase": curves, "orders": curves, "amount": (GlobalMean(), OwnMean()), "spend": (SpendRate(),),
        "redemption": (BaseChance("redemption"),), "classes": (ClassRate(grid.shortest), OwnClassRate(grid.shortest)),
    }.get(answer, ())  # fmt: skip


@contextmanager
def quick() -> Iterator[None]:
    """Learning takes a second."""
    real: Callable[..., Any] = learn.learned
    with pytest.MonkeyPatch.context() as patch:
        for place in (learn, backtest):
            patch.setattr(place, "learned", lambda made, of, **options: real(made, candidates if of is learners else of, **options))
        yield


def source(path: Path) -> Path:
    """Write the log of a simulated shop as its till would."""
    frame = simulate(60, 150, 5).history.log.frame().drop("orders", "text")
    frame.sort("known_at", maintain_order=True).write_csv(path)
    return path


def shop(folder: Path) -> Path:
    """A shop with a champion."""
    file = source(folder / "till.csv")
    ok("init", file, "--shop", folder / "shop", "--currency", "EUR")
    with quick():
        ok("fit", "--shop", folder / "shop")
    return folder / "shop"
