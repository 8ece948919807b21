"""A learner behind preparations: what they learn, they learn from training rows, and the model carries it along."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Generic

from whenbuy.core.arrays import Floats, Ints
from whenbuy.core.examples import Examples, Table
from whenbuy.core.learner import F_co, FittedLabelledStep, FittedStep, LabelledStep, Learner, Model, Step, can_learn_on

AnyStep = Step | LabelledStep
AnyFittedStep = FittedStep | FittedLabelledStep


@dataclass(frozen=True, slots=True)
class Prepared(Generic[F_co]):
    """A learner whose features first go through some steps: fills, scalings, bounds, encodings, selections.

    The steps are fitted one after the other on the training examples, each on what the one before made of them. Validation rows, rows to be
    forecast and rows read in silence are prepared by what was learned there. A learner knows strangers by gaps and durations by their unit:
    the columns that it reads that way must keep both (see its own docstring).

    Parameters
    ----------
    learner
        Who learns from the prepared features.
    steps
        The preparations, in their order.
    """

    learner: Learner[F_co]
    steps: tuple[AnyStep, ...]

    @property
    def name(self) -> str:
        """The name under which reports speak of it: the learner's, and each step's behind it."""
        return "+".join((self.learner.name, *(type(step).__name__.lower() for step in self.steps)))

    def fit(self, train: Examples, valid: Examples | None = None) -> PreparedModel[F_co]:
        """Return what the learner learns from prepared examples, with the steps as learned. Raises what they raise."""
        fitted, train = learn_steps(self.steps, train)
        model = self.learner.fit(train, None if valid is None else prepare(valid, fitted))
        return PreparedModel(self.name, model, fitted)


@dataclass(frozen=True, slots=True, eq=False)
class PreparedModel(Generic[F_co]):
    """A model and the learned preparations of what it reads."""

    name: str
    model: Model[F_co]
    steps: tuple[AnyFittedStep, ...]

    @property
    def known_until(self) -> int:
        """The end of the last label window that the model saw; preparations see no later labels."""
        return self.model.known_until

    @property
    def learns_on(self) -> bool:
        """Whether later examples can teach it: where the model behind the preparations can learn on."""
        return can_learn_on(self.model)

    def update(self, later: Examples) -> PreparedModel[F_co]:
        """Return the model as later examples change it; the preparations stay as learned. Raises as the model does."""
        return replace(self, model=self.model.update(prepare(later, self.steps))) if can_learn_on(self.model) else self

    def predict(self, examples: Examples, *, in_sample: bool = False) -> F_co:
        """Return the forecast of each key.

        Raises
        ------
        LeakError
            When a cutoff lies before ``known_until`` and ``in_sample`` was not said.
        """
        answer: Any = self.model.predict(prepare(examples, self.steps), in_sample=in_sample)
        named: F_co = replace(answer, model=self.name)
        return named


def learn_steps(steps: Sequence[AnyStep], train: Examples) -> tuple[tuple[AnyFittedStep, ...], Examples]:
    """Return the steps as learned one after the other, and the training examples as a learner behind them may see them."""
    fitted: list[AnyFittedStep] = []
    for step in steps:
        if hasattr(step, "learn"):
            learned, train = step.learn(train)
            fitted.append(learned)
        else:
            fitted.append(step.fit(train.table))
            train = prepare(train, fitted[-1:])
    return tuple(fitted), train


def prepare(examples: Examples, steps: Sequence[AnyFittedStep]) -> Examples:
    """Return the examples with their table, and every table read in silence, as learned steps make them."""
    for step in steps:
        examples = step.prepare(examples) if hasattr(step, "prepare") else _through(examples, step)
    return examples


def _through(examples: Examples, step: FittedStep) -> Examples:
    def silence(days: Floats, rows: Ints) -> Table:
        return step.apply(examples.silence(days, rows))

    return replace(examples, table=step.apply(examples.table), silence=silence)


TYPES: Final[dict[str, type]] = {kind.__name__: kind for kind in (Prepared, PreparedModel)}
"""What a stored model of this file may be made of."""
