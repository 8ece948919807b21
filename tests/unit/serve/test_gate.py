"""The gate: what is asked beyond what the machine can do is refused at once, whatever a request costs (R6, with a clock of its own)."""

import random
from heapq import heappop, heappush

import pytest

from whenbuy.serve.limits import Gate

TURN_S = 0.0005
"""What a turn of the loop costs beside its work."""
SHED_S = 0.000025
BEAT_S = 0.01


def overloaded(gate, cost_s, seconds=20.0, times=3.0, seed=0):
    """A loop that takes whatever has come, in turns, and does the work of it in the turn after; more comes than it can do.

    Returns the seconds to each refusal, the seconds to each answer, and the share of the time that went into answers.
    """
    rng = random.Random(seed)
    now, due, next_beat, busy = 0.0, 0.0, BEAT_S, 0.0
    arrivals, in_hand = [], []
    refused, answered = [], []
    while now < seconds:
        while due <= now:
            heappush(arrivals, due)
            due += rng.expovariate(times / cost_s)
        turn = TURN_S
        for came in in_hand:
            turn += cost_s
            busy += cost_s
            answered.append(now + turn - came)
            gate.leave(1.0)
        in_hand = []
        while arrivals:
            came = heappop(arrivals)
            if gate.enter(1.0):
                in_hand.append(came)
            else:
                turn += SHED_S
                refused.append(now + turn - came)
        now += turn
        if now >= next_beat:
            gate.beat(now - next_beat)
            next_beat = now + BEAT_S
    return sorted(refused), sorted(answered), busy / seconds


def at(seconds, part):
    return seconds[int(len(seconds) * part)]


def require_well(found):
    refused, answered, busy = found
    assert at(refused, 0.5) <= 0.05
    assert at(refused, 0.95) <= 0.05
    assert at(answered, 0.95) <= 0.1
    assert busy > 0.6  # it does not refuse for the sake of refusing


@pytest.mark.parametrize("cost_ms", [0.2, 1, 5])
def test_three_times_too_much_is_refused_at_once_and_the_rest_is_done(cost_ms):
    require_well(overloaded(Gate(512, 0.01), cost_ms / 1000))


def test_the_harness_finds_a_gate_that_counts_instead_of_measuring():  # a planted bug
    class Counting(Gate):
        def beat(self, lag_s):
            pass

    with pytest.raises(AssertionError):
        require_well(overloaded(Counting(512, 0.01), 0.005))


def test_less_than_it_can_is_never_refused():
    refused, answered, _ = overloaded(Gate(512, 0.01), 0.001, seconds=5.0, times=0.5)
    assert not refused
    assert len(answered) > 2_000


def test_after_the_rush_a_burst_is_let_in_again():
    gate = Gate(512, 0.01)
    overloaded(gate, 0.005, seconds=2.0)
    gate.inside = 0.0
    for _ in range(300):  # three seconds of calm
        gate.beat(0.0)
    assert all(gate.enter(1.0) for _ in range(200))
    assert gate.open


def test_it_never_closes_whatever_is_measured():
    gate = Gate(512, 0.01)
    for _ in range(1_000):
        gate.beat(60.0)
    assert gate.enter(1_000.0)  # one large request at least
    assert not gate.enter(1.0) or gate.limit > 1_000
