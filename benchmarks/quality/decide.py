"""The quality of decisions: effects of offers, plans from them, and judging a policy by the log of another; area `decide`."""

from collections.abc import Iterator

from benchmarks.quality import hillstrom, openbandit, plans, simulated_promotions
from benchmarks.rows import Row


def rows() -> Iterator[Row]:
    for part in (hillstrom, openbandit, plans, simulated_promotions):
        yield from part.rows()
