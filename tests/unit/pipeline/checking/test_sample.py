"""What only the rest of a log tells, against a slow loop."""

import numpy as np
import pytest

from tests.unit.pipeline.checking import planted
from whenbuy.core.arrays import DAY
from whenbuy.pipeline.checking.sample import coming, sampled, whole, yes_or_no


@pytest.fixture(scope="module")
def sample():
    return sampled(planted.history(planted.table(5, 40, 150)))


def slow(sample, row):
    """Return the orders of a row's customer, and how many come at or before it, and before it."""
    user = sample.user[row]
    orders = slice(sample.start[user], sample.stop[user])
    times, amounts = sample.order_time[orders], sample.order_amount[orders]
    return times, amounts, int((times <= sample.time[row]).sum()), int((times < sample.time[row]).sum())


def test_orders_are_those_of_the_log(sample) -> None:
    frame = planted.orders(planted.table(5, 40, 150))
    per_user = frame.group_by("user_id").len().filter(frame.group_by("user_id").len()["len"] > 1)
    assert len(sample.start) == len(per_user)
    assert len(sample.order_time) == per_user["len"].sum()
    kept = frame.join(per_user, on="user_id", how="semi")
    assert sample.order_amount.sum() == pytest.approx(kept["amount"].sum())
    assert (np.diff(sample.start) > 0).all()


def test_places_and_numbers(sample) -> None:
    told, ahead, truths = ({each.words: each for each in part} for part in (whole(sample), coming(sample), yes_or_no(sample)))
    for row in range(0, len(sample), 37):
        times, amounts, upto, before = slow(sample, row)
        now = sample.time[row]
        assert (sample.upto[row] - sample.start[sample.user[row]], sample.before[row] - sample.start[sample.user[row]]) == (upto, before)
        expected = {
            "the number of orders in the customer's whole history": len(times),
            "the spend of the customer's whole history": amounts.sum(),
            "the mean order of the customer's whole history": amounts.mean(),
            "the number of orders still to come": len(times) - upto,
            "the spend still to come": amounts[upto:].sum(),
            "the days from the customer's last order to the end of the log": (sample.log.end - times[-1]) / DAY,
            "the days from the customer's first to her last order": (times[-1] - times[0]) / DAY,
        }
        for words, value in expected.items():
            assert told[words].value[row] == pytest.approx(value), words
        assert told["the number of orders in the customer's whole history"].past[0][row] == upto
        nothing = np.nan
        assert ahead["the amount of the customer's next order"].value[row] == pytest.approx(
            amounts[upto] if upto < len(times) else nothing, nan_ok=True
        )
        closed = now + 30 * DAY <= sample.log.end
        inside = (times > now) & (times <= now + 30 * DAY)
        count = ahead["the number of orders within the next 30 days"].value[row]
        assert count == pytest.approx(inside.sum() if closed else nothing, nan_ok=True)
        spend = ahead["the spend within the next 30 days"].value[row]
        assert spend == pytest.approx(amounts[inside].sum() if closed else nothing, nan_ok=True)
        assert truths["whether the customer ever orders again"].value[row] == (upto < len(times))


def test_one_customer_with_one_order_is_no_sample() -> None:
    frame = planted.table(5, 40, 150)
    first = planted.orders(frame).group_by("user_id", maintain_order=True).first()
    one = frame.join(first.select("user_id", "order_id"), on=["user_id", "order_id"], how="semi")
    assert sampled(planted.history(one)) is None
