"""What `whenbuy runs` does: list, show and compare what was learned and scored in a shop."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import polars as pl

from whenbuy.core.clock import Clock
from whenbuy.core.errors import DamagedError, NotFoundError, UsageError
from whenbuy.pipeline.keeping import track
from whenbuy.pipeline.keeping.track import Run
from whenbuy.pipeline.telling.result import Result, Screen
from whenbuy.pipeline.verbs.place import at, find_shop

_COLUMNS: Final[Mapping[str, Any]] = {
    "id": pl.String, "started": pl.Datetime("us", "UTC"), "verb": pl.String, "answers": pl.String, "seed": pl.Int64, "data": pl.String,
    "code": pl.String, "seconds": pl.Float64, "scores": pl.Int64, "damage": pl.String,
}  # fmt: skip
_SHORT: Final = 12
"""So many letters of a sha256 are shown."""


def list_runs(folder: Path | None) -> Result:
    """Return every run that is recorded, the latest first."""
    runs = find_shop(folder).runs
    order = {run.id: place for place, run in enumerate(_sound(runs))}
    rows = [_row(runs, id) for id in sorted(track.ids(runs), key=lambda id: (id[:15], order.get(id, -1)), reverse=True)]
    cells = tuple(
        (row["id"], row.get("verb", ""), f"{row['seconds']:.0f} s" if "seconds" in row else "", row.get("answers") or row.get("damage", ""))
        for row in rows
    )
    page = Screen("Runs, the latest first:", ("run", "verb", "took>", "what answers"), cells)
    said = () if rows else (f"Nothing was learned or scored here yet. Next: whenbuy fit{at(folder)}",)
    return Result({}, pl.DataFrame(rows, schema=dict(_COLUMNS)), "runs", (page,) if rows else (), after=said)


def show(folder: Path | None, name: str | None) -> Result:
    """Return all that is known of one run, the latest by default."""
    runs = find_shop(folder).runs
    run = track.show(runs, name) if name is not None else _latest(runs)
    facts = {"id": run.id, **_facts(run), "folder": str(run.folder)}
    table = pl.DataFrame(
        [(score, *map(_known, values)) for score, values in run.scores.items()],
        {"score": pl.String, "value": pl.Float64, "low": pl.Float64, "high": pl.Float64}, orient="row",
    )  # fmt: skip
    said = tuple((name, _text(value)) for name, value in facts.items() if _text(value))
    scores = Screen(
        "Scores:", ("score", "value>", "low>", "high>"), tuple((score, *map(_number, values)) for score, values in run.scores.items()),
        ("Low and high: the 95 % interval; in a fit, that of the difference to the floor.",),
    )  # fmt: skip
    return Result(facts, table, "scores", (Screen("", ("", ""), said), *((scores,) if run.scores else ())))


def compare(folder: Path | None, first: str | None, second: str | None) -> Result:
    """Return what two runs differ in, and their scores beside each other.

    Parameters
    ----------
    folder
        The shop, or a folder in it.
    first
        A run; the latest that has one of its kind before it, by default.
    second
        Another; the one of its kind before it, by default.

    Raises
    ------
    NotFoundError
        When there are no two to compare.
    """
    runs = find_shop(folder).runs
    one, other = _two(runs, first, second)
    if one.id == other.id:
        raise UsageError(f"{one.id} was compared with itself.", "Two runs are needed.", "`whenbuy runs` lists them.")
    names = [name for name in one.scores if name in other.scores]
    table = pl.DataFrame(
        [(name, *_pair(one, other, name)) for name in names],
        {"score": pl.String, "first": pl.Float64, "second": pl.Float64, "difference": pl.Float64}, orient="row",
    )  # fmt: skip
    differs = {name: list(values) for name, values in _differences(one, other)}
    facts = {"runs": [one.id, other.id], "differs": differs, "alone": [len(run.scores) - len(names) for run in (one, other)]}
    settings = Screen("What differs:", ("", one.id, other.id), tuple((name, *map(_text, values)) for name, values in differs.items()))
    cells = tuple((row[0], *map(_number, row[1:3]), "" if row[3] is None else f"{row[3]:+.4f}") for row in table.iter_rows())
    scores = Screen("Scores of both:", ("score", f"{one.id}>", f"{other.id}>", "difference>"), cells)
    pages = (*((settings,) if differs else ()), *((scores,) if names else ()))
    return Result(facts, table, "scores", pages, after=_warned(one, other, names))


def _warned(one: Run, other: Run, names: list[str]) -> tuple[str, ...]:
    """Return what makes the scores of two runs no fair comparison."""
    if not names:
        return (f"No score is of both: one is of `{one.question}`, the other of `{other.question}`.",)
    unlike = [what for what, differ in (("data", one.data != other.data), ("weeks", one.cutoffs != other.cutoffs)) if differ]
    if not unlike:
        return ()
    return (f"They were scored on different {' and '.join(unlike)}. `whenbuy models compare` asks two models about the same weeks.",)


def _pair(one: Run, other: Run, name: str) -> tuple[float | None, float | None, float | None]:
    ours, theirs = one.scores[name][0], other.scores[name][0]
    return _known(ours), _known(theirs), _known(ours - theirs)


def _sound(runs: Path) -> list[Run]:
    """Return the runs whose records can be read, the earliest first."""
    found = []
    for id in track.ids(runs):
        with suppress(DamagedError):
            found.append(track.show(runs, id))
    return sorted(found, key=lambda run: (run.started, run.id))


def _latest(runs: Path) -> Run:
    found = _sound(runs)
    if not found:
        raise NotFoundError("No run is recorded here.", "One is needed.", "Run `whenbuy fit` or `whenbuy backtest`.")
    return found[-1]


def _two(runs: Path, first: str | None, second: str | None) -> tuple[Run, Run]:
    """Return the runs to compare."""
    if first is not None and second is not None:
        return track.show(runs, first), track.show(runs, second)
    found = _sound(runs)
    for one in [track.show(runs, first)] if first is not None else reversed(found):
        earlier = [each for each in found if each.question == one.question and (each.started, each.id) < (one.started, one.id)]
        if earlier:
            return one, earlier[-1]
    what = f"No run has one of its kind before it among {len(found)}." if first is None else f"{first} has no run of its kind before it."
    raise NotFoundError(what, "Two runs are compared.", "Name two: `whenbuy runs` lists them.")


def _facts(run: Run) -> dict[str, Any]:
    clock = Clock()
    return {
        "verb": run.question, "started": f"{clock.show(run.started)} UTC", "seconds": round(run.seconds, 3), "seed": run.seed,
        "data": run.data, "code": run.code, "cutoffs": [clock.show(cutoff) for cutoff in run.cutoffs], "chosen": dict(run.chosen),
        "settings": _flat(run),
    }  # fmt: skip


def _flat(run: Run) -> dict[str, Any]:
    """Return the settings of a run, a key each."""
    said = {name: value for name, value in run.settings.items() if name not in ("settings", "toml")}
    text = run.settings.get("toml", "")
    sections = tomllib.loads(text) if isinstance(text, str) else {}
    return dict(_leaves({**sections, **said}))


def _leaves(table: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{before}{name}.")
        elif value not in ("", [], {}):
            yield f"{before}{name}", value


def _differences(one: Run, other: Run) -> Iterator[tuple[str, tuple[Any, Any]]]:
    for name in ("question", "seed", "data", "code"):
        pair = getattr(one, name), getattr(other, name)
        if pair[0] != pair[1]:
            yield ("verb" if name == "question" else name), (pair[0], pair[1])
    if one.cutoffs != other.cutoffs:
        yield "cutoffs", (_facts(one)["cutoffs"], _facts(other)["cutoffs"])
    for what, here, there in (("", _flat(one), _flat(other)), ("answers ", dict(one.chosen), dict(other.chosen))):
        for name in dict.fromkeys((*here, *there)):
            if here.get(name) != there.get(name):
                yield f"{what}{name}", (_plain(here.get(name)), _plain(there.get(name)))


def _row(runs: Path, id: str) -> dict[str, Any]:
    try:
        run = track.show(runs, id)
    except DamagedError as error:
        return {"id": id, "damage": error.got}
    return {
        "id": id, "started": track.moment(run), "verb": run.question, "answers": run.learner, "seed": run.seed, "data": run.data,
        "code": run.code, "seconds": run.seconds, "scores": len(run.scores),
    }  # fmt: skip


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int | float | bool | list) else str(value)


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{name} {_text(part)}" for name, part in value.items())
    if isinstance(value, list):
        return ", ".join(map(_text, value)) if len(value) <= 3 else f"{_text(value[0])} … {_text(value[-1])} ({len(value)})"
    if isinstance(value, str) and len(value) == 64:
        return value[:_SHORT]
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _number(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:,.4f}"


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
