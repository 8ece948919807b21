"""Compiling ahead: what is compiled stays, what it was compiled with goes."""

import json

import pytest

from tests.scenarios.foreign import ok, typed
from whenbuy.pipeline.verbs import warming


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(warming, "cache_folder", lambda: tmp_path)
    return tmp_path


def test_the_shop_goes_the_whole_way_and_is_gone(folder, monkeypatch) -> None:
    went = []
    scored = warming.scored_shop

    def kept(place, *rest):
        went.append(place)
        (folder / "made.nbc").write_bytes(b"")  # what the compiler would leave
        return scored(place, *rest)

    monkeypatch.setattr(warming, "scored_shop", kept)
    said = ok("doctor", "--warm", "--json")
    assert json.loads(said.out) == {"compiled": 1}
    assert len(said.err.splitlines()) == 1
    assert went[0].is_relative_to(folder)
    assert [path.name for path in folder.iterdir()] == ["made.nbc"]


def test_a_cache_folder_that_cannot_be_written_is_said(folder, monkeypatch) -> None:
    monkeypatch.setattr(warming.os, "access", lambda *_: False)
    said = typed("doctor", "--warm")
    assert said.code == 7
    assert "WHENBUY_CACHE" in said.err
