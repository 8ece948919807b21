"""The report: one HTML page that says who will buy, when, what and for how much, and how far to trust it."""

from __future__ import annotations

import os
import tempfile
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from whenbuy.core.errors import AccessError
from whenbuy.core.text import printable
from whenbuy.pipeline.telling import demand, habits, people, pictures, trust
from whenbuy.pipeline.telling.findings import Findings
from whenbuy.pipeline.telling.words import Calendar, Name, count, days, percent


def render(findings: Findings) -> str:
    """Return the report as one HTML page: no script, no network, every name escaped."""
    world = jinja2.Environment(
        loader=jinja2.FunctionLoader(_source), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    world.filters |= {"percent": percent, "count": count, "days": days}
    return printable(world.get_template("report.html.jinja").render(_page(findings))) + "\n"


def write(findings: Findings, path: Path | str) -> Path:
    """Write the report and return where it lies; a reader finds the old page or the new one, never half of one.

    Raises
    ------
    AccessError
        When the file system does not let us write there.
    """
    page, target = render(findings), Path(path)
    draft: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        draft = Path(name)
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(page)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    except OSError as error:
        raise AccessError(
            f"The report could not be written to {target} ({error.strerror}).",
            "whenbuy needs a folder it may write to.",
            "Name another file.",
        ) from error
    finally:
        if draft is not None:
            draft.unlink(missing_ok=True)
    return target


def _source(name: str) -> str:
    return resources.files("whenbuy.pipeline.telling").joinpath(name).read_text("utf-8")


def _page(findings: Findings) -> dict[str, Any]:
    history, calendar = findings.history, Calendar(findings.history.clock, findings.cutoff)
    log = history.log
    span = f"{calendar.date(log.start, year=True)} to {calendar.date(int(log.time.max()), year=True)}" if len(log) else ""
    return {
        "style": Markup(_source("report.css")), "version": _version(), "shop": Name.of(findings.shop), "tag": findings.tag,
        "zone": history.clock.zone, "as_of": calendar.moment(findings.cutoff), "currency": findings.currency, "first": people.FIRST,
        "events": len(log), "known": len(log.users), "span": span,
        "demand": None if findings.demand is None else demand.section(findings.demand),
        **_answers(findings, calendar), **_evidence(findings, calendar), **_learned(findings), **_data(findings),
    }  # fmt: skip


def _answers(findings: Findings, calendar: Calendar) -> dict[str, Any]:
    """Return what the page says of the forecast; next to nothing before anything was learned."""
    outlook, horizon = findings.outlook, findings.horizon
    if outlook is None or not len(outlook):
        return {
            "learned": outlook is not None,
            "customers": 0,
            "horizon": horizon,
            "horizons": findings.horizons,
            "tiles": [],
            "models": {},
        }
    chance = outlook.purchase.probability(horizon)
    return {
        "learned": True, "customers": len(outlook), "horizon": horizon, "horizons": findings.horizons,
        "whole": people.total(findings, outlook), "tiles": people.tiles(findings, outlook, trust.tally(findings.evidence.scores)),
        "rows": people.rows(findings, outlook, calendar), "curves": pictures.curves(outlook, calendar, chance),
        "histogram": pictures.histogram(chance, horizon), "daily": pictures.daily(findings.history, outlook, calendar),
        "shelves": people.shelves(outlook), "grid_days": float(outlook.purchase.grid_days[-1]),
        "models": {answer: forecast.model.replace("+", " + ") for answer, forecast in sorted(outlook.answers.items())},
    }  # fmt: skip


def _evidence(findings: Findings, calendar: Calendar) -> dict[str, Any]:
    evidence = findings.evidence
    return {
        "scored": evidence.scores is not None, "tally": trust.tally(evidence.scores), "answers": trust.answers(evidence.scores),
        "score_words": trust.definitions(evidence.scores), "reliability": pictures.reliability(evidence.calibration),
        "weeks": trust.weeks(findings, calendar), "segments": trust.segments(findings), "by_class": trust.classes(findings),
        "few": trust.FEW, "near": trust.NEAR, "spots": trust.weak_spots(findings),
    }  # fmt: skip


def _learned(findings: Findings) -> dict[str, Any]:
    learned = findings.learned
    return {"candidates": trust.candidates(learned.choices), "notes": learned.notes, "facts": list(learned.facts.items())}


def _data(findings: Findings) -> dict[str, Any]:
    filled = habits.filled(findings.history)
    return {
        "data": habits.activity(findings.history), "rhythm": habits.rhythm(findings.history),
        "spreads": habits.spreads(findings.history, findings.currency), "profiles": any(one.where != "events" for one in filled),
        "holes": [one for one in filled if one.missing], "whole_columns": [one for one in filled if not one.missing],
        "reading": findings.reading, "cleaning": findings.cleaning,
    }  # fmt: skip


def _version() -> str:
    try:
        return metadata.version("whenbuy")
    except metadata.PackageNotFoundError:  # run from a checkout that was never installed
        return ""
