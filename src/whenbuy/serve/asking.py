"""Asking: what is told of customers when models are asked about them. What a model does not ask for is not made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from whenbuy.core.arrays import DAY, MISSING, Floats, Instants, Ints, Singles
from whenbuy.core.blocks import Interactions
from whenbuy.core.examples import Examples, Table
from whenbuy.core.history import History
from whenbuy.core.keys import Keys
from whenbuy.core.log import Dictionary
from whenbuy.core.profile import Profile
from whenbuy.features.live import Live
from whenbuy.models.when.attribute_prior import AttributePrior


class Asking:
    """One customer at one instant, as the compiled rows of models ask for her (`whenbuy.models.rows.asked.Asked`).

    Parameters
    ----------
    live
        The windows of everybody.
    place
        Where hers are.
    read_at
        The instant.
    block
        Returns what is told of her and each class; None where that must be read from the examples.
    examples
        Returns her as examples of one row.
    """

    __slots__ = ("_block", "_examples", "_held", "_live", "_path", "_place", "_read_at", "_step", "_values", "_whole")

    def __init__(self, live: Live, place: int, read_at: int, block: Callable[[], Singles | None], examples: Callable[[], Examples]) -> None:
        self._live, self._place, self._read_at, self._block, self._examples = live, place, read_at, block, examples
        self._path: tuple[Singles, Ints] | None = None
        self._step: tuple[float, int] = (0.0, 0)
        self._values: Singles | None = None
        self._held: Singles | None = None
        self._whole: Examples | None = None

    @property
    def values(self) -> Singles:
        """Her features (1 x f); a path that was asked for before begins with them."""
        if self._values is None:
            path = self._path
            self._values = self._live.read(self._place, self._read_at)[None] if path is None else path[0][:, 0].copy()[None]
        return self._values

    def path(self, step_days: float, steps: int) -> Singles:
        """Return her features as they would read 0, 1, … steps later, had nothing happened since (f x steps)."""
        return self._live.path(self._place, self._read_at, round(step_days * DAY), steps)

    def ahead(self, step_days: float, steps: int) -> tuple[Singles, Ints]:
        """Return the same, and which of the features change (f): of the others only the first instant is written."""
        if self._path is None or self._step != (step_days, steps):
            self._path, self._step = self._live.ahead(self._place, self._read_at, round(step_days * DAY), steps), (step_days, steps)
        return self._path

    def block(self) -> Singles:
        """Return what is told of her and each class (k x c)."""
        if self._held is None:
            self._held = self._block()
        if self._held is None:
            (told,) = (block for block in self.whole().blocks.values() if isinstance(block, Interactions))
            self._held = told.values[0]
        return self._held

    def whole(self) -> Examples:
        """Return the same as examples of one row."""
        if self._whole is None:
            self._whole = self._examples()
        return self._whole


def examples_of(live: Live, users: Sequence[str], places: Ints, read_at: Instants, blocks: Mapping[str, Any]) -> Examples:
    """Return some customers, read as of an instant each, as models are asked about them.

    Parameters
    ----------
    live, places
        The windows of everybody, and where theirs are.
    users, read_at
        Their names, and the instants.
    blocks
        What is told of them beside their features.
    """

    def silence(days: Floats, rows: Ints) -> Table:
        later = read_at[rows] + np.round(np.multiply(days, DAY)).astype(np.int64)
        return live.table(places[rows], later, read_at[rows])

    codes: Any = np.arange(len(users), dtype=np.int32)
    keys = Keys("user", codes, read_at, Dictionary.of(users))
    return Examples(keys, live.table(places, read_at, read_at), {}, silence, blocks=blocks)


class People:
    """The attributes of customers, found by name.

    Parameters
    ----------
    profile
        What is known of customers beside their events; None where nothing is.
    newcomers
        How people of whom only attributes are known differ from everybody; None where they do not.
    """

    def __init__(self, profile: Profile | None, newcomers: AttributePrior | None = None) -> None:
        self._profile, self._newcomers = profile, newcomers
        self._rows: dict[str, list[int]] | None = None
        self._times: dict[str, list[tuple[int, float]]] | None = None

    def attributes(self, users: Sequence[str], bought: Sequence[bool], at: Instants) -> pl.DataFrame:
        """Return the attributes that were true before an instant each (n rows); none of those who bought, of whom they say nothing more."""
        if self._profile is None or all(bought):
            return pl.DataFrame({"": pl.Series([None] * len(users), dtype=pl.String)})
        if self._rows is None:
            self._rows = {}
            for row, name in enumerate(self._profile.table["id"].cast(pl.String).to_list()):
                self._rows.setdefault(name, []).append(row)
        rows = [row for name in dict.fromkeys(users) for row in self._rows.get(name, ())]
        some = Profile(self._profile.entity, self._profile.table[sorted(rows)], self._profile.timeless)
        return some.as_of(pl.Series(list(users), dtype=pl.String), at)

    def times(self, user: str, bought: bool, at: int) -> float:
        """Return how many times as often as everybody a newcomer orders, by the attributes that were true before an instant.

        That is ``AttributePrior.factor`` of `attributes` for one customer: the factors of all rows are read once.
        """
        if self._profile is None or self._newcomers is None or bought:
            return 1.0
        if self._times is None:
            self._times = self._factors(self._profile, self._newcomers)
        times = 1.0
        for since, factor in self._times.get(user, ()):
            if since >= at:
                break
            times = factor
        return times

    @staticmethod
    def _factors(profile: Profile, newcomers: AttributePrior) -> dict[str, list[tuple[int, float]]]:
        """Return since when each factor of each customer holds, in the order of time."""
        table, found = profile.table, dict[str, list[tuple[int, float]]]()
        if profile.timeless:
            table = table.unique("id", keep="last", maintain_order=True)
            since = [MISSING] * len(table)
        else:
            table = table.filter(pl.col("valid_from").is_not_null()).sort("valid_from", maintain_order=True)
            since = table["valid_from"].cast(pl.Datetime("us")).cast(pl.Int64).to_list()
        factors = newcomers.factor(table.select(profile.attributes)).tolist()
        for name, begin, factor in zip(table["id"].cast(pl.String).to_list(), since, factors, strict=True):
            found.setdefault(name, []).append((begin, factor))
        return found


def codes_of(history: History) -> Mapping[str, int]:
    """Return the code of each user that a log knows, by name."""
    return {name: code for code, name in enumerate(history.log.users.ids.to_list())}
