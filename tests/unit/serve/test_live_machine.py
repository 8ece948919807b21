"""K5: the same answers after any replay."""

import msgspec
import pytest

from tests.unit.serve.live_machine import LiveMachine, check
from whenbuy.serve.live import LiveState


def test_the_same_answers_whatever_happens():
    check(LiveMachine, 20, 25)


@pytest.mark.nightly
def test_the_same_answers_whatever_happens_at_length():
    check(LiveMachine, 300, 50)


class CountsTwice(LiveState):
    """A planted bug: an event that comes again counts again."""

    def apply(self, seq, event):
        if seq <= self.seq:
            self.seq, seq_then = seq - 1, self.seq
            super().apply(seq, event)
            self.seq = seq_then
        else:
            super().apply(seq, event)


class ForgetsAtTheCrash(LiveState):
    """A planted bug: a snapshot says that it knows more than it holds."""

    def snapshot(self, folder):
        tail, self._tail = self._tail, {}
        super().snapshot(folder)
        self._tail = tail


class NeverLate(LiveState):
    """A planted bug: an event happened when it arrived."""

    def _enter(self, known, event):
        super()._enter(known, msgspec.structs.replace(event, time=event.known_at))


@pytest.mark.parametrize("bug", [CountsTwice, ForgetsAtTheCrash, NeverLate])
def test_the_machine_finds_a_planted_bug(bug):
    with pytest.raises(AssertionError):
        check(type("Machine", (LiveMachine,), {"state_class": bug}), 60, 20, shrink=False)
