"""The latest acts of each key, for learners that tell the next one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from whenbuy.core.acts import coded, thing_column
from whenbuy.core.blocks import Sequences
from whenbuy.core.errors import SettingsError
from whenbuy.core.history import Past
from whenbuy.core.log import Dictionary
from whenbuy.features.sequences import LatestEvents

ACT: Final = "act"
"""The column of names of its tokens."""


@dataclass(frozen=True, slots=True)
class LatestActs:
    """The latest acts of each key as a block of sequences: which act, and the gap before it. The lines of an order are one.

    Parameters
    ----------
    acts
        The acts (k), as `whenbuy.core.acts` names them; an event that is none of them has the code -1.
    length
        So many at most, the latest ones.
    """

    acts: tuple[str, ...]
    length: int = 64

    def __post_init__(self) -> None:
        if len(set(self.acts)) < len(self.acts) or self.length < 1:
            raise SettingsError(
                f"{len(self.acts)} acts, {self.length} of them at most.", "Each is named once, and one at least is read.", ""
            )

    def block(self, past: Past) -> Sequences:
        """Return the sequences of each key (n), from what was known before its cutoff."""
        log = past._history.log
        column = thing_column(log)
        told = LatestEvents(self.length, () if column is None else (column,), (), whole_orders=True).block(past)
        names = None if column is None else told.dictionaries[column]
        thing = None if column is None else told.codes[column]
        code = coded(self.acts, log.kinds, told.codes["kind"].astype(np.int64), names, thing)
        gaps = {"log_gap_days": told.numbers["log_gap_days"]}
        return replace(told, codes={ACT: code}, numbers=gaps, dictionaries={ACT: Dictionary.of(self.acts)})
