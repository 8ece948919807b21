"""Who is held out: a share of the customers that no campaign reaches, so that what a campaign brings can be measured against them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

import numpy as np

from whenbuy.core.arrays import Bools
from whenbuy.core.errors import UsageError

_BYTES: Final = 8
_MOST_KEY: Final = 64
"""A key of BLAKE2b has at most so many bytes (RFC 7693, section 2.1)."""


def hold_out(user_ids: Iterable[str], share: float, salt: str) -> Bools:
    """Return for each customer whether they are held out, shape (customers,).

    It is decided by a hash of the id under a key: the same customer is always on the same side, whoever else is asked and whenever. Who is
    held out at a small share is held out at every larger one. Without the key nobody can tell from an id on which side it lies.

    Parameters
    ----------
    user_ids
        The customers' ids.
    share
        Which share of all customers is held out, in [0, 1].
    salt
        The key: another one draws another group. Use the shop's seed, and a name of the campaign where groups must be independent.

    Raises
    ------
    UsageError
        When the share is no share.

    Notes
    -----
    Eight bytes of BLAKE2b under a key (RFC 7693) are a number drawn evenly from [0, 2^64); who lies below share · 2^64 is held out.
    """
    if not 0.0 <= share <= 1.0:
        raise UsageError(f"The share held out is {share:g}.", "It lies between 0 and 1.", "Write 0.1 for a tenth.")
    key = salt.encode("utf-8", "surrogatepass")
    key = key if len(key) <= _MOST_KEY else hashlib.blake2b(key).digest()
    keyed = hashlib.blake2b(digest_size=_BYTES, key=key, person=b"whenbuy hold out")
    below = int(share * 2.0 ** (8 * _BYTES))
    return np.fromiter((_draw(keyed, user) < below for user in user_ids), dtype=np.bool_)


def _draw(keyed: hashlib.blake2b, user: str) -> int:
    state = keyed.copy()
    state.update(user.encode("utf-8", "surrogatepass"))
    return int.from_bytes(state.digest(), "big")
