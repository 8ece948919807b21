"""Augmentation: streams of events that could have been, made of those that were, for training alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from whenbuy.core.arrays import Ints
from whenbuy.core.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Augment:
    """How streams of events are varied from epoch to epoch; at 0 nothing is.

    Parameters
    ----------
    crop
        The oldest part of a stream that is forgotten is up to this share of it, another one each time.
    mask
        Share of the events whose names are all read as not met.
    reorder
        Share of the events that change places with the one before.
    jitter
        Gaps between events are stretched and shortened by a factor exp(jitter * z), z standard normal.
    """

    crop: float = 0.0
    mask: float = 0.0
    reorder: float = 0.0
    jitter: float = 0.0

    def __post_init__(self) -> None:
        if not all(0.0 <= share < 1.0 for share in (self.crop, self.mask, self.reorder, self.jitter)):
            raise SettingsError(f"Events were to be varied by {self}.", "Each share is from 0 to below 1.", "Choose smaller ones.")

    def forgotten(self, length: Ints, rng: np.random.Generator) -> Ints:
        """Return how many of the oldest events of each stream are left out (s)."""
        if not self.crop:
            return np.zeros_like(length)
        return np.floor(length * rng.uniform(0.0, self.crop, len(length))).astype(np.int64)

    def reordered(self, where: Ints, length: Ints, rng: np.random.Generator) -> Ints:
        """Return the tokens of streams (time x s) with some of them in the place of the one before."""
        if not self.reorder or len(where) < 2:
            return where
        swaps = rng.random((len(where) - 1, where.shape[1])) < self.reorder
        swaps[1:] &= ~swaps[:-1]  # no token moves twice
        swaps &= np.arange(1, len(where))[:, None] < length
        earlier, later = where[:-1], where[1:]
        out = where.copy()
        out[:-1][swaps], out[1:][swaps] = later[swaps], earlier[swaps]
        return out


TYPES: Final[dict[str, type]] = {"Augment": Augment}
"""What a stored model of this file may be made of."""
