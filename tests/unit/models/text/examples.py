"""Texts whose ratings are known."""

import numpy as np

from whenbuy.core.arrays import DAY
from whenbuy.core.examples import Examples, Labels, Table
from whenbuy.core.keys import Keys
from whenbuy.core.log import Dictionary
from whenbuy.core.texts import Texts
from whenbuy.models.text.fields import BLOCK

SAID = {
    1: ("broke after a day", "cheap and broke", "bad seam, sent back"), 3: ("it is fine", "fine for the price", "does what it should"),
    5: ("love the colour", "perfect, love it", "soft and perfect"),
}  # fmt: skip


def drawn(n, seed=0):
    """Ratings, and bodies and titles that go with them."""
    rng = np.random.default_rng(seed)
    rating = rng.choice(list(SAID), n)
    body = [f"{SAID[r][rng.integers(3)]} {SAID[r][rng.integers(3)]} size {rng.integers(9) + 10}" for r in rating]
    title = [SAID[r][0] if rng.random() < 0.5 else None for r in rating]
    return rating.astype(float), body, title


def asked(texts, rating=None, day=0.0):
    """Examples of texts, known one a day."""
    n = len(texts)
    at = np.round((day + np.arange(n)) * DAY).astype(np.int64)
    keys = Keys("user", np.arange(n, dtype=np.int32), at, Dictionary.of(f"u{i}" for i in range(n)))
    table = Table((), np.empty((n, 0), np.float32))
    labels = {} if rating is None else {"rating": Labels(np.nan_to_num(rating), np.isfinite(rating), at)}
    return Examples(keys, table, labels, lambda days, rows: table.take(rows), blocks={BLOCK: texts})


def examples(n=300, seed=0, day=0.0):
    rating, body, title = drawn(n, seed)
    return asked(Texts.of(text=body, title=title), rating, day)
