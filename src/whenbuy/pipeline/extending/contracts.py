"""The promises that whenbuy's own features, questions and learners keep, asked of a shop's own before anything is learned with them.

Each is tried on the shop's log: some of its customers at a few moments. What breaks a promise is turned away, and the error says which.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, TypeVar

import numpy as np

from whenbuy.core.arrays import DAY
from whenbuy.core.codec import decode, encode
from whenbuy.core.errors import InputError, LeakError, NotEnoughDataError, WhenbuyError
from whenbuy.core.examples import Examples, Labels
from whenbuy.core.forecast import Amount, Classes, Forecast, Probability, TimeToEvent
from whenbuy.core.history import History
from whenbuy.core.keys import Keys
from whenbuy.core.learner import Learner
from whenbuy.core.question import Question
from whenbuy.features import Feature, Features, default_features, rhythm_features
from whenbuy.pipeline.extending.extensions import EXTENSIONS, Extensions, failed
from whenbuy.pipeline.learning.answers import ANSWERS, Answer
from whenbuy.pipeline.learning.build import examples
from whenbuy.pipeline.learning.catalogue import types
from whenbuy.pipeline.learning.grid import Grid
from whenbuy.pipeline.learning.split import spread

CUSTOMERS: Final = 200
"""So many customers are looked at, at each moment."""
_SHARES: Final = (0.4, 0.6, 0.75)
"""Where the moments lie in the log."""
_HORIZON: Final = 28.0
_STRANGER: Final = "a customer whom no log knows"
T = TypeVar("T")


def check(made: Extensions, history: History) -> None:
    """Raise where something that a shop adds breaks a promise.

    Raises
    ------
    InputError
        When it raises, gives a wrong shape, a number that is none where one is due, or cannot be stored.
    LeakError
        When what it says of a moment depends on what came later.
    """
    if not (made.features or made.answers or made.learners):
        return
    keys = [_some(history, cutoff) for cutoff in _cutoffs(history)]
    usual = Features((*default_features(history.log).spec, *rhythm_features(history.log, history.clock)))
    for feature in made.features:
        _feature(feature, usual, history, keys, made)
    spec = Features((*usual.spec, *made.features))
    grid = Grid.of(history, (_HORIZON,))
    for answer in made.answers:
        if not answer.lacks(history.log):
            _question(answer, history, keys, grid)
    for name in dict.fromkeys((*(answer.name for answer in made.answers if not answer.lacks(history.log)), *made.learners)):
        _learners(name, made, history, keys, spec, grid)


def _cutoffs(history: History) -> list[int]:
    start, span = history.log.start, history.end - history.log.start
    moments = history.clock.midnight_before(np.array([start + round(share * span) for share in _SHARES], np.int64))
    return [int(moment) for moment in moments]


def _some(history: History, cutoff: int) -> Keys:
    """Return some customers known before a moment, chosen by their names."""
    keys = history.keys(None, cutoff)
    return keys.take(np.sort(np.argsort(spread(keys.ids()), kind="stable")[:CUSTOMERS]))


def _run(what: str, work: Callable[[], T]) -> T:
    """Return what a shop's own code gives; what it raises is said in words."""
    try:
        return work()
    except WhenbuyError:
        raise
    except Exception as error:
        raise failed(what, error) from error


def _broken(what: str, got: str, need: str) -> WhenbuyError:
    return InputError(f"In {EXTENSIONS} {what} {got}.", need, "Mend it, or take it out of the file.")


def _leaks(what: str) -> WhenbuyError:
    return LeakError(
        f"In {EXTENSIONS} {what} says something else of a moment when the log is cut there, so it looks at what came later.",
        "What is said of a moment may depend only on what was known before it.", "Read nothing but what the past tells.",
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------- features


def _feature(feature: Feature, usual: Features, history: History, keys: list[Keys], made: Extensions) -> None:
    """Hold a feature to its promises: it runs, has a name of its own, gives one number a customer, peeks at nothing and can be stored."""
    what = f"the feature {feature.name!r}"
    taken = set(usual.names) & set(Features((feature,)).names)
    if taken:
        raise _broken(what, f"is called like one that every shop has ({', '.join(sorted(taken))})", "Each needs a name of its own.")
    alone = Features((feature,))
    for some in keys:
        past = history.before(some)
        told = _run(what, lambda past=past: alone.table(past))  # type: ignore[misc]
        if told.values.shape != (len(some), len(alone.names)):
            raise _broken(what, f"gives values of the shape {told.values.shape}", f"It gives {len(some)} x {len(alone.names)}.")
        if np.isinf(told.values).any():
            raise _broken(what, "gives numbers that are infinite", "A number is finite; NaN stands where there is nothing to measure.")
        cut = _run(what, lambda some=some: alone.table(history.cut(int(some.cutoff[0])).before(some)))  # type: ignore[misc]
        if not np.array_equal(told.values, cut.values, equal_nan=True):
            raise _leaks(what)
        sought = _run(what, lambda past=past: alone.table(past, "seek"))  # type: ignore[misc]
        if not np.array_equal(told.values, sought.values, equal_nan=True):
            raise _broken(what, "says something else one customer at a time", "All engines give the same.")
    _stored(what, feature, made)


def _stored(what: str, thing: Any, made: Extensions) -> Any:
    """Return a thing as it comes back from a bundle."""
    arrays: dict[str, Any] = {}
    try:
        back = decode(encode(thing, arrays), arrays, {**types(), **made.types})
    except WhenbuyError as error:
        raise _broken(
            what, f"cannot be stored ({error.got})", "It is a frozen dataclass of numbers, texts, arrays and other such."
        ) from error
    return back


# ---------------------------------------------------------------------------------------------------------------- questions


def _question(answer: Answer, history: History, keys: list[Keys], grid: Grid) -> None:
    """Hold a question to its promises: who is asked is known before, what came true looks no further than its window."""
    if lacking := answer.lacks(history.log):
        raise _broken(
            f"the answer {answer.name!r}", f"needs {answer.needs}, and the log lacks it: {lacking[:-1]}", "It needs what it asks about."
        )
    what = f"the question of {answer.name!r}"
    days = answer.window(grid) or _HORIZON
    question: Question = _run(what, lambda: answer.question(days, ()))
    if question.name != answer.name:
        raise _broken(what, f"is called {question.name!r}", f"It bears the name of its answer, {answer.name!r}.")
    for some in keys:
        past = history.before(some)
        asked = _run(what, lambda past=past: question.population(past))  # type: ignore[misc]
        if np.shape(asked) != (len(some),) or np.asarray(asked).dtype != bool:
            raise _broken(
                what, f"asks {np.shape(asked)} {np.asarray(asked).dtype} of {len(some)} keys", "population gives one yes or no a key."
            )
        before = _run(what, lambda some=some: question.population(history.cut(int(some.cutoff[0])).before(some)))  # type: ignore[misc]
        if not np.array_equal(asked, before):
            raise _leaks(f"{what} (population)")
        _label(what, question, history, some)


def _label(what: str, question: Question, history: History, some: Keys) -> None:
    def told(known: History) -> Any:
        return _run(what, lambda: question.label(known.before(some), known.within(some, question.horizon_days)))

    label, last = told(history), int(some.cutoff[0]) + round((question.horizon_days + history.lateness_days) * DAY)
    if not isinstance(label, Labels) or len(label) != len(some):
        raise _broken(what, f"gives {type(label).__name__} of another length", f"label gives Labels of {len(some)} keys.")
    if not np.isfinite(label.value[label.observed]).all():
        raise _broken(what, "gives labels that are no numbers", "What was observed is a finite number.")
    if (label.end > last).any():
        raise _broken(what, "says that a label's window ends later than it does", "It ends within the horizon.")
    if last < history.end:
        cut = told(history.cut(last))
        both = label.observed & cut.observed
        if not np.array_equal(label.value[both], cut.value[both]) or (label.observed & ~cut.observed).any():
            raise _leaks(f"{what} (label, beyond its window)")


# ---------------------------------------------------------------------------------------------------------------- learners


def _learners(name: str, made: Extensions, history: History, keys: list[Keys], spec: Features, grid: Grid) -> None:
    """Hold the learners of an answer to their promises, as far as this log can teach them."""
    of = made.table[name]
    if of.room != "table" or of.block or of.rests:
        raise _broken(f"the answer {name!r}", "reads more than the table of features", "A shop's own learners read the table.")
    question = of.question(of.window(grid) or _HORIZON, ())
    late = keys[-1]
    asked = history.keys([*late.ids().to_list(), _STRANGER], int(late.cutoff[0]))
    train, ask = examples(history, spec, keys[0], (question,)), examples(history, spec, asked)
    listed = _run(f"the learners of {name!r}", lambda: made.further(name, grid) if name in ANSWERS else of.candidates(grid))
    if not listed:
        raise _broken(f"the answer {name!r}", "has no learner", "The floor is one at least.")
    for learner in listed:
        _learner(learner, train, ask, made)


def _learner(learner: Learner[Any], train: Examples, ask: Examples, made: Extensions) -> None:
    """Hold a learner to its promises: it learns the same twice, never answers for what it has seen, and answers whole."""
    if not hasattr(learner, "fit") or not hasattr(learner, "name") or hasattr(learner, "predict"):
        raise _broken(f"{learner!r}", "is no learner", "A learner has name and fit, and what it learned has predict.")
    what = f"the learner {learner.name!r}"
    try:
        model, again = (_run(what, lambda: learner.fit(train, None)) for _ in range(2))
    except NotEnoughDataError:
        return  # these few customers teach it nothing; whether it earns its place is seen when all do
    seen, latest = int(train.keys.cutoff.max()), max(int(label.end[label.observed].max(initial=0)) for label in train.labels.values())
    if not hasattr(model, "predict") or model.known_until < seen:
        raise _broken(what, "does not say until when it knows", "known_until is the end of the last window that it learned from.")
    answer = _run(what, lambda: model.predict(ask))
    _whole(what, answer, len(ask))
    if not _same(answer, _run(what, lambda: again.predict(ask))):
        raise _broken(what, "learned something else the second time", "The same examples teach the same.")
    few = np.arange(0, len(ask), 7)
    if not _same(answer.take(few), _run(what, lambda: model.predict(ask.take(few)))):
        raise _broken(what, "answers otherwise in other company", "What is forecast of one does not depend on who else is asked.")
    if model.known_until < latest:
        blind = _run(what, lambda: learner.fit(_otherwise(train), None).predict(ask))
        if not _same(answer, blind):
            raise _broken(what, "learns from windows that end after its known_until", "It is the end of the last one.")
    elif not _refuses(what, model, train):
        raise _broken(what, "answers for moments that it has learned from", "predict first calls refuse_leak.")
    if not _same(answer, _run(what, lambda: _stored(what, model, made).predict(ask))):
        raise _broken(what, "answers otherwise once it was stored", "A model is what is stored of it.")
    _stored(what, learner, made)


def _refuses(what: str, model: Any, train: Examples) -> bool:
    try:
        _run(what, lambda: model.predict(train))
    except LeakError:
        return True
    return False


def _otherwise(train: Examples) -> Examples:
    """Return the examples with other labels: what does not learn from them learns the same."""
    labels = {name: replace(label, value=label.value[::-1].copy()) for name, label in train.labels.items()}
    return replace(train, labels=labels)


def _whole(what: str, answer: Forecast, count: int) -> None:
    """Require a forecast for every key, of numbers."""
    if not isinstance(answer, TimeToEvent | Probability | Amount | Classes) or len(answer) != count:
        raise _broken(what, f"answers with {type(answer).__name__}", f"It answers with a forecast of {count} keys.")
    if not np.isfinite(_numbers(answer)).all():
        raise _broken(what, "answers with numbers that are none", "A forecast is finite for everybody; who is unknown gets the prior.")


def _numbers(answer: Any) -> Any:
    return next(getattr(answer, name) for name in ("survival", "chance", "mean") if hasattr(answer, name))


def _same(one: Forecast, other: Forecast) -> bool:
    return bool(np.array_equal(_numbers(one), _numbers(other)))
