"""Texts of the outside world as a page, a picture or a screen can show them."""

from __future__ import annotations

import re
from typing import Final

_UNPRINTABLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffe\uffff]")


def printable(text: str) -> str:
    """Return the text with a replacement mark for what no page can show: control characters and overrides of the writing direction."""
    return _UNPRINTABLE.sub("\ufffd", text)


def label(name: str, longest: int = 28) -> str:
    """Return a name as a page shows it: printable, in quotes where there is nothing to see, without its middle where it is long."""
    clean = printable(name[: 2 * longest] + name[-longest:] if len(name) > 3 * longest else name)
    if not clean.strip():
        return f"“{clean[:longest]}”"
    return clean if len(clean) <= longest else f"{clean[: longest - 8]}…{clean[-7:]}"
