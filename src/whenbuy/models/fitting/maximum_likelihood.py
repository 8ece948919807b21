"""Maximum likelihood over customers: one row for each, equal rows counted once, several starts, and a check that the answer is one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from scipy.optimize import minimize

from whenbuy.core.arrays import Floats
from whenbuy.core.errors import NotEnoughDataError
from whenbuy.core.examples import Examples

STEEPEST: Final = 1e-5
"""The largest slope of the mean log-likelihood at which a search counts as ended at the top."""

SHAPE: Final = (-7.0, 8.0)
"""Bounds of the logarithm of a gamma or beta shape: beyond them all customers are alike, or as different as can be."""
RATE: Final = (-20.0, 10.0)
"""Bounds of the logarithm of a rate per day."""

Objective = Callable[[Floats], tuple[float, Floats]]
"""From parameters (k) to the mean log-likelihood per customer and its gradient (k)."""


def maximise(objective: Objective, starts: Sequence[Floats], bounds: Sequence[tuple[float, float]], what: str) -> Floats:
    """Return the parameters (k) of the highest likelihood that was found from any start.

    A parameter may end on its bound: the data then ask for a limit of the model (all customers alike, nobody ever leaving), and the
    bound is near enough to it.

    Parameters
    ----------
    objective
        Mean log-likelihood per customer and its gradient.
    starts
        Where to begin; each is searched by L-BFGS-B.
    bounds
        Lowest and highest value of each parameter.
    what
        The name of the model, for the message.

    Raises
    ------
    NotEnoughDataError
        When no search ended where the likelihood is flat.
    """
    low, high = (np.array(side, float) for side in zip(*bounds, strict=True))
    best, top, tried = None, -np.inf, []

    def falling(theta: Floats) -> tuple[float, Floats]:
        value, gradient = objective(theta)
        return -value, -gradient

    for start in starts:
        found = minimize(
            falling, np.clip(start, low, high), jac=True, method="L-BFGS-B", bounds=list(bounds),
            options={"maxiter": 2_000, "maxcor": 20, "ftol": 1e-15, "gtol": 1e-9},
        )  # fmt: skip
        slope = float(np.abs(np.clip(found.x - found.jac, low, high) - found.x).max())
        value = -float(found.fun)
        tried.append(f"{value:.6g} with slope {slope:.2g} after {found.nit} steps")
        if np.isfinite(value) and slope <= STEEPEST and value > top:
            best, top = np.asarray(found.x, float), value
    if best is None:
        raise NotEnoughDataError(
            f"The fit of {what} did not converge: {len(tried)} searches ended at a mean log-likelihood of {'; '.join(tried)}.",
            f"A fit counts only where the slope is at most {STEEPEST:g}.",
            "Fit on a longer history or more customers, or use another model.",
        )
    return best


def latest(train: Examples) -> Examples:
    """Return each user's row at her latest cutoff."""
    order = np.lexsort((train.keys.cutoff, train.keys.code))
    code = train.keys.code[order]
    return train.take(np.sort(order[np.append(code[1:] != code[:-1], True)])) if len(train) else train


def require_returns(customers: int, bought: int, returned: int, model: str) -> None:
    """Raise NotEnoughDataError where fewer than two customers bought, or nobody came back: no law of gaps can be learned."""
    if bought < 2 or not returned:
        raise NotEnoughDataError(
            f"Of {customers} customers {bought} bought and {returned} came back: too few to fit {model}.",
            "It needs two customers with an order and at least one repeat order.",
            "Fit on a longer history, or forecast with the base rate.",
        )


def together(rows: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Return the distinct rows (k x c) and the weight that each carries (k): customers with equal histories are counted, not repeated."""
    kinds, which = np.unique(rows, axis=0, return_inverse=True)
    return kinds, np.bincount(which.reshape(-1), weights=weight, minlength=len(kinds)).astype(np.float64)
