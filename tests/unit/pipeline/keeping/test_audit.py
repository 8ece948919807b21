"""The audit log holds what was done, in its order, and shows when somebody changed it."""

import json
import os
import stat
import subprocess
import sys

import pytest

from whenbuy.core.errors import AccessError, DamagedError
from whenbuy.pipeline.keeping.audit import Audit

NOW = 1_793_440_800_000_000


def test_what_was_done_is_there_in_its_order(tmp_path):
    audit = Audit(tmp_path)
    assert audit.acts() == ()
    audit.note("key.made", NOW, key="1a2b3c4d", may=["admin"], expires=None)
    audit.note("key.revoked", NOW + 1, key="1a2b3c4d")
    first, second = Audit(tmp_path).acts()
    assert (first.what, first.at, dict(first.facts)) == ("key.made", NOW, {"key": "1a2b3c4d", "may": ["admin"], "expires": None})
    assert (second.what, second.by) == ("key.revoked", os.getuid())
    assert stat.S_IMODE(audit.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(audit.path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("harm", ["changed", "taken out", "swapped", "put in"])
def test_what_was_changed_shows(tmp_path, harm):
    audit = Audit(tmp_path)
    for number in range(4):
        audit.note("key.made", NOW + number, key=str(number))
    lines = audit.path.read_bytes().splitlines(keepends=True)
    if harm == "changed":
        lines[1] = lines[1].replace(b'"key":"1"', b'"key":"9"')
    elif harm == "taken out":
        del lines[1]
    elif harm == "swapped":
        lines[1], lines[2] = lines[2], lines[1]
    else:
        lines.insert(1, lines[0])
    audit.path.write_bytes(b"".join(lines))
    with pytest.raises(DamagedError, match="does not follow"):
        audit.acts()


def test_a_part_of_a_line_is_no_end(tmp_path):
    audit = Audit(tmp_path)
    audit.note("key.made", NOW, key="1")
    with audit.path.open("ab") as file:
        file.write(b'{"at": 17')
    audit.note("key.revoked", NOW, key="1")
    assert [act.what for act in audit.acts()] == ["key.made", "unreadable", "key.revoked"]


def test_several_processes_write_one_chain(tmp_path):
    code = (
        "import sys; from pathlib import Path; from whenbuy.pipeline.keeping.audit import Audit\n"
        "for i in range(10): Audit(Path(sys.argv[1])).note('key.made', i, key=sys.argv[2])"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(number)]) for number in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    acts = Audit(tmp_path).acts()
    assert sorted((act.facts["key"], act.at) for act in acts) == [(str(number), at) for number in range(3) for at in range(10)]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "audit").write_text("in the way")
    with pytest.raises(AccessError):
        Audit(tmp_path).note("key.made", NOW)


def test_lines_are_plain_json(tmp_path):
    audit = Audit(tmp_path)
    audit.note("letters.replayed", NOW, accepted=3)
    assert json.loads(audit.path.read_text()) == {
        "at": NOW, "what": "letters.replayed", "by": os.getuid(), "before": "0" * 64, "accepted": 3,
    }  # fmt: skip
