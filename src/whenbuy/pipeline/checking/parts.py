"""What a checkup is made of: columns, remarks, questions and leaks, each one row of a table and one sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Level = Literal["fine", "note", "warning"]
Grade = Literal["ready", "thin", "not possible"]
Certainty = Literal["sure", "suspected"]
UNUSED: Final = ""


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """What one column of a source is.

    Parameters
    ----------
    name
        Its name in the source.
    role
        What it was taken for: one of our columns, "attribute" where it rides along, empty where it was not used.
    confidence
        How sure that is, from 0 to 1.
    reason
        Why.
    type
        What it holds, in a word: name, number, whole number, yes or no, time, text.
    missing
        Share of the rows without a value.
    distinct
        How many different values it has.
    examples
        Some of its values, the commonest first where they are names.
    low, high
        Its range, as a person writes it; empty where there is none.
    serves
        What it is good for, or could be.
    """

    name: str
    role: str
    confidence: float
    reason: str
    type: str
    missing: float
    distinct: int
    examples: tuple[str, ...] = ()
    low: str = ""
    high: str = ""
    serves: str = ""


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing to know about the data.

    Parameters
    ----------
    topic
        What it is about, such as "refunds" or "time zone".
    level
        fine, note (it was dealt with, or is good to know) or warning (look at it).
    words
        What was found and what was done with it.
    rows
        How many rows it concerns; None where rows are not what is counted.
    """

    topic: str
    level: Level
    words: str
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether one question can be answered.

    Parameters
    ----------
    question
        The name of the answer: purchase, orders, amount, spend, redemption or classes.
    asks
        The question in words.
    grade
        ready, thin (an answer with wide intervals, or one that could not be checked) or not possible.
    words
        What it needs and what there is, in counts.
    missing
        What would make it better: a column, or more data.
    """

    question: str
    asks: str
    grade: Grade
    words: str
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Leak:
    """A column that knows the future.

    Parameters
    ----------
    column
        Its name.
    of
        Whose attribute it is: event, user or item.
    certainty
        sure, or suspected where something else could explain the evidence.
    why
        What it seems to be.
    evidence
        The numbers.
    do
        What to do.
    """

    column: str
    of: str
    certainty: Certainty
    why: str
    evidence: str
    do: str


@dataclass(frozen=True, slots=True)
class Drift:
    """How one thing differs in one month from all months before it.

    Parameters
    ----------
    month
        Such as 2023-04.
    what
        events per day, orders per day, kinds, amount, or missing NAME.
    measure
        How the effect is measured: ratio, psi, smd (standardized difference of means) or points.
    effect
        Its size in that measure.
    size
        small, moderate or large.
    words
        The same in a sentence.
    """

    month: str
    what: str
    measure: str
    effect: float
    size: str
    words: str
