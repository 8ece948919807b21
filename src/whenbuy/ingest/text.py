"""How a text file is written: compression, encoding, separator, header, each found out from its own bytes."""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import json
import lzma
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Final, Literal

import polars as pl
import pyarrow as pa

from whenbuy.core.errors import EmptyError, InputError, UsageError
from whenbuy.ingest.times import format_of

_SAMPLE = 1 << 18
_STRAY = 8
"""So many control characters are a mishap in a row or two, which is set aside; more of them are no text."""
_CHUNK = 1 << 20
_LINES = 16 << 20
_SEPARATORS: Final = (",", ";", "\t", "|", "^")
_MAGIC: Final = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2", b"\xfd7zXZ": "xz"}
_NUMBER = re.compile(r"^\s*[+-]?[\d.,]*\d[\d.,]*\s*$")
_CONTROL = bytes(set(range(32)) - {0, 9, 10, 12, 13})
_HIGH = re.compile(rb"[\x80-\xff]+")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a text file is written. What is None is found out from the file.

    Parameters
    ----------
    encoding
        Such as utf-8, cp1252, utf-16, gb18030.
    separator
        The character between fields.
    quote
        The character around fields that hold a separator; empty where the file quotes nothing.
    decimal
        The decimal mark, a point or a comma.
    day_first
        Whether 03/04/2017 is the third of April.

    Raises
    ------
    UsageError
        When a separator, a quote or a decimal mark is not one character, or nobody knows the encoding.
    """

    encoding: str | None = None
    separator: str | None = None
    quote: str = '"'
    decimal: str | None = None
    day_first: bool | None = None

    def __post_init__(self) -> None:
        if len(self.separator or ",") != 1 or len(self.quote) > 1 or (self.decimal or ".") not in ".,":
            raise UsageError(
                f"A dialect was given separator={self.separator!r}, quote={self.quote!r}, decimal={self.decimal!r}.",
                "Separator and quote are one character each, the decimal mark is a point or a comma.",
                "Leave out what whenbuy can find out by itself.",
            )
        try:
            codecs.lookup(self.encoding or "utf-8")
        except LookupError as error:
            raise UsageError(
                f"The encoding {self.encoding!r} is not known.",
                "Known are utf-8, cp1252, utf-16, gb18030 and others.",
                "Leave it out: whenbuy finds it out.",
            ) from error


@dataclass(frozen=True, slots=True)
class TextFile:
    """A text file whose writing is known.

    Parameters
    ----------
    path
        Where it lies.
    compression
        gzip, zstd, bz2, xz or none.
    dialect
        How it is written.
    columns
        Its columns.
    skip
        How many lines come before the first row.
    json
        Whether each line is a JSON object.
    """

    path: Path
    compression: str
    dialect: Dialect
    columns: tuple[str, ...]
    skip: int = 0
    json: bool = False

    @property
    def name(self) -> str:
        """The path as text."""
        return str(self.path)

    def stream(self) -> Any:
        """Return the open file, its bytes decompressed, as Arrow reads it."""
        if not self.compression:
            return pa.OSFile(self.name)
        if self.compression == "zstd":
            return pa.CompressedInputStream(pa.OSFile(self.name), "zstd")
        return pa.PythonFile(_opened(self.path, self.compression), mode="r")

    def lines(self) -> Iterator[list[str]]:
        """Yield the lines that are not blank, in blocks of about 16 MB."""
        decoder = codecs.getincrementaldecoder(self.dialect.encoding or "utf-8")()
        left = ""
        with _opened(self.path, self.compression) as file:
            while chunk := file.read(_LINES):
                *lines, left = (left + decoder.decode(chunk)).split("\n")
                yield [line for line in lines if line.strip()]
        left += decoder.decode(b"", True)
        if left.strip():
            yield [left]


def kind_of_file(path: Path) -> str:
    """Return "parquet" or "text" by the first bytes of a file."""
    with path.open("rb") as file:
        return "parquet" if file.read(4) == b"PAR1" else "text"


def open_text(path: Path, dialect: Dialect) -> TextFile:
    """Return a text file with everything about its writing found out that the dialect leaves open.

    Raises
    ------
    EmptyError
        When it holds nothing, or a header and no row.
    InputError
        When its bytes are no text, or its JSON is not one object per line.
    """
    with path.open("rb") as file:
        head = file.read(8)
    compression = next((name for magic, name in _MAGIC.items() if head.startswith(magic)), "")
    with _opened(path, compression) as file:
        sample = file.read(_SAMPLE)
        more = bool(file.read(1))
    encoding = dialect.encoding or _encoding(path, compression, sample)
    _refuse_binary(path, sample, encoding)
    text = codecs.getincrementaldecoder(encoding)(errors="replace").decode(sample).lstrip("\ufeff")
    if not text.strip():
        raise EmptyError(f"{path} is empty.", "whenbuy needs at least one event.", "Name a file with events.")
    if more:
        text = text[: text.rfind("\n") + 1] or text
    dialect = replace(dialect, encoding=encoding)
    if text.lstrip()[:1] in ("{", "["):
        return TextFile(path, compression, replace(dialect, separator=None), _keys(path, compression, encoding, text, more), json=True)
    return _separated(path, compression, dialect, text, more)


def _opened(path: Path, compression: str) -> IO[bytes]:
    if compression == "zstd":
        return io.BufferedReader(_Readable(pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")), _CHUNK)
    if compression == "gzip":
        return gzip.open(path, "rb")  # type: ignore[return-value]
    if compression == "bz2":
        return bz2.open(path, "rb")
    return lzma.open(path, "rb") if compression == "xz" else path.open("rb")


class _Readable(io.RawIOBase):
    """An Arrow stream as Python reads it."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = self.stream.read(len(buffer))
        buffer[: len(part)] = part
        return len(part)

    def close(self) -> None:
        self.stream.close()
        super().close()


# ---------------------------------------------------------------------------------------------- encoding


def _encoding(path: Path, compression: str, sample: bytes) -> str:
    if sample.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    odd, even = sample[1::2].count(0), sample[::2].count(0)
    if max(odd, even) > len(sample) / 4 and min(odd, even) < len(sample) / 100:
        return "utf-16-le" if odd > even else "utf-16-be"
    high = _first_beyond_utf8(path, compression)
    return "utf-8" if high is None else _one_byte(high)


def _first_beyond_utf8(path: Path, compression: str) -> bytes | None:
    """Return the chunk in which the file stops being UTF-8, None where it never does."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with _opened(path, compression) as file:
        while chunk := file.read(_CHUNK):
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError:
                return chunk
    try:
        decoder.decode(b"", True)
    except UnicodeDecodeError:
        return b"\xff"
    return None


def _one_byte(chunk: bytes) -> str:
    """Return the encoding of bytes that are not UTF-8: Chinese where high bytes come in pairs, else that of western Europe."""
    runs = _HIGH.findall(chunk)
    if sum(len(run) for run in runs if len(run) % 2 == 0) > 0.9 * sum(map(len, runs)):
        try:
            codecs.getincrementaldecoder("gb18030")().decode(chunk)
        except UnicodeDecodeError:
            pass
        else:
            return "gb18030"
    return "latin-1" if set(chunk) & {0x81, 0x8D, 0x8F, 0x90, 0x9D} else "cp1252"


def _refuse_binary(path: Path, sample: bytes, encoding: str) -> None:
    if sample.startswith(b"PK\x03\x04"):
        raise InputError(
            f"{path} is a zip archive or an Excel workbook.", "whenbuy reads CSV, JSONL and Parquet.", "Save it as CSV (UTF-8)."
        )
    if encoding.startswith("utf-16"):
        return
    control = len(sample) - len(sample.translate(None, _CONTROL))
    if control > max(0.01 * len(sample), _STRAY) or sample.count(0) > 0.2 * len(sample):
        raise InputError(f"{path} is not a text file.", "whenbuy reads CSV, JSONL and Parquet.", "Export the events in one of these.")


# -------------------------------------------------------------------------------------------- JSON lines


def _keys(path: Path, compression: str, encoding: str, text: str, more: bool) -> tuple[str, ...]:
    """Return the keys of all lines, in the order in which they first appear."""
    keys: dict[str, None] = {}
    whole = TextFile(path, compression, Dialect(encoding), (), json=True)
    for lines in whole.lines() if more else [text.split("\n")]:
        keys |= dict.fromkeys(_keys_of(lines))
    if not keys:
        raise InputError(
            f"{path} looks like JSON, but no line of it is an object.",
            "whenbuy reads one JSON object per line (JSON lines).",
            "Write the list as lines, for example with `jq -c '.[]'`.",
        )
    return tuple(keys)


def _keys_of(lines: Sequence[str]) -> Iterable[str]:
    """Return the keys of some lines; line by line where they are broken or do not agree on what a key holds."""
    try:
        return list(pl.scan_ndjson(io.BytesIO("\n".join(lines).encode()), infer_schema_length=None).collect_schema())
    except (pl.exceptions.PolarsError, UnicodeError):
        return _keys_one_by_one(lines)


def _keys_one_by_one(lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        try:
            thing = json.loads(line) if line.strip() else None
        except (ValueError, RecursionError):
            continue
        if isinstance(thing, dict):
            yield from thing


# ------------------------------------------------------------------------------------- separated fields


def _separated(path: Path, compression: str, dialect: Dialect, text: str, more: bool) -> TextFile:
    separator = dialect.separator or _separator(text, dialect.quote)
    dialect = replace(dialect, separator=separator)
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, quotechar=dialect.quote or None, quoting=_quoting(dialect.quote)
    )
    records: list[list[str]] = []
    skip = 0
    for record in _readable(reader):
        if record:
            records.append(record)
            skip = skip or reader.line_num
        if len(records) == 2:
            break
    header, first = records[0], records[1] if len(records) > 1 else []
    if _is_data(header, first):
        return TextFile(path, compression, dialect, tuple(f"column_{place}" for place in range(1, len(header) + 1)), skip - 1)
    if not first and not more:
        raise EmptyError(f"{path} has a header and no row.", "whenbuy needs at least one event.", "Name a file with events.")
    columns = [name.strip() or f"column_{place}" for place, name in enumerate(header, 1)]
    return TextFile(path, compression, dialect, tuple(columns), skip)


def _quoting(quote: str) -> Literal[0, 3]:
    return 0 if quote else 3  # csv.QUOTE_MINIMAL, csv.QUOTE_NONE


def _readable(reader: Any) -> Iterator[list[str]]:
    """Yield records as far as Python's reader understands them."""
    try:
        yield from reader
    except csv.Error:
        return


def _separator(text: str, quote: str) -> str:
    """Return the character that cuts the first hundred records into the same number of fields most often."""
    best, score = ",", (0.0, 0)
    for separator in _SEPARATORS:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, quotechar=quote or None, quoting=_quoting(quote))
        widths = [len(record) for record, _ in zip(_readable(reader), range(100), strict=False) if record]
        width, count = Counter(widths).most_common(1)[0] if widths else (1, 0)
        if width > 1 and (count / len(widths), width) > score:
            best, score = separator, (count / len(widths), width)
    return best


def _is_data(header: list[str], first: list[str]) -> bool:
    """Return whether the first line is a row already: a column has a number or a time in it, as in the line below."""
    return any(_value(above) and _value(below) for above, below in zip(header, first or header, strict=False))


def _value(cell: str) -> bool:
    return bool(_NUMBER.match(cell)) or format_of(cell.strip()) is not None
