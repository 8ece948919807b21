"""A learner is its settings; a model is what it learned."""

from __future__ import annotations

from typing import Any, Protocol, Self, TypeGuard, TypeVar

from whenbuy.core.clock import Clock
from whenbuy.core.errors import ImmatureError, LeakError, UsageError
from whenbuy.core.examples import Examples, Labels, Table
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


class Updatable(Model[F_co], Protocol[F_co]):
    """A model that can go on learning without what it learned from before."""

    @property
    def learns_on(self) -> bool:
        """Whether later examples can teach it: a model that stands on others may have none that can learn."""

    def update(self, later: Examples) -> Self:
        """Return the model as later examples change it: what happened since ``known_until`` teaches, and counts like what came before.

        Raises
        ------
        UsageError
            When a label's window had closed by ``known_until``: it was learned from already.
        ImmatureError
            When no label says anything yet.
        """


def can_learn_on(model: Any) -> TypeGuard[Updatable[Any]]:
    """Return whether later examples can teach a model."""
    return bool(getattr(model, "learns_on", False))


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


def refuse_known(known_until: int, later: Examples, question: str) -> None:
    """Raise UsageError when a label's window had closed before what a model already knows, so that it was learned from."""
    ends = later.label(question).end[later.keys.cutoff < known_until]
    if not len(ends) or (earliest := int(ends.min())) > known_until:
        return
    clock = Clock()
    raise UsageError(
        f"The model has seen labels up to {clock.show(known_until)} (UTC); a window of these examples closed on {clock.show(earliest)}.",
        "What was learned from once must not count twice.",
        "Update with examples whose windows closed later.",
    )


def require_ripe(rows: int, labels: Labels, question: str) -> None:
    """Raise ImmatureError when none of some labels says anything yet."""
    if rows:
        return
    raise ImmatureError(
        f"None of {len(labels):,} later labels of {question!r} says anything yet.",
        "A model learns on from windows that have closed, or from what came in open ones.",
        "Come back when more time has passed.",
    )
