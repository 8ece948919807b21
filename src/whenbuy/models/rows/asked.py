"""Who is asked about, one customer at one instant, and what a compiled row may say of her."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from whenbuy.core.arrays import Floats, Ints, Singles
from whenbuy.core.errors import WhenbuyError
from whenbuy.core.examples import Examples

Told = tuple[Floats, Floats, bool | None]
"""Survival and expected orders along the grid (g each), and whether only a prior speaks (None: the model does not say)."""


Whole = tuple[Floats, bool]
"""Log-survival and expected orders at 0 and along the grid, and survival along it (3 x g + 1; survival ends one place earlier), freed of
rounding together; and whether only a prior speaks."""

Path = tuple[float, int]
"""The days of a step along a path of silence, and how many steps."""


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """How the numbers lie that rows read.

    Parameters
    ----------
    names
        The features (f).
    days
        The grid of the curves (g).
    classes, told
        The classes of the interactions (k), and the names of what is told of each (c); empty where there are none.
    """

    names: tuple[str, ...]
    days: Floats
    classes: tuple[str, ...] = ()
    told: tuple[str, ...] = ()

    def place(self, name: str) -> int:
        """Return where a feature lies, -1 where there is none of this name."""
        return self.names.index(name) if name in self.names else -1

    def places(self, names: tuple[str, ...]) -> list[int] | None:
        """Return where features lie; None where one is not there."""
        found = [self.place(name) for name in names]
        return None if -1 in found else found


class Asked(Protocol):
    """One customer at one instant."""

    @property
    def values(self) -> Singles:
        """Her features (1 x f)."""

    def path(self, step_days: float, steps: int) -> Singles:
        """Return her features as they would read 0, 1, … steps later, had nothing happened since (f x steps)."""

    def ahead(self, step_days: float, steps: int) -> tuple[Singles, Ints]:
        """Return the same, and which of the features change (f): of the others only the first instant may be written."""

    def block(self) -> Singles:
        """Return what is told of her and each class (k x c)."""

    def whole(self) -> Examples:
        """Return the same as examples of one row, for models without a compiled row."""


def _unsaid(*_: Any) -> Any:
    raise WhenbuyError("A model was asked for an answer of another kind than its own.")


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """What a model says of one customer, equal to what it predicts but for rounding (1e-9). It says one of these, by its kind.

    Parameters
    ----------
    curve
        ``curve(asked, counted)`` returns survival and expected orders along the grid (g each), and whether only a prior speaks (None: the
        model does not say). Where it need not be ``counted``, the expected orders may be anything.
    amount
        Returns mean and median of an amount.
    chance
        Returns one chance.
    classes
        Returns the chance of each class (k), and, where the model says that, of each given that she buys (k).
    compiled
        Whether nothing in it goes through examples.
    whole
        ``whole(asked, counted)`` returns the same as ``curve``, ready to be read, where one compiled call says it all.
    """

    curve: Callable[[Asked, bool], Told] = _unsaid
    amount: Callable[[Asked], tuple[float, float]] = _unsaid
    chance: Callable[[Asked], float] = _unsaid
    classes: Callable[[Asked], tuple[Floats, Floats | None]] = _unsaid
    compiled: bool = True
    whole: Callable[[Asked, bool], Whole] | None = None


Compile = Callable[[Any, Layout], Row | None]
"""Makes the row of a model; None where it has none."""


def general(model: Any) -> Row:
    """Return the row of a model that has no compiled one: it predicts for examples of one row."""

    def predict(asked: Asked) -> Any:
        return model.predict(asked.whole(), in_sample=True)

    def curve(asked: Asked, counted: bool) -> Told:
        del counted
        said = predict(asked)
        return said.survival[0], said.mean_count[0], None if said.prior is None else bool(said.prior[0])

    def amount(asked: Asked) -> tuple[float, float]:
        said = predict(asked)
        return float(said.mean[0]), float(said.quantile(0.5)[0])

    def classes(asked: Asked) -> tuple[Floats, Floats | None]:
        given = getattr(model, "given_purchase", None)
        return predict(asked).chance[0], None if given is None else given(asked.whole())[0]

    return Row(curve, amount, lambda asked: float(predict(asked).chance[0]), classes, compiled=False)
