"""Files and tables as raw batches: every value as it was written, so that reading it is whenbuy's own business."""

from __future__ import annotations

import glob
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv as arrow_csv

from whenbuy.core.errors import AccessError, EmptyError, InputError, NotFoundError
from whenbuy.ingest.source import Batch, Broken, Part, Source, check_names
from whenbuy.ingest.tables import table_part
from whenbuy.ingest.text import Dialect, TextFile, kind_of_file, open_text

SUFFIXES: Final = (".csv", ".tsv", ".psv", ".txt", ".jsonl", ".ndjson", ".json", ".parquet", ".pq")
COMPRESSED: Final = (".gz", ".zst", ".bz2", ".xz")
_BLOCK = 8 << 20
_PARQUET_BATCH = 1 << 17
_ENDLESS = 100


def open_source(source: object, dialect: Dialect | None = None) -> Source:
    """Return a source of raw batches.

    Parameters
    ----------
    source
        A path to a file, a folder or a pattern with ``*``; a list of paths; a pandas or polars frame, a LazyFrame or an Arrow table.
    dialect
        How text is written, where it must not be guessed.

    Raises
    ------
    NotFoundError
        When there is no such file.
    AccessError
        When it may not be read.
    EmptyError
        When there is nothing in it.
    InputError
        When it is no table.
    """
    if isinstance(source, str | Path):
        return _gathered(_paths(str(source)), dialect or Dialect())
    if isinstance(source, list | tuple) and all(isinstance(path, str | Path) for path in source):
        return _gathered([path for one in source for path in _paths(str(one))], dialect or Dialect())
    return Source((table_part(source),))


def _gathered(paths: list[Path], dialect: Dialect) -> Source:
    parts, empty = [], []
    for path in paths:
        try:
            parts.append(_file(path, dialect))
        except EmptyError as error:
            empty.append(error)
        except (OSError, EOFError) as error:
            raise _refused(path, error) from error
    if not parts:
        raise empty[0]
    return Source(tuple(parts))


def _refused(path: Path, error: Exception) -> Exception:
    if isinstance(error, PermissionError):
        return AccessError(
            f"{path} may not be read.", "whenbuy needs to read it.", "Give yourself the right to read it, or name another file."
        )
    if isinstance(error, FileNotFoundError):
        return NotFoundError(
            f"{path} does not exist.", "whenbuy reads a file, a folder or a pattern such as 'events/*.parquet'.", "Check the path."
        )
    return InputError(f"{path} is damaged ({error}).", "Compressed files must be whole.", "Fetch or write the file again.")


def _paths(name: str) -> list[Path]:
    path = Path(name).expanduser()
    try:
        if path.is_dir():
            return _inside(path)
        if path.exists() or not glob.has_magic(name):
            return [path]
    except PermissionError as error:
        raise _refused(path, error) from error
    found = sorted(Path(hit) for hit in glob.glob(str(path), recursive=True) if Path(hit).is_file())  # noqa: PTH207 - the pattern may be absolute
    if not found:
        raise NotFoundError(f"No file is named like {name}.", "whenbuy reads a file, a folder or a pattern.", "Check the pattern.")
    return found


def _inside(folder: Path) -> list[Path]:
    found = [path for path in folder.rglob("*") if path.is_file() and not any(part[0] in "._" for part in path.relative_to(folder).parts)]
    known = sorted(path for path in found if _suffix(path) in SUFFIXES)
    events = [path for path in known if _suffix(path) != ".txt"] or known
    if not events:
        raise EmptyError(
            f"The folder {folder} holds no file that whenbuy reads ({len(found)} others).",
            f"It reads {', '.join(SUFFIXES)}, each also with {', '.join(COMPRESSED)}.",
            "Name the folder with the events.",
        )
    return events


def _suffix(path: Path) -> str:
    return Path(path.stem).suffix.lower() if path.suffix.lower() in COMPRESSED else path.suffix.lower()


def _file(path: Path, dialect: Dialect) -> Part:
    kind = kind_of_file(path)
    if kind == "parquet":
        return _parquet(path)
    text = open_text(path, dialect)
    return _jsonl(text) if text.json else _csv(text)


# ---------------------------------------------------------------------------------------------- Parquet


def _parquet(path: Path) -> Part:
    try:
        file = pq.ParquetFile(path)
        schema = dict(pl.Schema(pa.schema(file.schema_arrow)))
    except pa.ArrowException as error:
        raise InputError(
            f"{path} is no readable Parquet file ({error}).", "A Parquet file must be whole.", "Write or fetch it again."
        ) from error
    check_names(list(file.schema_arrow.names), str(path))
    if not file.metadata.num_rows:
        raise EmptyError(f"{path} has columns but no row.", "whenbuy needs at least one event.", "Name a file with events.")

    def batches(columns: Sequence[str], coded: Sequence[str]) -> Iterator[Batch]:
        strings = [name for name in coded if schema[name] == pl.String]
        first = 0
        try:
            with pq.ParquetFile(path, read_dictionary=strings) as reader:
                for part in reader.iter_batches(_PARQUET_BATCH, columns=list(columns), use_threads=False):
                    yield Batch(_framed(part), str(path), first)
                    first += part.num_rows
        except (pa.ArrowException, OSError) as error:
            raise _refused(path, error) from error

    return Part(str(path), schema, file.metadata.num_rows, batches)


def _framed(part: Any) -> pl.DataFrame:
    frame = pl.from_arrow(part)
    assert isinstance(frame, pl.DataFrame)
    return frame


# -------------------------------------------------------------------------------------------------- CSV


def _csv(text: TextFile) -> Part:
    check_names(text.columns, text.name)
    header = (text.dialect.separator or ",").join(f'"{name}"' if text.dialect.quote else name for name in text.columns)

    def batches(columns: Sequence[str], coded: Sequence[str]) -> Iterator[Batch]:  # noqa: ARG001 - text is never coded
        found: list[Broken] = []

        def refuse(row: Any) -> str:
            reason = f"{row.actual_columns} fields instead of {row.expected_columns}"
            found.append(Broken(text.name, row.number - text.skip, reason, row.text, header))
            return "skip"

        first, told = 0, 0
        for part in _arrow_batches(text, columns, refuse):
            frame = _framed(part)
            _check_quotes(text, frame, first)
            holes = np.array([broken.row - 1 - place for place, broken in enumerate(found)], np.int64)
            yield Batch(frame, text.name, first, tuple(found[told:]), holes)
            first, told = first + len(frame), len(found)
        if told < len(found):
            yield Batch(pl.DataFrame(schema=dict.fromkeys(columns, pl.String)), text.name, first, tuple(found[told:]))

    return Part(text.name, dict.fromkeys(text.columns, pl.String()), None, batches, text.dialect)


def _arrow_batches(text: TextFile, columns: Sequence[str], refuse: Callable[[Any], str]) -> Iterator[Any]:
    dialect = text.dialect
    try:
        with (
            text.stream() as stream,
            arrow_csv.open_csv(
                stream,
                arrow_csv.ReadOptions(
                    use_threads=False,
                    block_size=_BLOCK,
                    column_names=list(text.columns),
                    skip_rows=text.skip,
                    encoding=dialect.encoding or "utf-8",
                ),
                arrow_csv.ParseOptions(
                    delimiter=dialect.separator,
                    quote_char=dialect.quote or False,
                    newlines_in_values=bool(dialect.quote),
                    invalid_row_handler=refuse,
                ),
                arrow_csv.ConvertOptions(
                    column_types=dict.fromkeys(text.columns, pa.string()), strings_can_be_null=False, include_columns=list(columns)
                ),
            ) as reader,
        ):
            yield from reader
    except (pa.ArrowException, OSError, EOFError, UnicodeError) as error:
        if isinstance(error, pa.ArrowInvalid) and "straddling" in str(error):
            raise _unclosed(text, 0) from error
        raise _refused(Path(text.name), error) from error


def _check_quotes(text: TextFile, frame: pl.DataFrame, first: int) -> None:
    """Raise InputError when a quotation mark that is never closed has swallowed the rows behind it."""
    for column in frame:
        length = column.str.len_bytes()
        place = length.arg_max()
        if place is not None and length[place] > 100 * _ENDLESS and str(column[place]).count("\n") > _ENDLESS:
            raise _unclosed(text, first + place + 1)


def _unclosed(text: TextFile, row: int) -> InputError:
    return InputError(
        f"A quotation mark is opened {f'in row {row:,}' if row else ''} of {text.name} and not closed in its row.",
        "A quoted field must end; inch marks and the like must not begin a field.",
        'Mend the row, or say that the file quotes nothing: dialect=Dialect(quote="").',
    )


# ------------------------------------------------------------------------------------------------ JSONL


def _jsonl(text: TextFile) -> Part:
    def batches(columns: Sequence[str], coded: Sequence[str]) -> Iterator[Batch]:  # noqa: ARG001 - text is never coded
        schema = pl.Struct(dict.fromkeys(columns, pl.String))
        whole, holes = 0, [0][:0]
        row = 0
        try:
            for block in text.lines():
                lines = pl.Series("line", block, dtype=pl.String)
                frame, broken = _decoded(lines, schema, text.name, row)
                holes += [one.row - 1 - (len(holes) + place) for place, one in enumerate(broken)]
                yield Batch(frame, text.name, whole, tuple(broken), np.array(holes, np.int64))
                row, whole = row + len(lines), whole + len(frame)
        except (OSError, EOFError, UnicodeError, pa.ArrowException) as error:
            raise _refused(Path(text.name), error) from error

    return Part(text.name, dict.fromkeys(text.columns, pl.String()), None, batches, text.dialect)


def _decoded(lines: pl.Series, schema: pl.Struct, file: str, row: int) -> tuple[pl.DataFrame, list[Broken]]:
    """Return the objects of some lines as columns of text; one by one where a line is nested or broken."""
    try:
        return lines.str.json_decode(schema).struct.unnest(), []
    except pl.exceptions.ComputeError:
        pass
    columns: dict[str, list[str | None]] = {name: [] for name in schema.to_schema()}
    broken: list[Broken] = []
    for place, line in enumerate(lines):
        try:
            thing = json.loads(line, parse_float=str, parse_int=str)
        except (ValueError, RecursionError):
            thing = None
        if not isinstance(thing, dict):
            broken.append(Broken(file, row + place + 1, "no JSON object", line))
            continue
        for name, values in columns.items():
            value = thing.get(name)
            values.append(value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String)), broken
