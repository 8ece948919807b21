"""Files and tables of every kind give the same raw rows, and what is broken is named, never fatal."""

from __future__ import annotations

import bz2
import gzip
import lzma
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from whenbuy.core.errors import AccessError, ColumnError, EmptyError, InputError, NotFoundError, UsageError
from whenbuy.ingest.files import open_source
from whenbuy.ingest.text import Dialect

TEXT = "user_id,time,kind\nu1,2017-01-01,view\nu2,2017-01-02,cart\n"
ROWS = [("u1", "2017-01-01", "view"), ("u2", "2017-01-02", "cart")]


def rows(source: object, dialect: Dialect | None = None) -> list[tuple[object, ...]]:
    return [row for batch in open_source(source, dialect).batches() for row in batch.frame.rows()]


def broken(source: object) -> list[tuple[int, str, str]]:
    return [(one.row, one.reason, one.raw) for batch in open_source(source).batches() for one in batch.broken]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16", "utf-16-le"])
def test_separators_and_encodings_are_found_out(tmp_path: Path, separator: str, encoding: str) -> None:
    text = TEXT.replace("u2", "Müller").replace(",", separator)
    (tmp_path / "events.csv").write_bytes(text.encode(encoding))
    assert rows(tmp_path / "events.csv") == [ROWS[0], ("Müller", "2017-01-02", "cart")]


def test_an_accent_far_behind_the_sample_still_decides_the_encoding(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_bytes((TEXT + "u3,2017-01-03,view\n" * 60_000 + "Jürgen,2017-01-04,view\n").encode("latin-1"))
    assert rows(tmp_path / "events.csv")[-1][0] == "Jürgen"


def test_chinese_text_that_is_not_utf8_is_read(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_bytes("用户,时间,行为\n张三,2017-01-01,购买\n".encode("gb18030"))
    assert open_source(tmp_path / "events.csv").schema == dict.fromkeys(["用户", "时间", "行为"], pl.String)
    assert rows(tmp_path / "events.csv") == [("张三", "2017-01-01", "购买")]


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [
        (".gz", gzip.compress),
        (".bz2", bz2.compress),
        (".xz", lzma.compress),
        (".zst", lambda b: pa.compress(b, "zstd", asbytes=True)),
        ("", lambda b: b),
    ],
)
@pytest.mark.parametrize("suffix_of_text", [".csv", ".jsonl"])
def test_compressed_text_is_read(tmp_path: Path, suffix: str, pack, suffix_of_text: str) -> None:
    text = TEXT if suffix_of_text == ".csv" else pl.DataFrame(ROWS, schema=["user_id", "time", "kind"], orient="row").write_ndjson()
    path = tmp_path / f"events{suffix_of_text}{suffix}"
    path.write_bytes(pack(text.encode()))
    assert rows(path) == ROWS


def test_quoted_fields_hold_separators_and_line_ends(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text('a;b\n"x; ""y""\nz";5" disk\n', newline="")
    assert rows(tmp_path / "e.csv") == [('x; "y"\nz', '5" disk')]


def test_rows_with_too_few_or_too_many_fields_are_set_aside_with_their_number(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("a,b\n1,2\n3\n\n4,5\n6,7,8\n9,10\n")
    source = open_source(tmp_path / "e.csv")
    batches = list(source.batches())
    assert [row for batch in batches for row in batch.frame.rows()] == [("1", "2"), ("4", "5"), ("9", "10")]
    assert broken(tmp_path / "e.csv") == [(2, "1 fields instead of 2", "3"), (4, "3 fields instead of 2", "6,7,8")]
    assert np.concatenate([b.numbers(np.arange(len(b.frame))) for b in batches]).tolist() == [1, 3, 5]


def test_a_quotation_mark_that_is_never_closed_is_an_error_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("a,b\n" + "1,2\n" * 10 + '3,"4\n' + "5,6\n" * 50_000)
    with pytest.raises(InputError, match='quote=""'):
        rows(tmp_path / "e.csv")
    assert len(rows(tmp_path / "e.csv", Dialect(quote=""))) == 50_011


def test_a_file_without_a_header_has_numbered_columns(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("u1,2017-01-01,3.5\nu2,2017-01-02,4\n")
    source = open_source(tmp_path / "e.csv")
    assert [*source.schema] == ["column_1", "column_2", "column_3"]
    assert not source.named
    assert len(rows(tmp_path / "e.csv")) == 2


def test_json_lines_are_read_as_text_and_broken_lines_set_aside(tmp_path: Path) -> None:
    (tmp_path / "e.jsonl").write_text('{"a":1,"b":"x"}\n{"a":2.50,"c":{"d":[1]}}\nnonsense\n\n[1]\n{"a":null,"b":true}\n')
    assert rows(tmp_path / "e.jsonl") == [("1", "x", None), ("2.50", None, '{"d": ["1"]}'), (None, "true", None)]
    assert broken(tmp_path / "e.jsonl") == [(3, "no JSON object", "nonsense"), (4, "no JSON object", "[1]")]


def test_folders_and_patterns_are_read_in_the_order_of_names(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv"):
        (tmp_path / name).write_text(f"user_id,time\n{name},2017-01-01\n")
    (tmp_path / "c.jsonl").write_text('{"user_id": "c", "extra": 1}\n')
    (tmp_path / "_SUCCESS").write_text("")
    (tmp_path / "empty.csv").write_text("user_id,time\n")
    assert [row[0] for row in rows(tmp_path)] == ["a.csv", "b.csv", "c"]
    assert rows(tmp_path)[-1] == ("c", None, "1")
    assert [row[0] for row in rows(str(tmp_path / "*.csv"))] == ["a.csv", "b.csv"]
    assert [row[0] for row in rows([tmp_path / "b.csv", tmp_path / "a.csv"])] == ["b.csv", "a.csv"]


def test_parquet_is_read_by_column_with_names_coded(tmp_path: Path) -> None:
    frame = pl.DataFrame({"u": [1, 2], "k": ["view", "cart"], "x": [[1], [2]]})
    frame.write_parquet(tmp_path / "e.parquet")
    source = open_source(tmp_path / "e.parquet")
    (batch,) = source.batches(["u", "k"], ["k"])
    assert source.rows == 2
    assert batch.frame.dtypes == [pl.Int64, pl.Categorical]
    assert batch.frame.cast({"k": pl.String}).equals(frame.select("u", "k"))


def test_parts_whose_types_differ_are_read_as_text(tmp_path: Path) -> None:
    pl.DataFrame({"u": [1]}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"u": ["x"]}).write_parquet(tmp_path / "b.parquet")
    assert rows(tmp_path) == [("1",), ("x",)]


@pytest.mark.parametrize("wrap", [lambda f: f, lambda f: f.lazy(), lambda f: f.to_arrow(), lambda f: f.to_pandas()])
def test_tables_in_memory_are_read(wrap) -> None:
    assert rows(wrap(pl.DataFrame(ROWS, schema=["user_id", "time", "kind"], orient="row"))) == ROWS


def test_pandas_objects_of_several_types_become_text() -> None:
    table = pd.DataFrame({"u": ["a", 1, None], "t": [pd.Timestamp("2017-01-01"), "2017-01-02", pd.NaT]}, dtype=object)
    assert rows(table) == [("a", "2017-01-01 00:00:00"), ("1", "2017-01-02"), (None, None)]


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (b"", EmptyError, "empty"),
        (b" \n\n", EmptyError, "empty"),
        (b"user_id,time\n", EmptyError, "no row"),
        (b"user_id,time,user_id\n1,2,3\n", ColumnError, "more than one column named 'user_id'"),
        (bytes(range(256)) * 40, InputError, "not a text file"),
        (b"\0" * 1000 + b"abc", InputError, "not a text file"),
        (b"PK\x03\x04 and so on", InputError, "Excel"),
        (b'[{"a": 1}]', InputError, "one JSON object per line"),
        (b"PAR1 but nothing more", InputError, "Parquet"),
        (gzip.compress(TEXT.encode() * 500)[:-20], InputError, "damaged"),
    ],
)
def test_what_is_no_table_is_refused_with_the_reason(tmp_path: Path, content: bytes, error: type[Exception], words: str) -> None:
    (tmp_path / "e.csv").write_bytes(content)
    with pytest.raises(error, match=words):
        rows(tmp_path / "e.csv")


def test_what_is_not_there_or_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFoundError, match="does not exist"):
        open_source(tmp_path / "none.csv")
    with pytest.raises(NotFoundError, match="No file is named like"):
        open_source(str(tmp_path / "*.csv"))
    (tmp_path / "notes.docx").write_text("x")
    with pytest.raises(EmptyError, match="holds no file"):
        open_source(tmp_path)
    (tmp_path / "e.csv").write_text(TEXT)

    def closed(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "open", closed)
    with pytest.raises(AccessError, match="may not be read"):
        open_source(tmp_path / "e.csv")


def test_tables_that_are_none() -> None:
    with pytest.raises(UsageError, match="no event log"):
        open_source(42)
    with pytest.raises(EmptyError, match="no row"):
        open_source(pl.DataFrame({"a": []}))
    with pytest.raises(ColumnError, match="more than one column"):
        open_source(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    with pytest.raises(ColumnError, match="more than one column"):
        open_source(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]))
    with pytest.raises(UsageError):
        Dialect(separator=";;")
    with pytest.raises(UsageError):
        Dialect(encoding="klingon")
