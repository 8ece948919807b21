"""Bundles: what comes back is what was saved; everything else is refused before it is parsed."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from whenbuy.core.errors import AccessError, DamagedError, InputError, NotFoundError, WhenbuyError
from whenbuy.core.log import Dictionary
from whenbuy.pipeline import bundle
from whenbuy.pipeline.bundle import load, save, verify


@dataclass(frozen=True, slots=True, eq=False)
class Inner:
    weights: np.ndarray
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Outer:
    inner: Inner
    more: dict[str, np.ndarray]
    ids: Dictionary
    rate: float
    missing: None = None


TYPES = {"Inner": Inner, "Outer": Outer}
ABOUT = {"question": "purchase", "horizons": [7.0, 28.0], "Käse": None}


def model(seed=0):
    rng = np.random.default_rng(seed)
    more = {
        "flags": rng.random(5) < 0.5,
        "counts": rng.integers(0, 9, (2, 3)),
        "none": np.empty((0, 4)),
        "small": np.float32([1.5, np.nan]),
    }
    return Outer(Inner(rng.normal(size=(3, 2)), ("a", "b\0c")), more, Dictionary.of(["u1", "ü\0"]), 0.1)


@pytest.fixture
def folder(tmp_path):
    save(tmp_path / "m", model(), ABOUT)
    return tmp_path / "m"


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_comes_back_is_what_was_saved(folder):
    found, about = load(folder, TYPES)
    saved = model()
    assert about == ABOUT
    assert np.array_equal(found.inner.weights, saved.inner.weights)
    assert found.inner.names == saved.inner.names
    assert found.ids.ids.equals(saved.ids.ids)
    assert (found.rate, found.missing) == (0.1, None)
    for name, array in saved.more.items():
        assert found.more[name].dtype == array.dtype
        assert np.array_equal(found.more[name], array, equal_nan=array.dtype.kind == "f")
        assert found.more[name].flags.writeable
        assert found.more[name].flags.aligned
    assert verify(folder).about == ABOUT
    assert verify(folder).format == bundle.FORMAT


def test_the_same_content_gives_the_same_bytes(folder, tmp_path):
    save(tmp_path / "other", model(), dict(reversed(ABOUT.items())))
    assert files(folder) == files(tmp_path / "other")
    save(tmp_path / "other", model(1), ABOUT)
    assert files(folder) != files(tmp_path / "other")


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are the system's own there")
def test_only_the_owner_can_read_it(folder):
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


class Forbidden(AssertionError):
    pass


def test_ten_thousand_one_byte_changes_are_refused_before_anything_is_parsed(folder, monkeypatch):
    """Every byte of the manifest and of the small files, and random places of the rest. No parser may see a changed file."""

    def parser(*_, **__):
        raise Forbidden

    import safetensors.numpy

    monkeypatch.setattr(safetensors.numpy, "load", parser)
    monkeypatch.setattr(bundle, "decode", parser)
    rng = np.random.default_rng(0)
    whole = files(folder)
    total = sum(map(len, whole.values()))
    assert total < 10_000
    refused = 0
    for name, data in whole.items():
        places = [*range(len(data)), *rng.integers(0, len(data), 10_000 * len(data) // total).tolist()]
        for place in places:
            changed = bytearray(data)
            changed[place] ^= int(rng.integers(1, 256))
            (folder / name).write_bytes(changed)
            with pytest.raises(DamagedError):
                load(folder, TYPES)
            refused += 1
        (folder / name).write_bytes(data)
    assert refused > 10_000
    with pytest.raises(Forbidden):
        load(folder, TYPES)  # whole again: now it is parsed


@pytest.mark.parametrize("name", ["manifest.json", "model.json", "arrays.safetensors"])
def test_cut_lengthened_missing_and_linked_files_are_refused(folder, tmp_path, name):
    data = (folder / name).read_bytes()
    rng = np.random.default_rng(1)
    for wrong in [b"", data[:-1], data + b"\0", data + b" ", b"\n" + data, *(data[:cut] for cut in rng.integers(0, len(data), 200))]:
        (folder / name).write_bytes(wrong)
        with pytest.raises(DamagedError):
            load(folder, TYPES)
    (folder / name).unlink()
    with pytest.raises(DamagedError):
        load(folder, TYPES)
    (tmp_path / "elsewhere").write_bytes(data)
    (folder / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DamagedError, match="plain file"):
        load(folder, TYPES)
    (folder / name).unlink()
    (folder / name).mkdir()
    with pytest.raises(DamagedError):
        load(folder, TYPES)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_not_waited_for(folder):
    (folder / "model.json").unlink()
    os.mkfifo(folder / "model.json")
    with pytest.raises(DamagedError, match="plain file"):
        load(folder, TYPES)


def test_further_files_are_refused(folder):
    (folder / "extra.py").write_text("print('hello')")
    with pytest.raises(DamagedError, match=r"extra\.py"):
        load(folder, TYPES)


def test_a_link_to_a_bundle_is_no_bundle(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder, target_is_directory=True)
    with pytest.raises(DamagedError, match="folder of its own"):
        load(tmp_path / "link", TYPES)


def reseal(folder, change):
    """Write a manifest that says something else and seal it properly, as somebody who knows the format could."""
    content = json.loads((folder / "manifest.json").read_bytes())
    del content["sha256"]
    change(content)
    (folder / "manifest.json").write_bytes(bundle._seal(content))


@pytest.mark.parametrize("name", ["../m/model.json", "/etc/passwd", "model.json/../model.json", "a\0b", "C:\\x", "..", "", "model.json "])
def test_a_sealed_manifest_cannot_name_other_places(folder, name):
    def change(content):
        content["files"][name] = content["files"].pop("model.json")

    reseal(folder, change)
    with pytest.raises(DamagedError, match="names other files"):
        load(folder, TYPES)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.pop("files"),
        lambda c: c.update(files=[]),
        lambda c: c.update(files={"model.json": 3, "arrays.safetensors": 4}),
        lambda c: c.update(format="one"),
        lambda c: c.update(about=3),
        lambda c: c["files"].update({"model.json": [1 << 40, "0" * 64]}),
        lambda c: c["files"].update({"model.json": [-1, "0" * 64]}),
    ],
)
def test_a_sealed_manifest_that_makes_no_sense_is_refused(folder, change):
    reseal(folder, change)
    with pytest.raises(DamagedError):
        load(folder, TYPES)


def test_a_later_format_is_refused_with_words(folder):
    reseal(folder, lambda content: content.update(format=99, whenbuy="7.1"))
    with pytest.raises(InputError, match=r"whenbuy 7\.1 in format 99.*reads formats up to 1.*Update whenbuy") as caught:
        load(folder, TYPES)
    assert not isinstance(caught.value, DamagedError)


def put(folder, name, data):
    """Put other content in a bundle, properly hashed and sealed."""
    (folder / name).write_bytes(data)
    reseal(folder, lambda content: content["files"].update({name: [len(data), sha256(data).hexdigest()]}))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[" * 100_000,
        b'{"type":"Popen","fields":{"args":"id"}}',
        b'{"type":"Outer","fields":{"nothing":1}}',
        b'{"type":"Outer","fields":3}',
        b'{"array":".no.such"}',
        b'{"dictionary":[1,2]}',
        b'{"tuple":{"a":1}}',
        b"9" * 5000,
    ],
)
def test_hashed_nonsense_makes_nothing(folder, data):
    put(folder, "model.json", data)
    with pytest.raises(DamagedError):
        load(folder, TYPES)


def test_hashed_arrays_that_are_none_are_refused(folder):
    for data in (b"", b"\0" * 8, b"\xff" * 64, b"\x02\0\0\0\0\0\0\0{}"):
        put(folder, "arrays.safetensors", data)
        with pytest.raises(DamagedError):
            load(folder, TYPES)


def test_only_named_types_are_made(folder):
    with pytest.raises(DamagedError):
        load(folder, {"Outer": Outer})


def test_no_model_is_not_a_damaged_one(tmp_path):
    with pytest.raises(NotFoundError, match="whenbuy fit"):
        load(tmp_path / "nothing", TYPES)


def test_a_model_made_of_more_than_data_is_not_saved(folder):
    before = files(folder)
    for thing in (lambda: 1, np.array(["a"]), np.array([None]), {"a.b": np.arange(2), "a": {"b": np.arange(2)}}):
        with pytest.raises(WhenbuyError):
            save(folder, thing, ABOUT)
    with pytest.raises(WhenbuyError, match="plain data"):
        save(folder, model(), {"when": object()})
    assert files(folder) == before


def test_a_bundle_that_is_too_large_is_not_saved(tmp_path, monkeypatch):
    monkeypatch.setattr(bundle, "LIMITS", {**bundle.LIMITS, "arrays.safetensors": 100})
    with pytest.raises(WhenbuyError, match="at most 100"):
        save(tmp_path / "m", model(), ABOUT)


def test_a_disk_that_is_full_leaves_the_old_bundle(folder, monkeypatch):
    before = files(folder)

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(AccessError, match="No space left"):
        save(folder, model(1), ABOUT)
    monkeypatch.undo()
    assert files(folder) == before
    save(folder, model(1), ABOUT)
    assert [path.name for path in folder.parent.iterdir()] == ["m"]  # and the rest of the failed save is gone


STEPS = 40
KILLED = """
    import os, signal, sys
    from pathlib import Path
    sys.path[:0] = {path!r}
    from tests.unit.pipeline.test_bundle import ABOUT, STEPS, model
    from whenbuy.pipeline.bundle import save
    left = None
    def count(event, arguments):
        global left
        if left is None:
            return
        if event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir") or (event == "open" and ".new-" in str(arguments[0])):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(count)
    thing = model(1)
    for step in range(STEPS):
        child = os.fork()
        if child == 0:
            left = step
            save(Path(sys.argv[1]) / str(step) / "m", thing, ABOUT)
            os._exit(0)
        print(os.waitpid(child, 0)[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_a_killed_save_leaves_the_old_bundle_or_the_new(folder, tmp_path):
    """A process is killed before each file system step of a save in turn: a reader finds one bundle or the other, whole, every time."""
    save(tmp_path / "new", model(1), ABOUT)
    old, new = files(folder), files(tmp_path / "new")
    for step in range(STEPS):
        shutil.copytree(folder, tmp_path / "shops" / str(step) / "m")
    source = tmp_path / "killed.py"
    source.write_text(textwrap.dedent(KILLED).format(path=[str(Path.cwd()), *(path for path in sys.path if path)]))
    run = subprocess.run([sys.executable, str(source), str(tmp_path / "shops")], capture_output=True, text=True, check=False)
    ends = [int(line) for line in run.stdout.split()]
    assert len(ends) == STEPS, run.stderr
    seen = []
    for step, end in enumerate(ends):
        target = tmp_path / "shops" / str(step) / "m"
        found, _ = load(target, TYPES)
        seen.append("old" if np.array_equal(found.inner.weights, model().inner.weights) else "new")
        assert end in (0, signal.SIGKILL), run.stderr
        save(target, model(1), ABOUT)  # whoever comes next tidies up
        assert [path.name for path in target.parent.iterdir()] == ["m"]
        assert files(target) == new != old
    assert sum(end != 0 for end in ends) > 6
    assert (seen[0], seen[-1], ends[-1]) == ("old", "new", 0)
    assert seen == sorted(seen, reverse=True)  # old, old, ..., new, new
