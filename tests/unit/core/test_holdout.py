"""Who is held out: stable, a share of the customers, and independent of who else is asked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whenbuy.core.errors import UsageError
from whenbuy.core.holdout import hold_out

USERS = [f"u{number}" for number in range(20_000)]


def test_the_share_is_held_out_whatever_the_ids_look_like() -> None:
    for share in (0.05, 0.1, 0.5):
        spread = 5.0 * np.sqrt(share * (1.0 - share) / len(USERS))
        for salt in ("0", "1", "a long name of a campaign " * 10):
            assert abs(hold_out(USERS, share, salt).mean() - share) < spread
    assert hold_out(USERS, 1.0, "0").all()
    assert not hold_out(USERS, 0.0, "0").any()


def test_it_is_the_same_in_every_run_and_on_every_machine() -> None:
    assert np.flatnonzero(hold_out(USERS[:60], 0.1, "1")).tolist() == PUBLISHED


@given(st.lists(st.text(), min_size=1, max_size=20), st.floats(0, 1), st.floats(0, 1), st.text(max_size=80))
def test_nobody_depends_on_others_and_a_larger_share_holds_the_smaller(users: list[str], one: float, other: float, salt: str) -> None:
    small, large = sorted((one, other))
    held = hold_out(users, small, salt)
    assert held.tolist() == [bool(hold_out([user], small, salt)[0]) for user in users]
    assert not (held & ~hold_out(users, large, salt)).any()


def test_another_salt_draws_an_independent_group() -> None:
    one, other = hold_out(USERS, 0.5, "spring"), hold_out(USERS, 0.5, "autumn")
    assert abs((one & other).mean() - 0.25) < 0.02


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_what_is_no_share_is_refused(share: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        hold_out(["a"], share, "0")


PUBLISHED = [8, 22, 25, 41, 43, 49]
