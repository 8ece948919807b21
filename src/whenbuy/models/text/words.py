"""What a text is made of: words, pairs of words, pairs of characters where a language writes no spaces, and emoji."""

from __future__ import annotations

import re
from html import unescape
from itertools import pairwise
from typing import Final
from unicodedata import normalize

READ: Final = 20_000
"""So many characters of a text are read: beyond ten pages a review says nothing new, and time and memory stay bounded."""
LONGEST: Final = 40
"""A word is cut after so many characters."""

_HIDDEN: Final = re.compile(r"<(script|style)\b[^<>]{0,500}>.{0,5000}?</\1>", re.DOTALL | re.IGNORECASE)
_TAG: Final = re.compile(r"<!--.{0,2000}?-->|</?[a-zA-Z][^<>]{0,2000}>", re.DOTALL)
_UNSPACED: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_MARKS: Final = (
    "\u0300-\u036f\u0591-\u05bd\u0610-\u061a\u064b-\u065f\u0670\u0900-\u0903\u093a-\u094f\u0981-\u0983\u09bc-\u09cd\u0a3c-\u0a4d"
    "\u0abc-\u0acd\u0b3c-\u0b57\u0bbe-\u0bcd\u0c3e-\u0c56\u0cbc-\u0ccd\u0d3e-\u0d4d"
)
_EMOJI: Final = "\U0001f1e6-\U0001f1ff\U0001f300-\U0001f3fa\U0001f400-\U0001faff\u2600-\u27bf\u2b50\u2b55"
_PART: Final = re.compile(
    f"(?P<unspaced>[{_UNSPACED}]+)"
    f"|(?P<emoji>[\U0001f1e6-\U0001f1ff]{{2}}|[{_EMOJI}])"
    f"|(?P<face>(?<!\\w)[:;=]['-]?[()dp](?!\\w))"
    f"|(?P<word>(?:(?![{_UNSPACED}{_EMOJI}])[\\w{_MARKS}])+)"
)
_ASCII: Final = re.compile(r"(?<!\w)[:;=]['-]?[()dp](?!\w)|\w\w+", re.ASCII)


def plain(text: str) -> str:
    """Return the beginning of a text without HTML, in one form of Unicode (NFKC) and lower case."""
    head = unescape(_TAG.sub(" ", _HIDDEN.sub(" ", text[: 2 * READ])))
    return normalize("NFKC", head[:READ]).lower()[:READ]


def parts(text: str, pairs: bool = True) -> list[str]:
    """Return the terms of a text, in their order, the pairs of neighbouring words behind them.

    Words are what Unicode calls letters, digits and their marks. Runs of a script that is written without spaces (Chinese, Japanese, Thai,
    Lao, Khmer, Burmese) give their pairs of neighbouring characters, a run of one the character. Single letters of the others say little
    and are left out.

    Parameters
    ----------
    text
        Whatever somebody wrote.
    pairs
        Whether pairs of words are terms too.
    """
    words, others = _simple(clean) if (clean := plain(text)).isascii() else _any(clean)
    joined = [f"{one} {other}" for one, other in pairwise(words)] if pairs else []
    return words + others + joined


def _simple(clean: str) -> tuple[list[str], list[str]]:
    """Return the words of a text in ASCII, and its faces such as :); the same as `_any` at a third of its cost."""
    found = _ASCII.findall(clean)
    faces = [run for run in found if run[0] in ":;="]
    return [run[:LONGEST] for run in found if run[0] not in ":;="], faces


def _any(clean: str) -> tuple[list[str], list[str]]:
    """Return the words of a text, and what else it is made of."""
    words: list[str] = []
    others: list[str] = []
    for found in _PART.finditer(clean):
        run = found[0]
        if found.lastgroup == "word":
            if len(run) > 1:
                words.append(run[:LONGEST])
        elif found.lastgroup == "unspaced" and len(run) > 1:
            others += [run[i : i + 2] for i in range(len(run) - 1)]
        else:
            others.append(run)
    return words, others
