"""A small shop whose reviews are written for a test."""

from datetime import datetime, timedelta
from functools import cache

import numpy as np
import polars as pl

from whenbuy.core.history import History
from whenbuy.ingest.read import read

START = datetime(2024, 1, 1, 12)
GOOD = ("love the soft colour", "perfect fit, love it", "great quality and soft", "fits me well, great")
BAD = ("broke after a day", "seam broke, poor quality", "poor glue, it broke", "sent back, poor")
SMALL = ("far too small, tight", "tight at the waist, small", "too small, runs tight", "small and tight sleeves")


def history(rows, **columns) -> History:
    """Return the history of (user, day, item, rating, text) reviews and a purchase of each user before them."""
    table = pl.DataFrame(
        {
            "user_id": [row[0] for row in rows], "time": [START + timedelta(days=row[1]) for row in rows], "kind": ["review"] * len(rows),
            "item_id": [row[2] for row in rows], "rating": pl.Series([row[3] for row in rows], dtype=pl.Float64),
            "text": pl.Series([row[4] for row in rows], dtype=pl.String), **columns,
        }
    )  # fmt: skip
    users = table["user_id"].unique(maintain_order=True)
    bought = pl.DataFrame({"user_id": users, "time": [START - timedelta(days=1)] * len(users), "kind": ["purchase"] * len(users)})
    return read(pl.concat([bought, table], how="diagonal")).history


def drawn(n=240, seed=0):
    """Return reviews of four items: mug, lamp and vase are good, with flaws now and then; shoe turns small on day 60."""
    rng = np.random.default_rng(seed)
    rows = []
    for place in range(n):
        day, item = 120 * place / n, ("mug", "lamp", "vase", "shoe")[place % 4]
        fallen = item == "shoe" and day >= 60
        good = rng.random() < (0.15 if fallen else 0.8)
        texts = GOOD if good else SMALL if fallen else BAD
        rating = float(rng.choice([4, 5] if good else [1, 2]))
        rows.append((f"u{rng.integers(60)}", day, item, rating, f"{texts[rng.integers(4)]}, {texts[rng.integers(4)]}"))
    return rows


@cache
def shop() -> History:
    return history(drawn())
