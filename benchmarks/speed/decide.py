"""Speed of decisions; area `decide`."""

from benchmarks.speed.plan import rows

__all__ = ["rows"]
