"""The quality of the further answers; area `answers`: each part of it is a file beside this one."""

from collections.abc import Iterator

from benchmarks.quality import diginetica, reviews, segments, tafeng
from benchmarks.rows import Row


def rows() -> Iterator[Row]:
    """What comes next: the basket of a customer, the click of a session; what texts of reviews say; who is alike."""
    yield from reviews.rows()
    yield from segments.rows()
    yield from tafeng.rows()
    yield from diginetica.rows()
