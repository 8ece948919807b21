"""Raw files for the contracts: CSV rows as a shop's till writes them, with everything that can be wrong and when it became known."""

import csv
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import strategies as st

from whenbuy.core.arrays import DAY
from whenbuy.core.clock import Clock

COLUMNS = ("user", "what", "happened", "known", "event", "order", "item", "amount", "pieces")
NAMED = {
    "user_id": "user", "kind": "what", "time": "happened", "known_at": "known", "event_id": "event", "order_id": "order", "item_id": "item",
    "amount": "amount", "quantity": "pieces",
}  # fmt: skip
KINDS = {"view": "view", "buy": "purchase", "back": "refund", "cart": "cart"}
START = Clock().instant("2020-01-06")
NOW = START + 400 * DAY
HOUR = DAY // 24


def written(instant):
    """An instant as ISO 8601 with its zone."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(instant))).isoformat()


@st.composite
def rows(draw, size=40):
    """Rows of a few users: ties, late rows, repeated rows, refunds, strangers, gaps and nonsense."""
    hour = st.integers(0, 40 * 24)
    made = []
    for _ in range(draw(st.integers(1, size))):
        time = START + draw(hour) * HOUR
        late = draw(st.sampled_from([0, 0, 0, 0, HOUR, 3 * DAY, 20 * DAY, -DAY]))
        row = {
            "user": draw(st.sampled_from(["ann", "ann", "bob", "cec", "test-1", ""])),
            "what": draw(st.sampled_from(["buy", "buy", *KINDS])),
            "happened": time, "known": time + late, "event": draw(st.sampled_from(["", "", "e1", "e2", "e3"])),
            "order": draw(st.sampled_from(["", "o1", "o2", "o3"])), "item": draw(st.sampled_from(["", "i1", "i2"])),
            "amount": draw(st.sampled_from(["", "0.00", "9.99", "120.50", "-9.99"])), "pieces": draw(st.sampled_from(["", "1", "2", "-1"])),
        }  # fmt: skip
        made.append(row)
        if draw(st.integers(0, 5)) == 0:
            again = draw(st.sampled_from([0, 2_000_000, 5 * DAY]))
            made.append(row | {"known": row["known"] + again})
    return draw(st.permutations(made)) if draw(st.booleans()) else sorted(made, key=known)


def known(row):
    """The instant from which a row can be known: never before it happened."""
    return max(row["happened"], row["known"])


def save(made, path: Path) -> Path:
    """Write rows as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(row | {"happened": written(row["happened"]), "known": written(row["known"])} for row in made)
    path.write_text(text.getvalue())
    return path
