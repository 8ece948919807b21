"""Checks of a trial that chance did not decide: are the arms alike, does a treatment that is none do nothing?"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from whenbuy.core.arrays import Floats
from whenbuy.models.effect.learned import Z80, mean_effect
from whenbuy.models.effect.trial import Trial

ALIKE = 0.1
"""Standardised differences below this are called small (Austin 2009, "Balance diagnostics", s. 3)."""


@dataclass(frozen=True, slots=True, eq=False)
class Check:
    """One check: what it says, and whether it is passed.

    Parameters
    ----------
    name
        "balance", "placebo" or "negative control".
    passed
        Whether nothing speaks against a comparison.
    words
        What was found, in a sentence.
    """

    name: str
    passed: bool
    words: str


def balance(trial: Trial) -> Check:
    """Return whether the arms are alike in every feature once weighted by inverse propensities."""
    worst = worst_difference(trial)
    column = int(np.abs(worst).argmax())
    passed = abs(worst[column]) < ALIKE
    words = (
        f"After weighting, no feature differs between the arms by more than {abs(worst[column]):.2f} deviations."
        if passed
        else f"After weighting, {trial.columns[column]} still differs between the arms by {abs(worst[column]):.2f} deviations."
    )
    return Check("balance", bool(passed), words)


def worst_difference(trial: Trial) -> Floats:
    """Return of each feature the largest standardised difference between an arm and "none", weighted (f)."""
    values = trial.values.astype(np.float64)
    spread = np.nanstd(values, axis=0)
    means = []
    for arm in range(len(trial.offers) + 1):
        rows = np.flatnonzero(trial.arm == arm)
        weight = 1 / np.maximum(trial.chance[rows, arm], 1e-6)
        known = np.isfinite(values[rows])
        total = (weight[:, None] * known).sum(axis=0)
        means.append((weight[:, None] * np.where(known, values[rows], 0.0)).sum(axis=0) / np.maximum(total, 1e-12))
    gaps = (np.array(means[1:]) - means[0]) / np.where(spread > 0, spread, np.inf)
    return np.asarray(gaps[np.abs(gaps).argmax(axis=0), np.arange(gaps.shape[1])])


def placebo(trial: Trial, seed: int = 0, draws: int = 20) -> Check:
    """Return whether offers that were sent to nobody seem to do something: arms drawn anew by the propensities, many times.

    The share of 80 % intervals of the mean effect that miss 0 must not be far above a fifth: else the intervals are too narrow.
    """
    rng, edges = np.random.default_rng(seed), np.cumsum(trial.chance, axis=1)
    missed = []
    for _ in range(draws):
        arm = np.minimum((rng.uniform(0, 1, len(trial))[:, None] > edges).sum(axis=1), len(trial.offers))
        if np.bincount(arm, minlength=len(trial.offers) + 1).min() < 2:
            continue
        mean, error = mean_effect(replace(trial, arm=arm))
        missed.append(np.abs(mean) > Z80 * error)
    share = float(np.mean(missed)) if missed else 1.0
    return Check(
        "placebo",
        share <= 0.4,
        f"Of effects of offers that nobody was sent, {100 * share:.0f} % seem to differ from 0 (about 20 % is right).",
    )


def negative_control(trial: Trial, what: str) -> Check:
    """Return whether the offers seem to change something that they cannot have changed: the outcome of this trial."""
    mean, error = mean_effect(trial)
    score = np.abs(mean) / np.maximum(error, 1e-12)
    worst = int(score.argmax())
    passed = bool(score[worst] < 3.0)
    words = f"{trial.offers[worst]!r} seems to change {what}, which it cannot, by {mean[worst]:+.3g} ± {Z80 * error[worst]:.2g}."
    return Check("negative control", passed, f"No offer seems to change {what}, which none of them can." if passed else words)
