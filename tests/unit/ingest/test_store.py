"""The stored log: what was written comes back, and whoever dies on the way leaves the old log or the new one."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whenbuy.core.arrays import DAY, MISSING
from whenbuy.core.clock import Clock
from whenbuy.core.errors import AccessError, BusyError, ColumnError, DamagedError, NotFoundError
from whenbuy.core.history import History
from whenbuy.core.log import Column, Dictionary
from whenbuy.core.profile import Profile
from whenbuy.ingest import store
from whenbuy.ingest.group import group
from whenbuy.ingest.lines import Lines
from whenbuy.ingest.store import POINTER, append, open_log, write_log, writing

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs fork, signals and rights as POSIX has them")
ITEMS = ("apple", "b\0b", "ä", "x" * 300)


def lines(rows, late=True):
    """Return lines of (user, kind, time, delay, item, amount) rows; a user or an item of -1 is none."""
    parts = [np.array(part, np.int64) for part in zip(*rows, strict=True)] if rows else [np.empty(0, np.int64)] * 6
    (user, users), (kind, kinds), (item, items) = (
        _coded(parts[i], names) for i, names in ((0, "uvwxyz"), (1, ("view", "purchase")), (4, ITEMS))
    )
    time = parts[2]
    known_at = time + parts[3] if late and parts[3].any() else time
    columns = {"item_id": Column(item, Dictionary.of(items)), "amount": Column(parts[5], scale=100)}
    return Lines(Dictionary.of(users), user, tuple(kinds), kind.astype(np.uint8), time, known_at, columns)


def _coded(values, names):
    """Return codes in the order of first appearance, as a builder gives them."""
    seen = list(dict.fromkeys(int(value) for value in values if value >= 0))
    return np.array([seen.index(value) if value >= 0 else -1 for value in values], np.int32), [names[place] for place in seen]


def some(n, seed=0, users=6, late=True, start=0):
    rng = np.random.default_rng(seed)
    delay = rng.choice([0, 0, 0, DAY], n) if late else np.zeros(n, np.int64)
    time = start + rng.integers(0, 40, n) * DAY // 4
    amount = np.where(rng.random(n) < 0.2, MISSING, rng.integers(0, 9_999, n))
    return lines(
        list(zip(rng.integers(-1, users, n), rng.integers(0, 2, n), time, delay, rng.integers(-1, 4, n), amount, strict=True)), late
    )


def history(n=50, seed=0, **settings):
    return History(group(some(n, seed, **settings)))


def plain(history):
    """Return everything a history says, as plain data."""
    log, profiles = history.log, (history.users, history.items, history.offers)
    columns = {n: (c.values.tolist(), c.scale, c.dictionary is not None and c.dictionary.ids.to_list()) for n, c in log.columns.items()}
    return {
        "frame": log.frame().to_dict(as_series=False),
        "users": log.users.ids.to_list(),
        "kinds": log.kinds,
        "offsets": log.offsets.tolist(),
        "kind": log.kind.tolist(),
        "end": log.end,
        "late": log.late,
        "by_time": None if log.by_time is None else log.by_time.tolist(),
        "columns": columns,
        "clock": history.clock,
        "lateness_days": history.lateness_days,
        "profiles": [p and (p.entity, p.timeless, p.table.to_dict(as_series=False)) for p in profiles],
    }


def files(folder):
    """Return the bytes of every file in a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()}


def generations(folder):
    return sorted(path.name for path in Path(folder).iterdir() if path.is_dir())


# ------------------------------------------------------------------------------------------------ round trip


@pytest.mark.parametrize("late", [False, True])
def test_what_was_written_comes_back(tmp_path, late):
    users = pl.DataFrame(
        {"id": ["u", "v"], "valid_from": [None, None], "age": [40, None]}, schema_overrides={"valid_from": pl.Datetime("us", "UTC")}
    )
    items = pl.DataFrame({"id": ["apple"], "tags": [["a", "b"]], "colour": pl.Series(["red"], dtype=pl.Categorical)})
    written = History(group(some(50, late=late)), Clock("Europe/Berlin"), Profile("user", users), Profile("item", items, True), None, 2.5)
    write_log(written, tmp_path / "new" / "folder")
    opened = open_log(tmp_path / "new" / "folder", verify=True)
    assert plain(opened) == plain(written)
    assert opened.items is not None
    assert opened.items.table.schema == items.schema
    assert (opened.log.time is opened.log.known_at) is not late


def test_a_log_of_nobody_and_nothing_comes_back(tmp_path):
    for number, written in enumerate((History(group(lines([(-1, 0, 5, 0, -1, MISSING)]))), history().cut(-1))):
        write_log(written, tmp_path / str(number))
        assert plain(open_log(tmp_path / str(number))) == plain(written)


def test_columns_are_views_that_cannot_harm_the_files(tmp_path):
    write_log(history(), tmp_path)
    before, log = files(tmp_path), open_log(tmp_path).log
    for values in (log.known_at, log.time, log.kind, log.by_time, log.offsets, *(column.values for column in log.columns.values())):
        assert isinstance(values.base.base, np.memmap) or isinstance(values.base, np.memmap) or values.base is not None
        assert not values.flags.owndata
        assert values.flags.aligned
        values[:] = 0  # kernels are compiled for writable arrays; what is written stays in this process
    assert files(tmp_path) == before


def test_the_hot_columns_are_small(tmp_path):
    log = group(lines([(0, 0, place, 0, 0, 0) for place in range(10_000)]))
    write_log(
        History(
            type(log)(log.users, log.kinds, log.offsets, log.known_at, log.time, log.kind, {"item_id": log.columns["item_id"]}, log.end)
        ),
        tmp_path,
    )
    assert sum(path.stat().st_size for path in tmp_path.rglob("events.arrow")) < 13.3 * len(log)


def test_other_tools_can_read_the_events(tmp_path):
    write_log(history(late=False), tmp_path)
    table = pl.read_ipc(tmp_path / "log-000001" / "events.arrow")
    assert table["known_at"].dtype == pl.Datetime("us", "UTC")
    assert table.columns[:2] == ["known_at", "kind"]


def test_the_same_history_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_log(history(), tmp_path / name)
        append(tmp_path / name, some(9, seed=5))
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_a_write_replaces_the_log_and_leaves_nothing_of_it(tmp_path):
    write_log(history(), tmp_path)
    (tmp_path / "log-notes").mkdir()
    write_log(history(20, seed=1), tmp_path)
    assert plain(open_log(tmp_path)) == plain(history(20, seed=1))
    assert generations(tmp_path) == ["log-000002", "log-notes"]


# ------------------------------------------------------------------------------------------------ append

instants = st.integers(0, 6).map(lambda place: place * DAY // 2)
row = st.tuples(
    st.integers(-1, 5), st.integers(0, 1), instants, st.sampled_from([0, 0, DAY]), st.integers(-1, 3), st.sampled_from([MISSING, 0, 150])
)


@settings(max_examples=40)
@given(st.lists(st.lists(row, min_size=1, max_size=12), min_size=2, max_size=3), st.booleans())
def test_appending_equals_importing_at_once(parts, late):
    with tempfile.TemporaryDirectory() as folder:
        write_log(History(group(lines(parts[0], late))), folder)
        for part in parts[1:]:
            appended = append(folder, lines(part, late)).history
        at_once = group(lines([row for part in parts for row in part], late))
        assert plain(appended) == plain(History(at_once))
        assert plain(open_log(folder, verify=True)) == plain(appended)


def test_appending_keeps_what_the_history_says(tmp_path):
    profile = Profile("user", pl.DataFrame({"id": ["u"]}), timeless=True)
    write_log(History(history().log, Clock("Asia/Tokyo"), profile, lateness_days=3.0), tmp_path)
    appended = append(tmp_path, some(5, start=100 * DAY)).history
    assert (appended.clock.zone, appended.lateness_days, appended.users is not None) == ("Asia/Tokyo", 3.0, True)
    assert appended.end % DAY == 15 * 3_600_000_000  # midnight in Tokyo
    assert append(tmp_path, lines([])).history.end == appended.end
    assert append(tmp_path, lines([]), end=appended.end + 5).history.end == appended.end + 5


def test_appending_nothing_changes_nothing(tmp_path):
    write_log(history(), tmp_path)
    assert plain(append(tmp_path, lines([])).history) == plain(history())


def test_events_that_are_there_already_are_not_appended_again(tmp_path):
    def sent(*ids):
        rows = [(0, 0, place * DAY // 2, 0, 0, 100) for place in range(len(ids))]
        made = lines(rows)
        names = Dictionary.of(dict.fromkeys(i for i in ids if i is not None))
        column = Column(names.codes(pl.Series(ids, dtype=pl.String)), names)
        return replace(made, columns={**made.columns, "event_id": column})

    write_log(History(group(sent("a", "b", None, "c"))), tmp_path)
    write_log(open_log(tmp_path).cut(int(open_log(tmp_path).log.known_at[3])), tmp_path)  # c is a name of no row now
    twice = append(tmp_path, sent("d", "b", None, "d", "c"))
    assert (twice.added, twice.repeated) == (3, 2)
    assert sorted(map(str, twice.history.log.frame()["event_id"])) == ["None", "None", "a", "b", "c", "d"]
    again = append(tmp_path, sent("d", "b"))
    assert (again.added, again.repeated) == (0, 2)
    assert plain(again.history) == plain(twice.history)
    assert append(tmp_path, some(3)).repeated == 0  # rows without ids are never repeated


def test_an_append_that_is_refused_leaves_the_log(tmp_path):
    write_log(history(), tmp_path)
    bad = Lines(
        Dictionary.of([]),
        np.full(1, -1, np.int32),
        ("view",),
        np.zeros(1, np.uint8),
        *[np.zeros(1, np.int64)] * 2,
        {"item_id": Column(np.zeros(1, np.int64))},
    )
    with pytest.raises(ColumnError, match="item_id"):
        append(tmp_path, bad)
    assert plain(open_log(tmp_path)) == plain(history())
    assert generations(tmp_path) == ["log-000001"]


# ------------------------------------------------------------------------------------------------ damage


def test_no_log_is_not_found(tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path, tmp_path / "nowhere", tmp_path / "file"):
        with pytest.raises(NotFoundError, match="Import events into it first"):
            open_log(folder)
        with pytest.raises(NotFoundError):
            append(folder, some(1))
    assert not (tmp_path / "nowhere").exists()


def test_a_changed_byte_of_the_pointer_is_found(tmp_path):
    write_log(history(3), tmp_path)
    pointer = tmp_path / POINTER
    whole = pointer.read_bytes()
    for place in range(0, len(whole) - 1, 3):
        pointer.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(DamagedError, match="Restore a copy, or import again"):
            open_log(tmp_path)
    for rest in (b"", whole[:-5], b"[]", b'{"about": 3}', b"\xff"):
        pointer.write_bytes(rest)
        with pytest.raises(DamagedError):
            open_log(tmp_path)
    write_log(history(4), tmp_path)  # a new import mends it
    assert plain(open_log(tmp_path)) == plain(history(4))


def test_damaged_files_are_found(tmp_path):
    write_log(History(history().log, users=Profile("user", pl.DataFrame({"id": ["u"]}), timeless=True)), tmp_path)
    names = list((tmp_path / "log-000001").iterdir())
    assert len(names) == 5
    for path in names:
        whole = path.read_bytes()
        for broken in (whole[:-1], whole + b"x", b"", None):
            path.unlink() if broken is None else path.write_bytes(broken)
            with pytest.raises(DamagedError, match=path.name):
                open_log(tmp_path)
        for place in range(0, len(whole), 97):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 64]) + whole[place + 1 :])
            with pytest.raises(DamagedError, match=path.name):
                open_log(tmp_path, verify=True)
        if path.name != "events.arrow":
            with pytest.raises(DamagedError, match="other bytes than were written"):
                open_log(tmp_path)
        path.write_bytes(whole)
    assert open_log(tmp_path, verify=True)


def test_bytes_that_break_the_order_are_found_without_being_asked(tmp_path):
    write_log(history(late=False, users=1), tmp_path)
    (path,) = tmp_path.rglob("events.arrow")
    whole, known_at = path.read_bytes(), open_log(tmp_path).log.known_at
    place = whole.index(known_at.tobytes())
    path.write_bytes(whole[:place] + b"\xff" * 7 + b"\x7f" + whole[place + 8 :])
    with pytest.raises(DamagedError, match="not in the order"):
        open_log(tmp_path)


# ------------------------------------------------------------------------------------------------ others at work


def test_a_reader_keeps_what_it_opened(tmp_path):
    write_log(history(), tmp_path)
    opened = open_log(tmp_path)
    write_log(history(7, seed=3), tmp_path)
    append(tmp_path, some(5))
    assert plain(opened) == plain(history())


def test_a_reader_that_is_overtaken_reads_the_new_log(tmp_path, monkeypatch):
    write_log(history(), tmp_path)
    real, calls = store._open, []

    def overtaken(folder, about, verify):
        if not calls:
            calls.append(about["generation"])
            write_log(history(7, seed=3), tmp_path)
        return real(folder, about, verify)

    monkeypatch.setattr(store, "_open", overtaken)
    assert plain(open_log(tmp_path)) == plain(history(7, seed=3))


def failed(work):
    """Return the error of some work, or None."""
    try:
        work()
    except Exception as error:
        return error


def in_thread(work):
    """Return the error of some work in another thread, or None."""
    errors = []
    thread = threading.Thread(target=lambda: errors.append(failed(work)))
    thread.start()
    thread.join()
    return errors[0]


def test_two_writers_exclude_each_other_and_readers_do_not_mind(tmp_path):
    write_log(history(), tmp_path)
    with writing(tmp_path):
        error = in_thread(lambda: write_log(history(7), tmp_path))
        assert isinstance(error, BusyError)
        assert f"Process {os.getpid()} on " in str(error)
        assert isinstance(in_thread(lambda: append(tmp_path, some(1))), BusyError)
        assert in_thread(lambda: open_log(tmp_path, verify=True)) is None
        with writing(tmp_path):  # whoever is inside may enter again
            write_log(history(7), tmp_path)
        assert isinstance(in_thread(lambda: write_log(history(8), tmp_path)), BusyError)
    assert in_thread(lambda: write_log(history(8), tmp_path)) is None


def test_a_lock_of_another_process_holds_until_it_dies(tmp_path):
    code = f"with writing({str(tmp_path)!r}):\n print('in', flush=True)\n sys.stdin.read()"
    code = f"import sys\nfrom whenbuy.ingest.lock import writing\n{code}"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "in\n"
        with pytest.raises(BusyError, match=f"Process {other.pid} on .* is writing to .*Wait until it is done, or stop it"):
            write_log(history(), tmp_path)
        other.kill()
        other.wait()
    write_log(history(), tmp_path)
    assert plain(open_log(tmp_path)) == plain(history())


@posix
def test_a_folder_without_rights_is_refused():
    folder = Path(tempfile.mkdtemp())
    try:
        write_log(history(), folder)
        folder.chmod(0o755)
        (folder / "log-000001").chmod(0o555)
        (folder / "log.lock").chmod(0o444)
        folder.chmod(0o555)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            assert plain(open_log(folder)) == plain(history())
            for work in (
                lambda: write_log(history(), folder),
                lambda: append(folder, some(1)),
                lambda: write_log(history(), folder / "sub"),
            ):
                with pytest.raises(AccessError, match=r"Permission denied.*read and write in"):
                    work()
        finally:
            if root:
                os.seteuid(0)
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


@pytest.mark.parametrize("step", ["fsync", "replace", "write", "mkdir"])
def test_a_full_disk_leaves_the_old_log_or_the_new_one(tmp_path, monkeypatch, step):
    write_log(history(), tmp_path)
    owner, name = {"fsync": (os, "fsync"), "replace": (Path, "replace"), "write": (store._Hashing, "write"), "mkdir": (Path, "mkdir")}[step]
    real, old, new = getattr(owner, name), plain(history()), plain(history(20, seed=1))
    for failing in range(0, 600, 7 if step == "write" else 1):
        calls = []

        def full(*arguments, failing=failing, calls=calls, **further):
            calls.append(1)
            if len(calls) == failing + 1:
                raise OSError(errno.ENOSPC, "No space left on device", "a file")
            return real(*arguments, **further)

        monkeypatch.setattr(owner, name, full)
        error = failed(lambda: write_log(history(20, seed=1), tmp_path))
        monkeypatch.setattr(owner, name, real)
        if error is None:
            break
        assert isinstance(error, AccessError)
        assert "No space left on device" in str(error)
        assert plain(open_log(tmp_path, verify=True)) in (old, new)
        assert len(generations(tmp_path)) == 1 or plain(open_log(tmp_path)) == new
        write_log(history(), tmp_path)
        assert len(generations(tmp_path)) == 1
    assert 0 < failing < 590
    assert plain(open_log(tmp_path)) == new


# ------------------------------------------------------------------------------------------------ death

ZYGOTE = """
import os, signal, sys, time
from pathlib import Path
import tests.unit.ingest.test_store as t
from whenbuy.ingest.store import append, open_log, write_log

t.history()  # the kernels are there before anybody is born
for line in sys.stdin:
    job, folder, step, delay = line.rstrip("\\n").split("\\t")
    child = os.fork()
    if child == 0:
        seen = 0
        def hook(event, arguments):
            global seen
            if event.split(".")[0] in ("open", "os", "shutil") and arguments and str(arguments[0]).startswith(folder):
                seen += 1
                if seen == int(step):
                    os.kill(os.getpid(), signal.SIGKILL)
        if int(step):
            sys.addaudithook(hook)
        try:
            while True:
                if job != "append":
                    write_log(t.history(), folder)
                if job != "write":
                    append(folder, t.some(30, seed=1))
                if job != "both":
                    os._exit(0)
        finally:
            os._exit(1)
    if float(delay):
        time.sleep(float(delay))
        os.kill(child, signal.SIGKILL)
    print(os.waitpid(child, 0)[1], flush=True)
"""


@pytest.fixture(scope="module")
def die():
    """Do some work in a process that is killed at a step or after a delay; return whether it was."""
    root = Path(__file__).resolve().parents[3]
    path = os.pathsep.join([str(root), str(root / "src")])
    with subprocess.Popen(
        [sys.executable, "-c", ZYGOTE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
    ) as zygote:
        stdin, stdout = zygote.stdin, zygote.stdout
        assert stdin is not None
        assert stdout is not None

        def order(job, folder, step=0, delay=0.0):
            stdin.write(f"{job}\t{folder}\t{step}\t{delay}\n")
            stdin.flush()
            status = int(stdout.readline())
            assert status in (0, 9), f"the child ended with status {status}"
            return status == 9

        yield order
        stdin.close()
        zygote.wait()


@posix
@pytest.mark.parametrize("job", ["write", "append"])
def test_death_at_every_step_leaves_the_old_log_or_the_new_one(tmp_path, die, job):
    first = history(20, seed=9)
    old, new = plain(first), plain(history() if job == "write" else History(group(some(20, seed=9).followed_by(some(30, seed=1)))))
    found, step, killed = [], 0, True
    write_log(first, tmp_path)
    while killed:
        step += 1
        killed = die(job, tmp_path, step=step)
        found.append([old, new].index(plain(open_log(tmp_path, verify=True))))
        if found[-1]:
            write_log(first, tmp_path)
            assert len(generations(tmp_path)) == 1
    assert step > 10
    assert found == sorted(found)
    assert 0 in found
    assert 1 in found[:-1]


@posix
def test_death_at_any_moment_leaves_the_old_log_or_the_new_one(tmp_path, die):
    rng = np.random.default_rng(4)
    states, found = [plain(history()), plain(History(group(some(50).followed_by(some(30, seed=1)))))], set()
    write_log(history(), tmp_path)
    for trial in range(25):
        longest = 0.3 if len(found) == 2 else 0.3 * 1.2**trial  # a busy machine gets further only later
        assert die("both", tmp_path, delay=rng.uniform(0.001, longest))
        found.add(states.index(plain(open_log(tmp_path, verify=True))))
    assert found == {0, 1}
    write_log(history(), tmp_path)
    assert len(generations(tmp_path)) == 1


@posix
def test_death_before_there_was_a_log_leaves_none_or_the_new_one(tmp_path, die):
    step, killed = 0, True
    while killed:
        step += 1
        folder = tmp_path / str(step)
        killed = die("write", folder, step=step)
        try:
            assert plain(open_log(folder)) == plain(history())
        except NotFoundError:
            write_log(history(), folder)
            assert len(generations(folder)) == 1
