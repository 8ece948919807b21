"""Numbers: means and dispersions of a known law are found again."""

from dataclasses import replace

import numpy as np
import pytest

from tests.contracts.shops import train
from whenbuy.core.arrays import DAY
from whenbuy.core.blocks import Interactions
from whenbuy.core.errors import NotEnoughDataError, UsageError
from whenbuy.core.examples import Labels
from whenbuy.models.how_many.numbers import BoostedNumber, VisitRate
from whenbuy.models.trees.boosting import Boosting


def made(dispersion: float):
    """Examples whose visits follow the rate of her last 84 days, gamma spread around it."""
    some = train().take(np.flatnonzero(np.isfinite(train().table.column("event_recency_days"))))
    rng = np.random.default_rng(1)
    past = rng.integers(0, 40, len(some)).astype(np.float32)
    mean = (past + 0.5) / 3
    spread = rng.gamma(1 / dispersion, dispersion, len(some)) if dispersion else np.ones(len(some))
    label = Labels(rng.poisson(mean * spread).astype(float), np.ones(len(some), bool), some.keys.cutoff + 28 * DAY)
    block = Interactions("", ("visits",), ("visits_84d",), past[:, None, None])
    return replace(some, labels={"visits": label}, blocks={"visits": block}), mean


@pytest.mark.parametrize("dispersion", [0.0, 0.5])
def test_means_and_dispersions_are_found_again(dispersion):
    some, mean = made(dispersion)
    told = BoostedNumber().fit(some).predict(some, in_sample=True)
    assert np.corrcoef(told.mean, mean)[0, 1] > (0.85 if dispersion else 0.97)  # the noise is larger than the mean
    assert dispersion - 0.02 < np.median(told.dispersion) < dispersion + 0.3  # for others than those that taught the mean it is more
    floor = VisitRate().fit(some).predict(some, in_sample=True)
    assert floor.mean == pytest.approx(mean)
    came = some.label("visits").value
    gain = told.log_chance(came).mean() - floor.log_chance(came).mean()
    assert gain > 0.3 if dispersion else abs(gain) < 0.1


def test_what_cannot_be_learned_is_said():
    some, _ = made(0.5)
    label = some.label("visits")
    nothing = replace(some, labels={"visits": replace(label, value=np.zeros(len(label)))})
    with pytest.raises(NotEnoughDataError, match="hold none"):
        BoostedNumber().fit(nothing)
    with pytest.raises(UsageError, match="poisson"):
        BoostedNumber(grow=Boosting())
