"""Quality of the live part: what is lost, what is counted twice, and what a replay changes. All of it must be nothing."""

from collections.abc import Iterator

from benchmarks.quality.kills import kill
from benchmarks.quality.replays import breaks
from benchmarks.rows import Row

LOST = Row(area="live", name="lost", unit="acknowledged events", better="lower", target=0)
DOUBLED = Row(area="live", name="doubled", unit="events", better="lower", target=0)
PARITY = Row(area="live", name="parity_breaks", unit="histories", better="lower", target=0)
KILLS = 40
HISTORIES, STEPS = 30, 50


def rows() -> Iterator[Row]:
    found = kill(KILLS, seed=7)
    note = f"{KILLS} kills, {found.acknowledged:,} acknowledged events" + ("" if found.whole else "; the counts do not add up")
    yield LOST.got(found.lost + (not found.whole), note=note)
    yield DOUBLED.got(found.doubled, note=note)
    yield PARITY.got(breaks(HISTORIES, STEPS, seed=7), note=f"{HISTORIES} histories of {STEPS} steps")
