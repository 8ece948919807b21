"""Progress: words about a long work that carry how much of it is done."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Say = Callable[[str], None]
"""Where words about the progress go."""


class Step(str):
    """Words about a long work, with the share of it that is done when they are said.

    Whoever wants words alone takes it as the text that it is.
    """

    __slots__ = ("share",)
    share: float

    def __new__(cls, text: str, share: float) -> Step:
        """Return a step; the share lies between 0 and 1."""
        made = super().__new__(cls, text)
        made.share = min(max(share, 0.0), 1.0)
        return made


def stepwise(say: Say, weights: Sequence[float]) -> Say:
    """Return where to say that the next step is done.

    Parameters
    ----------
    say
        Where the words go.
    weights
        How much work each step is, in the order in which they are said; with more words than steps all is done.
    """
    total, left, done = sum(weights) or 1.0, iter(weights), 0.0

    def told(text: str) -> None:
        nonlocal done
        done += next(left, 0.0)
        say(Step(text, done / total))

    return told


def part(say: Say, start: float, end: float) -> Say:
    """Return where a work says its steps that is the part from ``start`` to ``end`` of a longer one."""

    def told(text: str) -> None:
        say(Step(text, start + (end - start) * text.share) if isinstance(text, Step) else text)

    return told
