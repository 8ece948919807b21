"""Runs: recorded whole, read back equal, compared; and fingerprints that change with the data and with nothing else."""

import json
import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.logs import make, rows
from whenbuy.core.arrays import DAY
from whenbuy.core.clock import Clock
from whenbuy.core.errors import DamagedError, NotFoundError
from whenbuy.core.history import History
from whenbuy.core.profile import Profile
from whenbuy.pipeline.keeping import track
from whenbuy.pipeline.keeping.track import Run, code_version, compare, fingerprint, record, recorded, show

STARTED = 17_500 * DAY + 3_723_000_000


def run(**changes):
    scores = {"auc_7d": (0.8, 0.79, 0.81), "coverage_80": (0.77, math.nan, math.nan), "pr_auc_7d": (math.nan,) * 3}
    made = Run(
        "purchase", "bg-nbd", {"rich": True, "days": [7.0]}, 3, "ab" * 32, "0.1.0+abc", (16_999 * DAY, 17_000 * DAY), scores, STARTED, 1.5
    )
    return replace(made, **changes)


def same(one, two):
    return track._json(one) == track._json(two)


def test_a_run_comes_back_as_it_was(tmp_path):
    kept = record(tmp_path / "runs", run())
    assert kept.id.startswith("20171130-010203-")
    assert kept.folder == tmp_path / "runs" / kept.id
    (found,) = recorded(tmp_path / "runs")
    assert same(found, run())
    assert found.cutoffs == run().cutoffs
    assert found.scores["auc_7d"] == (0.8, 0.79, 0.81)
    assert math.isnan(found.scores["pr_auc_7d"][0])
    assert found.folder == kept.folder
    assert found.id == kept.id == run().id
    assert "NaN" not in (kept.folder / "run.json").read_text()


def test_the_same_run_is_recorded_once(tmp_path):
    record(tmp_path, run())
    record(tmp_path, run())
    assert len(recorded(tmp_path)) == 1
    record(tmp_path, run(seed=4))
    assert len(recorded(tmp_path)) == 2


def test_runs_are_listed_in_time_and_shown_by_the_beginning_of_their_id(tmp_path):
    assert recorded(tmp_path / "none") == []
    later, earlier = record(tmp_path, run(started=STARTED + DAY)), record(tmp_path, run(started=STARTED - DAY))
    assert [each.id for each in recorded(tmp_path)] == [earlier.id, later.id]
    assert same(show(tmp_path, later.id), later)
    assert same(show(tmp_path, later.id[:10]), later)
    for name, words in [("2017", "2 runs have"), ("x", "0 runs have"), ("", "No runs have"), ("../x", "0 runs have")]:
        with pytest.raises(NotFoundError, match=words):
            show(tmp_path, name)


def test_runs_beside_each_other():
    other = run(learner="floor", scores={"auc_7d": (0.7, 0.6, 0.8), "ece_7d": (0.1, 0, 0.2)})
    frame = compare([run(), other])
    assert frame["learner"].to_list() == ["bg-nbd", "floor"]
    assert frame["auc_7d"].to_list() == [0.8, 0.7]
    assert frame["ece_7d"].to_list() == [None, 0.1]
    assert frame["pr_auc_7d"].to_list() == [None, None]
    assert compare([]).height == 0


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"scores": 3}', '{"scores": {"a": [1]}, "cutoffs": []}', "[" * 100_000])
def test_a_damaged_record_is_named(tmp_path, text):
    kept = record(tmp_path, run())
    (kept.folder / "run.json").write_text(text)
    with pytest.raises(DamagedError, match=kept.id):
        recorded(tmp_path)


def test_a_record_with_further_fields_is_damaged(tmp_path):
    kept = record(tmp_path, run())
    plain = json.loads((kept.folder / "run.json").read_text())
    (kept.folder / "run.json").write_text(json.dumps(plain | {"extra": 1}))
    with pytest.raises(DamagedError):
        recorded(tmp_path)


@given(rows(), st.integers(0, 2**32))
def test_a_fingerprint_changes_with_one_value_and_with_nothing_else(events, seed):
    history = make(events, end=100 * DAY)
    found = fingerprint(history)
    assert found == fingerprint(make(events, end=100 * DAY))
    assert found != fingerprint(make(events, end=101 * DAY))
    if events:
        rng = np.random.default_rng(seed)
        place = int(rng.integers(len(events)))
        changed = list(events)
        changed[place] = (*changed[place][:4], 77_777, changed[place][5])
        assert found != fingerprint(make(changed, end=100 * DAY))


def test_a_fingerprint_covers_clock_lateness_names_and_profiles():
    history = make([(0, DAY, 0, 1, 5, 1), (1, 2 * DAY, DAY, 1, 5, 1)], users=2)
    profile = Profile("user", pl.DataFrame({"id": ["u0"], "city": ["Köln"]}), timeless=True)
    other = Profile("user", pl.DataFrame({"id": ["u0"], "city": ["Bonn"]}), timeless=True)
    found = [
        fingerprint(each)
        for each in (
            history,
            History(history.log, Clock("Europe/Berlin")),
            History(history.log, lateness_days=1.0),
            History(history.log, users=profile),
            History(history.log, users=other),
            History(history.log, items=profile),
            make([(0, DAY, 0, 1, 5, 1), (1, 2 * DAY, DAY, 1, 5, 1)], users=3),
        )
    ]
    assert len(set(found)) == len(found)


def test_chunks_do_not_matter(monkeypatch):
    history = make([(user, day * DAY, 0, 1, day, 1) for user in range(3) for day in range(20)])
    whole = fingerprint(history)
    monkeypatch.setattr(track, "_CHUNK", 7)
    assert len(history.log) == 60
    numbers = fingerprint(History(history.log))
    monkeypatch.setattr(track, "_CHUNK", 60)
    assert numbers == whole == fingerprint(history)


def test_the_code_has_a_version_that_follows_its_source():
    assert code_version() == code_version()
    name, digest = code_version().rsplit("+", 1)
    assert name
    assert len(digest) == 12
