"""A checkup as people see it: tables for a terminal, plain text, and a page without script."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from whenbuy.pipeline.checking.parts import ColumnFacts, Drift, Leak, Readiness, Remark
from whenbuy.pipeline.telling.result import Screen

_MARKS = {"warning": "!", "note": "·", "fine": "✓", "ready": "✓", "thin": "~", "not possible": "✗", "sure": "!", "suspected": "?"}
_MOST_DRIFTS = 12


def column_screen(columns: Sequence[ColumnFacts]) -> Screen:
    """Return what each column is."""
    rows = tuple(
        (
            one.name, one.role or "not used", f"{100 * one.confidence:.0f} %" if one.role else "", one.type, _share(one.missing),
            f"{one.distinct:,}", f"{one.low} … {one.high}" if one.low else ", ".join(one.examples), one.reason,
        )
        for one in columns
    )  # fmt: skip
    heads = ("column", "taken for", "sure>", "holds", "missing>", "distinct>", "values", "why")
    could = tuple(f"{one.name}: {one.serves}." for one in columns if not one.role or one.serves.startswith("perhaps"))
    return Screen("What each column is:", heads, rows, could)


def _share(share: float) -> str:
    return "" if share == 0 else f"{share:.0%}" if share >= 0.01 else "<1%"


def readiness_screen(questions: Sequence[Readiness]) -> Screen:
    """Return what can be answered."""
    rows = tuple((_MARKS[one.grade], one.asks, one.grade, _has(one)) for one in questions)
    return Screen("What it can answer:", ("", "question", "", "has, or needs"), rows)


def _has(one: Readiness) -> str:
    return f"{one.words}: it takes {one.missing}" if one.grade == "not possible" else one.words


def remark_screen(remarks: Sequence[Remark]) -> Screen | None:
    """Return everything to know about the data; None where there is nothing."""
    order = {"warning": 0, "note": 1, "fine": 2}
    rows = tuple((_MARKS[one.level], one.topic, one.words) for one in sorted(remarks, key=lambda one: order[one.level]))
    return (
        Screen("What was found, and what was done with it:", ("", "about", ""), rows, ("! look at it   · dealt with   ✓ fine",))
        if rows
        else None
    )


def leak_screen(leaks: Sequence[Leak], tested: int) -> Screen:
    """Return the columns that know the future."""
    rows = tuple((_MARKS[one.certainty], one.column, one.certainty, one.why) for one in leaks)
    title = "Columns that know the future:" if rows else f"Columns tested for knowing the future: {tested}; none does."
    return Screen(
        title, ("", "column", "", "what it seems to be"), rows, tuple(f"{one.column}: {one.evidence}. {one.do}." for one in leaks)
    )


def drift_screen(drifts: Sequence[Drift]) -> Screen | None:
    """Return the largest differences between months; None where there is none."""
    order = {"large": 0, "moderate": 1, "small": 2}
    worst = sorted(drifts, key=lambda one: order[one.size])[:_MOST_DRIFTS]
    rows = tuple((one.month, one.what, one.size, one.words) for one in sorted(worst, key=lambda one: (one.month, one.what)))
    below = () if len(worst) == len(drifts) else (f"The {len(worst)} largest of {len(drifts)}.",)
    return Screen("Months that differ from those before:", ("month", "what", "", ""), rows, below) if rows else None


def text(screens: Sequence[Screen]) -> str:
    """Return tables as aligned text; wide letters count twice, as terminals draw them."""
    return "\n\n".join(map(_text, screens))


def _text(screen: Screen) -> str:
    from rich.cells import cell_len

    heads = tuple(head.removesuffix(">") for head in screen.columns)
    right = [head.endswith(">") for head in screen.columns]
    lines = [heads, *screen.rows] if screen.rows else []
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    drawn = []
    for cells in lines:
        gaps = [" " * (width - cell_len(cell)) for cell, width in zip(cells, widths, strict=True)]
        drawn.append("  ".join(gap + cell if end else cell + gap for cell, gap, end in zip(cells, gaps, right, strict=True)).rstrip())
    return "\n".join([screen.title, *drawn, *screen.below])


def html(screens: Sequence[Screen]) -> str:
    """Return tables as HTML without script or style sheet, which survives a notebook's cleaning."""
    return "".join(map(_html, screens))


def _html(screen: Screen) -> str:
    heads = "".join(f"<th>{escape(head.removesuffix('>'))}</th>" for head in screen.columns)
    rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in screen.rows)
    table = f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>" if screen.rows else ""
    return f"<h4>{escape(screen.title)}</h4>{table}" + "".join(f"<p><small>{escape(line)}</small></p>" for line in screen.below)
