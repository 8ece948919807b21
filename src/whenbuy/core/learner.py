"""A learner is its settings; a model is what it learned."""

from __future__ import annotations

from typing import Protocol, TypeVar

from whenbuy.core.clock import Clock
from whenbuy.core.errors import LeakError
from whenbuy.core.examples import Examples, Table
from whenbuy.core.forecast import Forecast
from whenbuy.core.keys import Keys

F_co = TypeVar("F_co", bound=Forecast, covariant=True)


class Model(Protocol[F_co]):
    """What was learned. It knows the end of the last label window that it saw."""

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""

    @property
    def known_until(self) -> int:
        """The end of the last label window that the model or its calibration saw."""

    def predict(self, examples: Examples, *, in_sample: bool = False) -> F_co:
        """Return the forecast of each key.

        Raises
        ------
        LeakError
            When a cutoff lies before ``known_until`` and ``in_sample`` was not said.
        """


class Learner(Protocol[F_co]):
    """The settings of a way to learn."""

    @property
    def name(self) -> str:
        """The name under which reports speak of it."""

    def fit(self, train: Examples, valid: Examples | None = None) -> Model[F_co]:
        """Return what these examples teach."""


class Step(Protocol):
    """A preparation of features that is learned from training rows: a fill, a scaling, a bound on outliers."""

    def fit(self, table: Table) -> FittedStep:
        """Return the preparation as learned from these rows."""


class FittedStep(Protocol):
    """A learned preparation."""

    def apply(self, table: Table) -> Table:
        """Return the prepared rows."""


class LabelledStep(Protocol):
    """A preparation that is learned from training rows and what came true for them: an encoding, a selection."""

    def learn(self, train: Examples) -> tuple[FittedLabelledStep, Examples]:
        """Return the preparation as learned from these examples, and these very examples as the learner may see them.

        Where a row's own label would speak out of its features, the second answer differs from ``prepare``: it is made out of fold.
        """


class FittedLabelledStep(Protocol):
    """A learned preparation of whole examples."""

    def prepare(self, examples: Examples) -> Examples:
        """Return the prepared examples; their labels are not looked at."""


def refuse_leak(known_until: int, keys: Keys, *, in_sample: bool) -> None:
    """Raise LeakError when a key's cutoff lies before what a model already knows, unless that was asked for."""
    if in_sample or not len(keys) or (earliest := int(keys.cutoff.min())) >= known_until:
        return
    clock = Clock()
    raise LeakError(
        f"The model has seen labels up to {clock.show(known_until)} (UTC), but was asked to forecast as of {clock.show(earliest)}.",
        "A forecast as of an earlier moment would be told what it is asked.",
        "Fit with that moment as --as-of, or say in_sample=True and read the result as a fit, not as a forecast.",
    )
