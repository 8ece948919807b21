"""The registry: what is kept, who is the champion, and that a kill at any point leaves exactly the old champion or the new one."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whenbuy.core.errors import AccessError, DamagedError, InputError, NotFoundError, WhenbuyError
from whenbuy.pipeline.keeping import bundle, registry
from whenbuy.pipeline.keeping.registry import KEPT, POINTER, Registry

SECOND = 1_000_000
START = 1_700_000_000 * SECOND  # 2023-11-14 22:13:20


@dataclass(frozen=True, slots=True, eq=False)
class Thing:
    number: int
    weights: np.ndarray


TYPES = {"Thing": Thing}


def thing(number: int) -> Thing:
    return Thing(number, np.arange(5) + number)


def keep(kept: Registry, number: int, known_until: int = 0) -> str:
    return kept.keep(thing(number), {"known_until": known_until or number}, START + number * SECOND)


def filled(folder: Path, count: int) -> tuple[Registry, list[str]]:
    """A registry of some models, each promoted in its turn."""
    kept = Registry(folder / "models")
    ids = [keep(kept, number) for number in range(count)]
    for number, id in enumerate(ids):
        kept.promote(id, "fit", number)
    return kept, ids


def names(kept: Registry) -> set[str]:
    return {path.name for path in kept.folder.iterdir()}


def answering(kept: Registry) -> int:
    return kept.answering(TYPES)[1].number


def flip(path: Path, place: int = -1) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


# ------------------------------------------------------------------------------------------------ keeping


def test_ids_sort_in_time_and_end_with_the_hash_of_the_model(tmp_path):
    kept, ids = filled(tmp_path, 3)
    assert kept.ids() == tuple(ids) == tuple(sorted(ids))
    assert ids[0].startswith("20231114-221320-")
    for id in ids:
        assert id.endswith(kept.verify(id).digest[:8])
    found, about = kept.load(ids[2], TYPES)
    assert (found.number, about["known_until"]) == (2, 2)


def test_models_of_one_second_keep_their_order(tmp_path):
    kept = Registry(tmp_path)
    ids = [kept.keep(thing(number), {}, START) for number in range(5)]
    assert kept.ids() == tuple(ids)


def test_one_model_is_kept_once(tmp_path):
    kept, ids = filled(tmp_path, 2)
    again = kept.keep(thing(1), {"known_until": 77}, START + 99 * SECOND)
    assert again == ids[1]
    assert kept.ids() == tuple(ids)
    flip(kept.folder / ids[1] / "arrays.safetensors")
    anew = kept.keep(thing(1), {"known_until": 77}, START + 99 * SECOND)  # what is damaged is not kept
    assert anew != ids[1]
    assert kept.verify(anew)


def test_a_model_is_named_by_the_beginning_of_its_id(tmp_path):
    kept, ids = filled(tmp_path, 2)
    assert kept.find(ids[1]) == kept.find(ids[1][:17]) == ids[1]
    for name, words in [
        ("2023", "2 models have"),
        ("x", "0 models have"),
        ("", "No models have"),
        ("../models", "0 models"),
        ("*", "0 models"),
    ]:
        with pytest.raises(NotFoundError, match=words):
            kept.find(name)


def test_a_model_under_the_name_of_another_is_refused(tmp_path):
    kept, ids = filled(tmp_path, 2)
    shutil.rmtree(kept.folder / ids[1])
    shutil.copytree(kept.folder / ids[0], kept.folder / ids[1])
    with pytest.raises(DamagedError, match="another model than its name says"):
        kept.answering(TYPES)


@pytest.mark.parametrize("count", [1, KEPT, KEPT + 1, KEPT + 7])
def test_the_last_ten_the_champion_and_the_one_before_stay(tmp_path, count):
    kept, ids = filled(tmp_path, 2)
    newer = [keep(kept, 100 + number) for number in range(count)]
    (kept.folder / "notes").mkdir()  # whatever else lies there is not ours
    gone = kept.prune()
    assert kept.ids() == tuple(id for id in (*ids, *newer) if id not in gone)
    assert set(kept.ids()) == {*ids, *(ids + newer)[-KEPT:]}
    assert (answering(kept), kept.before()) == (1, ids[0])
    assert kept.prune() == ()
    assert names(kept) == {*kept.ids(), POINTER, "notes"}
    kept.promote(newer[-1], "fit", 9)
    assert kept.prune() == ((ids[0],) if count >= KEPT else ())


def test_models_of_one_second_stay_in_the_order_of_keeping_even_after_some_are_gone(tmp_path):
    kept, _ = filled(tmp_path, 1)
    for number in range(3 * KEPT):
        kept.promote(kept.keep(thing(100 + number), {"known_until": 1}, START), "fit", number)
        kept.prune()
    assert (len(kept.ids()), kept.champion()) == (KEPT, kept.ids()[-1])


def test_the_model_that_knew_most_by_a_moment_is_found(tmp_path):
    kept = Registry(tmp_path)
    assert kept.known_by(10**18) is None
    old, new, newer = keep(kept, 1, 500), keep(kept, 2, 700), keep(kept, 3, 700)
    assert [kept.known_by(moment) for moment in (499, 500, 699, 700, 10**18)] == [None, old, old, newer, newer]
    flip(kept.folder / newer / "model.json")
    assert kept.known_by(700) == new


# ------------------------------------------------------------------------------------------------ the champion


def test_a_champion_is_named_followed_and_gone_back_from(tmp_path):
    kept = Registry(tmp_path / "models")
    assert (kept.ids(), kept.champion(), kept.before(), kept.steps()) == ((), None, None, ())
    with pytest.raises(NotFoundError, match="whenbuy fit"):
        kept.answering(TYPES)
    kept, ids = filled(tmp_path, 3)
    assert (kept.champion(), kept.before()) == (ids[2], ids[1])
    assert (kept.back(5), answering(kept)) == (ids[1], 1)
    assert (kept.back(6), answering(kept)) == (ids[0], 0)
    with pytest.raises(NotFoundError, match="go back to"):
        kept.back(7)
    kept.promote(ids[2], "force", 8, "worse")
    assert (kept.champion(), kept.before()) == (ids[2], ids[0])
    assert [(step.how, step.why) for step in kept.steps()][-1] == ("force", "worse")
    assert [step.how for step in kept.steps()] == ["fit"] * 3 + ["back"] * 2 + ["force"]


def test_going_back_skips_what_is_damaged_or_gone(tmp_path):
    kept, ids = filled(tmp_path, 4)
    kept.promote(ids[1], "promote", 9)  # 0, 1, 2, 3, 1
    flip(kept.folder / ids[3] / "model.json")
    shutil.rmtree(kept.folder / ids[2])
    assert kept.back(10) == ids[0]
    assert kept.champion() == ids[0]


def test_what_is_damaged_or_absent_is_not_promoted(tmp_path):
    kept, ids = filled(tmp_path, 2)
    flip(kept.folder / ids[0] / "arrays.safetensors")
    for id, error in ((ids[0], DamagedError), ("20990101-000000-01234567", NotFoundError)):
        with pytest.raises(error):
            kept.promote(id, "force", 3)
    assert kept.champion() == ids[1]


def test_a_shop_from_before_there_were_versions(tmp_path):
    kept = Registry(tmp_path / "models")
    bundle.save(kept.folder / "latest", thing(7), {"zone": "UTC", "known_until": 70})
    assert (kept.ids(), kept.champion(), answering(kept)) == (("latest",), "latest", 7)
    assert names(kept) == {"latest"}  # reading changes nothing
    assert kept.known_by(70) == "latest"
    id = keep(kept, 8)
    kept.promote(id, "fit", 1)
    kept.prune()
    assert (kept.ids(), kept.champion(), kept.before()) == (("latest", id), id, "latest")
    assert (kept.back(2), answering(kept)) == ("latest", 7)
    (kept.folder / "latest").rename(kept.folder / ".latest.old")  # as a save by an earlier version that was killed left it
    assert answering(kept) == 7
    kept.prune()
    assert names(kept) == {"latest", id, POINTER}


def test_ten_years_of_steps_stay_readable(tmp_path):
    kept, ids = filled(tmp_path, 2)
    kept._write(tuple(replace(kept.steps()[0], id=ids[number % 2], at=number, why="x" * 5000) for number in range(5_000)))
    assert len(kept.steps()) == 1_000
    assert (kept.champion(), kept.before()) == (ids[1], ids[0])
    assert (kept.folder / POINTER).stat().st_size < registry._LIMIT


def test_a_reader_follows_when_the_champion_is_taken_away_meanwhile(tmp_path, monkeypatch):
    kept, ids = filled(tmp_path, 1)
    real = Registry.champion

    def slow(self):
        """After this reader looked, somebody promotes another model twice and takes the first away."""
        found = real(self)
        monkeypatch.undo()
        other = keep(self, 50)
        self.promote(other, "fit", 1)
        shutil.rmtree(self.folder / ids[0])
        return found

    monkeypatch.setattr(Registry, "champion", slow)
    assert answering(kept) == 50
    shutil.rmtree(kept.folder / kept.champion())
    with pytest.raises(DamagedError, match="must be there"):
        kept.answering(TYPES)


# ------------------------------------------------------------------------------------------------ a damaged list of steps


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return filled(tmp_path_factory.mktemp("whole"), 3)[0]


@settings(max_examples=400)
@given(place=st.integers(0, 10**6), flipped=st.integers(1, 255), cut=st.booleans())
def test_one_byte_of_the_list_changed_or_cut_off_is_refused(whole, place, flipped, cut):
    data = (whole.folder / POINTER).read_bytes()
    changed = bytearray(data)
    changed[place % len(data)] ^= flipped
    (whole.folder / POINTER).write_bytes(data[: place % len(data)] if cut else changed)
    try:
        with pytest.raises(DamagedError, match="promote ID --force"):
            whole.champion()
    finally:
        (whole.folder / POINTER).write_bytes(data)


@pytest.mark.parametrize(
    "content",
    [
        {"format": 1},
        {"format": 1, "steps": 3},
        {"format": 1, "steps": [[1, 2]]},
        {"format": 1, "steps": [["../../etc", 1, "fit", ""]]},
        {"format": 1, "steps": [["20231114-221320-0000000g", 1, "fit", ""]]},
        {"format": 1, "steps": [["20231114-221320-01234567", 1, "magic", ""]]},
        {"format": 1, "steps": [["20231114-221320-01234567", "1", "fit", ""]]},
        {"format": "x", "steps": []},
        {"format": None, "steps": []},
        {"format": float("inf"), "steps": []},
    ],
)
def test_a_sealed_list_that_makes_no_sense_is_refused(tmp_path, content):
    kept, ids = filled(tmp_path, 1)
    (kept.folder / POINTER).write_bytes(bundle.sealed(content))
    with pytest.raises(DamagedError):
        kept.champion()
    with pytest.raises(DamagedError):
        kept.promote(ids[0], "fit", 1)
    kept.promote(ids[0], "force", 1)
    assert answering(kept) == 0


def test_a_list_that_is_a_link_a_folder_too_long_or_of_a_later_format(tmp_path):
    kept, _ = filled(tmp_path, 1)
    pointer = kept.folder / POINTER
    data = pointer.read_bytes()
    pointer.rename(tmp_path / "elsewhere")
    pointer.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DamagedError, match="plain file"):
        kept.champion()
    pointer.unlink()
    pointer.mkdir()
    with pytest.raises(DamagedError):
        kept.champion()
    pointer.rmdir()
    pointer.write_bytes(data)
    os.truncate(pointer, 1 << 40)
    with pytest.raises(DamagedError, match="longer"):
        kept.champion()
    pointer.write_bytes(bundle.sealed({"format": 9, "steps": []}))
    with pytest.raises(InputError, match="later whenbuy") as caught:
        kept.champion()
    assert not isinstance(caught.value, DamagedError)
    pointer.write_bytes(bundle.sealed({"format": 1, "deep": json.loads("[" * 900 + "]" * 900), "steps": []}))
    assert kept.champion() is None


# ------------------------------------------------------------------------------------------------ kills


def change(kept: Registry, number: int) -> None:
    """What a fit does to the registry."""
    id = keep(kept, number)
    kept.prune(id)
    kept.promote(id, "fit", number)


class Killed(BaseException):
    pass


CHANGES = ("fsync", "replace", "rename", "unlink", "mkdir", "rmdir", "open", "write")


def killed(nth: int, what) -> bool:
    """Let a process die before its nth change of the disk: nothing that cleans up runs after it."""
    left = [nth]

    def counted(real):
        def call(*args, **options):
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return real(*args, **options)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in CHANGES:
            patch.setattr(os, name, counted(getattr(os, name)))
        try:
            what()
        except Killed:
            return True
    return False


@pytest.mark.parametrize("verb", ["fit", "promote", "back", "prune"])
def test_a_death_at_every_step_leaves_the_old_champion_or_the_new(tmp_path, verb):
    start, ids = filled(tmp_path / "start", 3)
    for number in range(KEPT + 2):
        keep(start, 100 + number)
    does = {
        "fit": (lambda kept: change(kept, 500), {2, 500}),
        "promote": (lambda kept: kept.promote(ids[0], "promote", 9), {2, 0}),
        "back": (lambda kept: kept.back(9), {2, 1}),
        "prune": (lambda kept: kept.prune(), {2}),
    }
    what, expected = does[verb]
    seen = []
    for nth in range(300):
        kept = Registry(Path(shutil.copytree(start.folder, tmp_path / str(nth))))
        died = killed(nth, lambda kept=kept: what(kept))
        seen.append(answering(kept))
        assert kept.before() is not None
        for id in kept.ids():
            assert kept.verify(id)  # half a model is never seen
        change(kept, 900)  # whoever comes next tidies up
        assert answering(kept) == 900
        assert not [name for name in names(kept) if name.startswith(".")]
        if not died:
            break
    assert nth > 4
    assert set(seen) == expected
    assert seen == sorted(seen, key=lambda number: number != 2)  # old, old, ..., new, new


KILLER = """
    import os, sys
    from pathlib import Path
    sys.path[:0] = {path!r}
    from tests.unit.pipeline.keeping.test_registry import change
    from whenbuy.pipeline.keeping.registry import Registry
    kept = Registry(Path(sys.argv[1]))
    print("ready", flush=True)
    number = 1000
    while True:
        change(kept, number)
        number += 1
"""


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_processes_killed_for_real_leave_a_whole_champion(tmp_path):
    kept, _ = filled(tmp_path, 2)
    source = tmp_path / "killer.py"
    source.write_text(textwrap.dedent(KILLER).format(path=[str(Path.cwd()), *(path for path in sys.path if path)]))
    rng, last = np.random.default_rng(), 1
    for _ in range(3):
        with subprocess.Popen([sys.executable, str(source), str(kept.folder)], stdout=subprocess.PIPE, text=True) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == "ready\n"
            with pytest.raises(subprocess.TimeoutExpired):
                other.wait(float(rng.uniform(0.02, 0.4)))
            other.send_signal(signal.SIGKILL)
        assert kept.champion() in kept.ids()
        assert answering(kept) >= last
        last = min(answering(kept), 1000)
        assert all(kept.verify(id) for id in kept.ids())


@pytest.mark.parametrize("name", ["fsync", "replace", "rename"])
def test_a_disk_that_says_no_leaves_the_old_champion(tmp_path, monkeypatch, name):
    kept, _ = filled(tmp_path, 2)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, name, full)
        with pytest.raises((AccessError, WhenbuyError)):
            change(kept, 9)
    assert answering(kept) == 1
    change(kept, 9)
    assert answering(kept) == 9
    assert not [path for path in names(kept) if path.startswith(".")]
