"""The quality of the further answers; area `answers`: each part of it is a file beside this one."""

from collections.abc import Iterator

from benchmarks.quality import cold_start, diginetica, reviews, segments, simulated_answers, tafeng, visits
from benchmarks.rows import Row


def rows() -> Iterator[Row]:
    """What comes next: the basket of a customer, the click of a session; texts of reviews; who is alike; visits; where truth is known."""
    yield from reviews.rows()
    yield from segments.rows()
    yield from tafeng.rows()
    yield from diginetica.rows()
    yield from visits.rows()
    yield from simulated_answers.rows()
    yield from cold_start.rows()
