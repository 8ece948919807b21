"""Files as a stream: each row once and as it was written, while files grow, come, go and are replaced."""

import gzip
import json
import os
from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from whenbuy.core.errors import NotFoundError
from whenbuy.ingest.reception import Event, Reception, Refused
from whenbuy.ingest.sources.files import Files
from whenbuy.ingest.text import Dialect

NOW = 1_700_000_000_000_000
T = "2023-11-14T20:00:00Z"


def line(i: int, **more) -> str:
    return json.dumps({"user_id": f"u{i}", "kind": "view", "time": T, **more}) + "\n"


class Reader:
    """Reads a source to its end, as the pump does, and remembers how far it came."""

    def __init__(self, path, follow=True, dialect=None) -> None:
        self.positions, self.path, self.follow, self.dialect = {}, path, follow, dialect
        self.restart()

    def restart(self) -> None:
        self.stream = Files(self.path, Reception(), self.dialect, follow=self.follow)

    def rows(self, most=7, chunks=10**6, now=None) -> list[Event | Refused]:
        found = []
        for _ in range(chunks):
            chunk = self.stream.read(self.positions.get, most, now or NOW)
            if chunk is None:
                break
            assert 0 < len(chunk.rows) <= most
            self.positions[chunk.source] = chunk.position
            found += chunk.rows
        return found

    def users(self, **more) -> list[str]:
        return [row.user for row in self.rows(**more)]


def settled(path) -> None:
    os.utime(path, (NOW / 1e6 - 3600,) * 2)


def test_a_file_that_grows_is_read_on(tmp_path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(line(0) + line(1) + line(2)[:20])
    os.utime(path, (NOW / 1e6,) * 2)
    reader = Reader(path)
    assert reader.users() == ["u0", "u1"]
    with path.open("a") as file:
        file.write(line(2)[20:] + line(3))
    assert reader.users() == ["u2", "u3"]
    with path.open("a") as file:
        file.write(line(4))
    reader.restart()
    assert reader.users() == ["u4"]
    assert reader.users() == []


def test_a_last_line_counts_when_the_file_has_settled(tmp_path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text((line(0) + line(1))[:-1])
    os.utime(path, (NOW / 1e6,) * 2)
    reader = Reader(path)
    assert reader.users() == ["u0"]
    assert reader.users(now=NOW + 100 * 10**6) == ["u1"]
    assert Reader(path, follow=False).users() == ["u0", "u1"]


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.jsonl.gz", "a.parquet", "a.csv.gz"])
def test_a_restart_anywhere_reads_each_row_once(tmp_path, name) -> None:
    rows = [{"user_id": f"u{i}", "kind": "view", "time": T, "note": 'a "b"\nc, d' if i % 3 else "é"} for i in range(50)]
    path, table = tmp_path / name, pl.DataFrame(rows)
    text = table.write_csv() if "csv" in name else "".join(line(i, note=row["note"]) for i, row in enumerate(rows))
    if name.endswith(".parquet"):
        table.write_parquet(path)
    else:
        path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    settled(path)
    reader, found = Reader(path), []
    for _ in range(20):
        found += reader.rows(chunks=1)
        reader.restart()
    assert [row.user for row in found] == [f"u{i}" for i in range(50)]
    assert {row.values["note"] for row in found} == {'a "b"\nc, d', "é"}
    assert len({row.event_id for row in found}) == 50


def test_refused_lines_are_kept_byte_for_byte(tmp_path) -> None:
    garbage = [b"\xff\xfe\x00 no", b'{"time": 5}', b'"', b"{" * 5, b"a,b,c,d,e"]
    (tmp_path / "a.jsonl").write_bytes(b"".join(bad + b"\n" + line(i).encode() for i, bad in enumerate(garbage)))
    rows = Reader(tmp_path / "a.jsonl", follow=False).rows()
    assert [row.raw for row in rows if isinstance(row, Refused)] == garbage
    assert [row.user for row in rows if isinstance(row, Event)] == [f"u{i}" for i in range(5)]


def test_lines_of_a_table_that_do_not_fit_are_kept_byte_for_byte(tmp_path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"user_id,kind,time,note\n" + b"".join(b"u%d,view,2023-11-14T20:00:00Z,ok\n" % i for i in range(9)) + b"u9,view\n"
                     + b"u10,view,2023-11-14T20:00:00Z,\xff\nu11,view,soon,ok\nu12,view,2023-11-14T20:00:00Z,\"a\r\nb\"\n")  # fmt: skip
    rows = Reader(path, follow=False, dialect=Dialect(encoding="utf-8")).rows()
    assert [row.raw for row in rows if isinstance(row, Refused)] == [b"u9,view", b"u10,view,2023-11-14T20:00:00Z,\xff", b"u11,view,soon,ok"]
    assert [row.user for row in rows if isinstance(row, Event)] == [*(f"u{i}" for i in range(9)), "u12"]
    assert rows[-1].values["note"] == "a\r\nb"


def test_a_quotation_mark_that_is_none_takes_one_line(tmp_path) -> None:
    path = tmp_path / "a.csv"
    good = [f"u{i},view,{T},ok\n" for i in range(300)]
    path.write_text("user_id,kind,time,note\n" + "".join(good[:5]) + f'u,view,{T},"19 inch\n' + "".join(good[5:]))
    rows = Reader(path, follow=False).rows(most=1000)
    assert [row.user for row in rows if isinstance(row, Event) and row.user != "u"] == [f"u{i}" for i in range(300)]


def test_a_folder_gives_every_file_that_holds_data(tmp_path) -> None:
    for name in ("b.jsonl", "sub/a.jsonl", ".hidden.jsonl", "_tmp/c.jsonl", "readme.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(line(0, event_id=name))
    reader = Reader(tmp_path)
    rows = reader.rows()
    assert [row.event_id for row in rows] == ["b.jsonl", "sub/a.jsonl"]
    assert {row.source for row in rows} == {f"folder:{tmp_path}"}
    (tmp_path / "c.jsonl").write_text(line(1))
    assert reader.users() == ["u1"]
    reader.restart()
    assert reader.users() == []


def test_a_file_that_is_replaced_is_read_from_its_beginning(tmp_path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(line(0) + line(1))
    reader = Reader(path)
    assert reader.users() == ["u0", "u1"]
    path.write_text(line(5))
    assert reader.users() == ["u5"]
    path.unlink()
    assert reader.users() == []
    path.write_text(line(6) + line(7))
    reader.restart()
    assert reader.users() == ["u6", "u7"]


def test_a_file_that_cannot_be_read_does_not_stop_the_others(tmp_path) -> None:
    (tmp_path / "a.csv").write_bytes(bytes(range(256)) * 20)
    (tmp_path / "b.parquet").write_bytes(b"PAR1 and then nothing")
    (tmp_path / "c.csv").write_text("")
    (tmp_path / "d.jsonl").write_text(line(4))
    for path in tmp_path.iterdir():
        settled(path)
    reader = Reader(tmp_path)
    rows = reader.rows()
    assert [type(row) for row in rows] == [Refused, Refused, Event]
    assert [row.raw for row in rows[:2]] == [(tmp_path / name).read_bytes() for name in ("a.csv", "b.parquet")]
    reader.restart()
    assert reader.rows() == []


def test_a_table_still_being_written_waits(tmp_path) -> None:
    whole = pl.DataFrame({"user_id": ["a", "b"], "kind": ["view"] * 2, "time": [datetime(2023, 11, 14, tzinfo=UTC)] * 2})
    path = tmp_path / "a.parquet"
    whole.write_parquet(path)
    content = path.read_bytes()
    path.write_bytes(content[:-10])
    os.utime(path, (NOW / 1e6,) * 2)
    reader = Reader(tmp_path)
    assert reader.rows() == []
    path.write_bytes(content)
    os.utime(path, (NOW / 1e6 + 1,) * 2)
    assert reader.users() == ["a", "b"]


def test_a_path_that_is_not_there_is_an_error_unless_it_is_awaited(tmp_path) -> None:
    with pytest.raises(NotFoundError):
        Reader(tmp_path / "a.jsonl", follow=False).rows()
    reader = Reader(tmp_path / "a.jsonl")
    assert reader.rows() == []
    (tmp_path / "a.jsonl").write_text(line(1))
    assert reader.users() == ["u1"]
    (tmp_path / "b.jsonl").write_text(line(2))
    assert Reader(tmp_path / "*.jsonl", follow=False).users() == ["u1", "u2"]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 400), max_size=12), st.lists(st.booleans(), min_size=12, max_size=12))
def test_however_a_file_grows_and_the_reader_restarts_each_row_is_read_once(tmp_path, steps, restarts) -> None:
    path = tmp_path / "a.csv"
    path.unlink(missing_ok=True)
    rows = [f'u{i},view,{T},".{"x" * (i % 40)}\n""{i}"""\r\n' for i in range(40)]
    content, written = ("user_id,kind,time,note\r\n" + "".join(rows)).encode(), 0
    reader, found = Reader(path), []
    for step, restart in zip(steps, restarts, strict=False):
        written += step
        path.write_bytes(content[:written])
        os.utime(path, (NOW / 1e6 + written,) * 2)
        if restart:
            reader.restart()
        found += reader.rows(now=NOW)
    path.write_bytes(content)
    found += reader.rows(now=NOW + 10**10)
    assert [(row.user, row.values["note"]) for row in found] == [(f"u{i}", f'.{"x" * (i % 40)}\n"{i}"') for i in range(40)]
