"""What a benchmark is made of: rows, where the data lie, what a piece of work costs, and the file that keeps the rows.

An area is a file ``benchmarks/speed/<area>.py`` or ``benchmarks/quality/<area>.py`` with a function
``rows() -> Iterator[Row]``. A row is declared once, without a value, and yielded with what was measured::

    GROUP = Row(area="spine", name="group_vs_polars", unit="×", better="higher", peer=2.4e6, target=3)

    def rows() -> Iterator[Row]:
        ours = cpu_seconds("benchmarks.speed.spine:group", events)
        theirs = cpu_seconds("benchmarks.speed.spine:group_polars", events)
        yield GROUP.got(theirs / ours, peer_measured=events / theirs)
"""

import contextlib
import importlib
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).resolve().parents[1]
AREAS = ("spine", "forecast", "people", "nets", "live", "answers", "demand", "decide", "craft", "renewal")
DATA = "WHENBUY_DATA"
YARDSTICK = "WHENBUY_YARDSTICK"
VOID_BELOW = 0.7
"""A peer that reaches less than this share of its recorded figure ran on a troubled machine: its row says nothing."""

Way = Literal["higher", "lower"]


# ------------------------------------------------------------------------------------------------ rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure, with what it is compared to.

    Attributes
    ----------
    area, name
        Where the figure belongs; a name never changes.
    value
        The figure; None where it could not be measured.
    unit, better
        Its unit, and whether a higher or a lower figure is the better one.
    floor
        A stated baseline of this run.
    peer, peer_measured
        The peer's recorded figure, and the same peer's figure in this run, in one unit (which may differ from the row's).
    target
        The figure to reach; None for a row that is only printed.
    peer_better
        Which way the peer's figure is better, where that differs from the row's own (a ratio beside microseconds).
    note
        What a reader should know beside the figure. It is printed, not stored.
    """

    area: str
    name: str
    value: float | None = None
    unit: str
    better: Way
    floor: float | None = None
    peer: float | None = None
    peer_measured: float | None = None
    target: float | None = None
    peer_better: Way | None = None
    note: str = ""

    def __post_init__(self) -> None:
        """Refuse what no table and no JSON file could show."""
        if self.area not in AREAS:
            raise ValueError(f"{self.name} names the area {self.area!r}; the areas are {', '.join(AREAS)}")
        for name in ("value", "floor", "peer", "peer_measured", "target"):
            figure = getattr(self, name)
            if figure is not None and not math.isfinite(figure):
                raise ValueError(f"{self.name}: {name} is {figure}; give a finite figure, or no value and a note that says why")

    def got(self, value: float, *, floor: float | None = None, peer_measured: float | None = None, note: str = "") -> "Row":
        """The row with its measured figure."""
        return replace(
            self,
            value=float(value),
            floor=self.floor if floor is None else float(floor),
            peer_measured=None if peer_measured is None else float(peer_measured),
            note=note,
        )

    def without(self, variable: str) -> "Row":
        """The row with no figure, because the folder that this environment variable names is not there."""
        return replace(self, value=None, note=missing(variable))

    @property
    def void(self) -> bool:
        """Whether the peer ran slower than it should, so that the comparison counts for nothing."""
        if not self.peer or not self.peer_measured:
            return False
        share = self.peer_measured / self.peer if (self.peer_better or self.better) == "higher" else self.peer / self.peer_measured
        return share < VOID_BELOW

    @property
    def verdict(self) -> str:
        """One of ``met``, ``missed``, ``void``, ``no value``, or nothing for a row without a target."""
        if self.value is None:
            return "no value"
        if self.void:
            return "void"
        if self.target is None:
            return ""
        return "met" if (self.value >= self.target if self.better == "higher" else self.value <= self.target) else "missed"

    def record(self) -> dict[str, Any]:
        """The row as it is stored."""
        fields = asdict(self)
        return {name: fields[name] for name in RECORDED}


RECORDED = ("area", "name", "value", "unit", "better", "floor", "peer", "peer_measured", "target")


def table(rows: Sequence[Row]) -> str:
    """The rows as aligned plain text, with the verdict beside each figure and the notes below."""
    head = ("row", "value", "unit", "target", "floor", "peer", "peer here", "")
    body = [
        (
            row.name,
            _figure(row.value),
            row.unit,
            "" if row.target is None else ("≥ " if row.better == "higher" else "≤ ") + _figure(row.target),
            *(_figure(figure) for figure in (row.floor, row.peer, row.peer_measured)),
            row.verdict,
        )
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in (head, *body)]
    notes: dict[str, list[str]] = {}
    for row in rows:
        notes.setdefault(row.note, []).append(row.name)
    return "\n".join([*lines, *(f"{', '.join(names)}: {note}" for note, names in notes.items() if note)])


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.4g}"


def merge(path: Path, area: str, rows: Iterable[Row]) -> None:
    """Write an area's rows over those that it had; other areas keep theirs. The file is the old one or the new one, never half."""
    old = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    kept = [record for record in old if record["area"] != area]
    records = sorted([*kept, *(row.record() for row in rows)], key=lambda record: AREAS.index(record["area"]))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_text(json.dumps(records, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(path)


# ------------------------------------------------------------------------------------------------ data


def data_folder() -> Path | None:
    """The folder with the public data sets, or None."""
    return _folder(DATA)


def yardstick_folder() -> Path | None:
    """The folder with the scripts that score a forecast file, or None."""
    return _folder(YARDSTICK)


def missing(variable: str) -> str:
    """What to do when the folder that a variable should name is not there."""
    value = os.environ.get(variable)
    what = {DATA: "the folder with the public data sets", YARDSTICK: "the folder with the scoring scripts"}[variable]
    return f"{variable} is not set; set it to {what}" if not value else f"{variable} names no folder: {value}; set it to {what}"


def _folder(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value).resolve() if value and Path(value).is_dir() else None


# ------------------------------------------------------------------------------------------------ cost


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run of a piece of work took.

    Attributes
    ----------
    cpu_s
        User and system seconds of the process and all its children.
    wall_s
        Seconds on the clock.
    peak_mib
        Largest resident memory, MiB, with what the set-up holds.
    answer
        What the work returned (None for a command).
    """

    cpu_s: float
    wall_s: float
    peak_mib: float
    answer: Any


def costs(work: str | Sequence[str], *arguments: Any, times: int = 3, setup: str = "", warm: int = 0) -> list[Cost]:
    """What each of several runs costs, each in a fresh process.

    Parameters
    ----------
    work
        A function as ``module:function``, or a command as a list. Importing the function's module is not counted; a command
        counts whole.
    arguments
        Passed to the function; they and its answer travel as JSON.
    times
        How many runs.
    setup
        A function as ``module:function`` that is given the arguments and not counted; the work is then given what it
        returned, and nothing else.
    warm
        Calls of the work before the one that counts, in the same process: compiled kernels are then compiled.
    """
    request = {"work": work if isinstance(work, str) else list(work), "arguments": arguments, "setup": setup, "warm": warm}
    return [_run_apart(request) for _ in range(times)]


def cpu_seconds(
    work: str | Sequence[str], *arguments: Any, times: int = 3, take: Literal["best", "median"] = "best", setup: str = "", warm: int = 0
) -> float:
    """CPU seconds of the work's whole process tree: the best, or the median, of several runs. See `costs`."""
    found = [cost.cpu_s for cost in costs(work, *arguments, times=times, setup=setup, warm=warm)]
    return min(found) if take == "best" else statistics.median(found)


def _run_apart(request: dict[str, Any]) -> Cost:
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder, "answer.json")
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        subprocess.run(
            [sys.executable, "-m", "benchmarks.rows", str(answer)],
            input=json.dumps(request),
            text=True,
            env={**os.environ, "PYTHONPATH": path},
            check=True,
        )
        return Cost(**json.loads(answer.read_text(encoding="utf-8")))


def _function(name: str) -> Any:
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)


def _spent() -> float:
    import resource  # there is none on Windows

    each = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in each)


def _reset_peak() -> None:
    """Forget the peak so far, where the system can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_mib(*, of_children: bool) -> float:
    # A process inherits in ru_maxrss the peak of the one that started it, so Linux is asked for the high-water mark itself.
    import resource

    unit = 2**20 if sys.platform == "darwin" else 2**10
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / unit
    if of_children:
        return children
    status = Path("/proc/self/status")
    if not status.exists():
        return max(children, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit)
    mark = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return max(children, int(mark.split()[1]) / 2**10)


def _measure(request: dict[str, Any]) -> Cost:
    """Run here what was asked, and count."""
    answer = None
    arguments = request["arguments"]
    command = request["work"] if isinstance(request["work"], list) else None
    if command is None:
        function = _function(request["work"])
        if request["setup"]:
            arguments = [_function(request["setup"])(*arguments)]
        for _ in range(request["warm"]):
            function(*arguments)
    _reset_peak()
    clock, cpu = time.perf_counter(), _spent()
    if command is None:
        answer = function(*arguments)
    else:
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    return Cost(_spent() - cpu, time.perf_counter() - clock, _peak_mib(of_children=command is not None), answer)


if __name__ == "__main__":
    measured = asdict(_measure(json.load(sys.stdin)))
    Path(sys.argv[1]).write_text(json.dumps(measured), encoding="utf-8")
