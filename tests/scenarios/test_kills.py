"""K1: whatever is killed while it writes, nothing acknowledged is lost and nothing is counted twice."""

import pytest

from benchmarks.quality.kills import kill


def test_killed_writers_lose_and_double_nothing() -> None:
    found = kill(8, seed=1)
    assert (found.lost, found.doubled, found.whole) == (0, 0, True), found
    assert found.acknowledged > 50


@pytest.mark.parametrize(("kind", "what"), [("hasty", "lost"), ("forgetful", "doubled"), ("eager", "lost")])
def test_the_harness_catches_a_journal_with_a_bug(kind, what) -> None:
    assert any(getattr(kill(4, kind, seed, rows=2_000), what) > 0 for seed in range(5))


@pytest.mark.nightly
def test_two_hundred_kills_lose_and_double_nothing() -> None:
    found = kill(200, seed=2, rows=200_000)
    assert (found.lost, found.doubled, found.whole) == (0, 0, True), found
