"""K5 and K7 for the journal: after any history the log is that of one import of what was accepted, and the counts add up."""

import pytest

from benchmarks.quality.replays import breaks


def test_any_history_ends_with_the_log_of_one_import() -> None:
    assert breaks(histories=5, steps=25) == 0


@pytest.mark.parametrize("kind", ["twice", "soft", "silent", "generous"])
def test_the_harness_catches_a_journal_with_a_bug(kind) -> None:
    assert breaks(histories=3, steps=25, kind=kind) > 0


@pytest.mark.nightly
def test_three_hundred_histories_of_fifty_steps() -> None:
    assert breaks(histories=300, steps=50, seed=1) == 0
