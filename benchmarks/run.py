"""Measure some areas: `python benchmarks/run.py speed|quality [AREA…]`; no area means every one that can be measured."""

import importlib
import sys
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path[0] = str(ROOT)  # where a script finds its own folder; these files are `benchmarks.…`

from benchmarks.rows import AREAS, Row, merge, table  # noqa: E402 - needs the line above

RESULTS = {"speed": ROOT / "build" / "bench.json", "quality": ROOT / "build" / "quality.json"}
MINUTES = 20
"""What one area may take on two cores."""


def measure(kind: str, area: str) -> list[Row]:
    """The rows of one area, in the order in which it yields them."""
    rows: list[Row] = []
    for row in importlib.import_module(f"benchmarks.{kind}.{area}").rows():
        if row.area != area or any(row.name == other.name for other in rows):
            raise ValueError(f"{kind}/{area}.py yielded {row.area}/{row.name}; each row belongs to the area and comes once")
        rows.append(row)
    return rows


def run(kind: str, area: str) -> bool:
    """Measure one area, print its table and store its rows; False when it broke (its old rows then stay)."""
    if not (ROOT / "benchmarks" / kind / f"{area}.py").exists():
        print(f"{kind} {area}: nothing to measure yet", flush=True)
        return True
    start = time.perf_counter()
    try:
        rows = measure(kind, area)
    except Exception:  # one broken area must not hide the others
        traceback.print_exc()
        print(f"{kind} {area}: broken, its stored rows stay as they were", flush=True)
        return False
    seconds = time.perf_counter() - start
    merge(RESULTS[kind], area, rows)
    late = f", over the limit of {MINUTES} minutes" if seconds > 60 * MINUTES else ""
    print(f"\n{kind} {area} ({seconds:.0f} s{late})\n{table(rows)}", flush=True)
    return True


def main(arguments: list[str]) -> int:
    """0 when every area was measured, 1 when one broke, 2 when the call makes no sense."""
    kind, *areas = arguments or [""]
    unknown = [area for area in areas if area not in AREAS]
    if kind not in RESULTS or unknown:
        wrong = f"no area is called {', '.join(unknown)}" if kind in RESULTS else f"{kind!r} is neither speed nor quality"
        print(f"{wrong}\nusage: benchmarks/run.py speed|quality [AREA…]\nareas: {' '.join(AREAS)}", file=sys.stderr)
        return 2
    if not areas:
        areas = [area for area in AREAS if (ROOT / "benchmarks" / kind / f"{area}.py").exists()]
        if not areas:
            print(f"{kind}: nothing to measure yet")
    broken = [area for area in dict.fromkeys(areas) if not run(kind, area)]
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
