"""The pump: where it is stopped, it goes on; what fails is tried again with the same rows."""

import threading

import pytest

from whenbuy.core.errors import AccessError, DependencyError, InputError
from whenbuy.ingest.reception import Event
from whenbuy.ingest.sources.stream import Chunk
from whenbuy.serve.pump import pump
from whenbuy.serve.sqlite_journal import SqliteJournal

NOW = 1_700_000_000_000_000


class Numbers:
    """A source of events 0, 1, 2, …, whose rows have ids only where they are asked to."""

    name = "numbers"

    def __init__(self, last: int, fail_at: int | None = None) -> None:
        self.last, self.at, self.fail_at, self.acknowledged = last, None, fail_at, []

    def read(self, positions, most, now):
        if self.at is None:
            self.at = int(positions(self.name) or 0)
        if self.fail_at == self.at:
            self.fail_at = None
            raise DependencyError("The source is away.", "It must answer.", "Wait.")
        rows = [Event("numbers", str(i), "u", "view", now, now, {}) for i in range(self.at, min(self.at + most, self.last))]
        self.at += len(rows)
        return Chunk(rows, self.name, str(self.at)) if rows else None

    def done(self, chunk):
        self.acknowledged.append(chunk.position)

    def close(self):
        pass


@pytest.fixture
def journal(tmp_path):
    made = SqliteJournal(tmp_path / "journal.sqlite")
    yield made
    made.close()


def run(journal, stream, **more):
    return pump(journal, stream, **{"follow": False, "now": lambda: NOW, "stop": threading.Event(), "most": 10, "poll_s": 0.01} | more)


def test_it_reads_to_the_end_and_goes_on_from_there(journal) -> None:
    assert run(journal, Numbers(25)).accepted == 25
    assert journal.position("numbers") == "25"
    done = run(journal, Numbers(40))
    assert (done.sent, done.accepted, done.duplicate) == (15, 15, 0)


def test_a_source_hears_of_what_is_durable_only(journal, monkeypatch) -> None:
    stream, real = Numbers(25), journal.take

    def take(batch, position=None):
        assert str(position[1]) not in stream.acknowledged
        return real(batch, position)

    monkeypatch.setattr(journal, "take", take)
    run(journal, stream)
    assert stream.acknowledged == ["10", "20", "25"]


def test_what_fails_while_it_follows_is_tried_again(journal, monkeypatch) -> None:
    stream, stop, told, real, failures = Numbers(25, fail_at=20), threading.Event(), [], journal.take, [10, 10]
    monkeypatch.setattr("whenbuy.serve.pump._FIRST_WAIT_S", 0.001)

    def take(batch, position=None):
        if failures and int(position[1]) == 10 + failures[-1]:
            failures.pop()
            raise AccessError("The disk is full.", "There must be room.", "Make some.")
        receipt = real(batch, position)
        if journal.last() == 25:
            stop.set()
        return receipt

    monkeypatch.setattr(journal, "take", take)
    done = run(journal, stream, follow=True, stop=stop, say=told.append)
    assert (done.sent, done.accepted, len(told)) == (25, 25, 3)
    assert journal.counts().whole


def test_what_fails_otherwise_ends_it(journal) -> None:
    with pytest.raises(DependencyError):
        run(journal, Numbers(25, fail_at=10))
    assert journal.last() == 10
    assert run(journal, Numbers(25)).accepted == 15


def test_what_cannot_be_mended_ends_it_always(journal) -> None:
    stream = Numbers(5)

    def read(*_):
        raise InputError("This is no source.", "It must be one.", "Name another.")

    stream.read = read
    with pytest.raises(InputError):
        run(journal, stream, follow=True)


def test_a_stopped_pump_has_lost_nothing(journal) -> None:
    stop = threading.Event()
    stop.set()
    assert run(journal, Numbers(5), follow=True, stop=stop).sent == 0
    assert run(journal, Numbers(5)).accepted == 5
