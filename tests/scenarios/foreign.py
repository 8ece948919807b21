"""Small shops in a foreign layout, and the command line as a test types it."""

import contextlib
import datetime as dt
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from whenbuy.cli import run

START = dt.datetime(2023, 1, 1)


@dataclass(frozen=True)
class Said:
    """What one command line did."""

    code: int
    out: str
    err: str


def typed(*words: object) -> Said:
    """Run one command line in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run([str(word) for word in words])
    return Said(code, out.getvalue(), err.getvalue())


def ok(*words: object) -> Said:
    said = typed(*words)
    assert said.code == 0, said.err
    return said


def refused(code: int, *words: object) -> str:
    """Run a command line that must fail: with this exit code, in three parts, without a traceback and without data."""
    said = typed(*words)
    assert said.code == code, (said.code, said.err)
    assert "Traceback" not in said.err
    assert not said.out
    message = said.err[said.err.rindex("Error: ") :].rstrip().split("\n")
    assert len(message) == 3, said.err
    assert all(line.strip() for line in message)
    assert all(line.startswith("  ") for line in message[1:])
    return "\n".join(message)


def orders(users: int = 40, days: float = 150, seed: int = 1) -> list[tuple[str, dt.datetime, float]]:
    """Return orders of customers who come at a rate of their own: customer, time, amount."""
    rng = np.random.default_rng(seed)
    found = []
    for user in range(users):
        day, gap = float(rng.uniform(0, days / 3)), float(rng.gamma(2, 6) + 2)
        while day < days:
            found.append((f"K{user:04d}", START + dt.timedelta(minutes=round(day * 1440)), round(float(rng.gamma(3, 9)) + 0.01, 2)))
            day += float(rng.exponential(gap))
    return sorted(found, key=lambda order: (order[1], order[0]))


def german(path: Path, rows: Iterable[tuple[str, dt.datetime, float]]) -> Path:
    """Write orders as a German shop would: semicolons, decimal commas, the day first."""
    lines = [f"{user};{time:%d.%m.%Y %H:%M};{amount:.2f}".replace(".", ",").replace(",", ".", 2) for user, time, amount in rows]
    path.write_text("Kunde;Datum;Betrag\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return path


def plain(path: Path, rows: Iterable[tuple[object, ...]], head: str = "user_id,time,amount") -> Path:
    """Write a CSV file as it comes."""
    path.write_text(head + "\n" + "".join(",".join(map(str, row)) + "\n" for row in rows), encoding="utf-8")
    return path


def content(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder but the locks, by its path."""
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != "log.lock"
    }
