"""The difference that an action made, where chance decided: adjusted for what both sides did before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import Bools, Floats
from whenbuy.core.errors import NotEnoughDataError

_Z: Final = 1.959963985


@dataclass(frozen=True, slots=True)
class Difference:
    """A mean difference between those treated and those left alone.

    Parameters
    ----------
    value
        The difference per person, adjusted for what came before.
    low, high
        Its 95 % interval.
    treated, control
        How many people there are on each side.
    mean_treated, mean_control
        What was seen on each side, not adjusted.
    """

    value: float
    low: float
    high: float
    treated: int
    control: int
    mean_treated: float
    mean_control: float


def difference(outcome: Floats, treated: Bools, before: Floats) -> Difference:
    """Return the effect on those treated per person, where chance decided who was.

    A regression of the outcome on the treatment, on what was measured before (centred), and on their products: never less precise than
    the plain difference when there are many people, whatever the truth (Lin 2013, theorem 1; with one covariate this is CUPED, Deng et
    al. 2013). The standard error is robust (HC2; MacKinnon and White 1985).

    Parameters
    ----------
    outcome
        What came of it (n).
    treated
        Who was treated (n).
    before
        What was measured before the treatment (n x k).

    Raises
    ------
    NotEnoughDataError
        When a side has fewer than two people.
    """
    t = treated.astype(float)
    n, n_t = len(outcome), int(treated.sum())
    if min(n_t, n - n_t) < 2:
        raise NotEnoughDataError(
            f"{n_t:,} people were treated and {n - n_t:,} left alone.", "Both sides need at least two.", "Wait for more, or hold out more."
        )
    varying = before[:, before.std(axis=0) > 0]
    scaled = (varying - varying[treated].mean(axis=0)) / np.maximum(varying.std(axis=0), 1e-12)
    design = np.column_stack([np.ones(n), t, scaled, scaled * t[:, None]])
    if min(n_t, n - n_t) <= scaled.shape[1] + 2:  # too few to explain anything by what came before
        design = design[:, :2]
    inverse = np.linalg.pinv(design.T @ design)
    weights = inverse @ design.T
    estimate = weights @ outcome
    leverage = np.clip((design * weights.T).sum(axis=1), 0.0, 1 - 1e-9)
    error = float(np.sqrt(((weights[1] ** 2) * (outcome - design @ estimate) ** 2 / (1 - leverage)).sum()))
    value = float(estimate[1])
    means = float(outcome[treated].mean()), float(outcome[~treated].mean())
    return Difference(value, value - _Z * error, value + _Z * error, n_t, n - n_t, *means)
