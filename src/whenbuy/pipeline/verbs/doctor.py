"""Look at the installation, at this machine and at a shop's files. Nothing heavy is imported before it is known to be there."""

from __future__ import annotations

import operator
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Final

from whenbuy.core.errors import AccessError, DependencyError
from whenbuy.pipeline.telling.result import Result, Screen
from whenbuy.pipeline.verbs.finding import Finding

_MARKS: Final = {"well": "ok", "note": "–", "bad": "!"}
_WORKSHOP: Final = ("dev", "bench")
"""Extras that only those need who work on whenbuy itself."""
_NEED: Final = re.compile(r"([A-Za-z0-9._-]+)\s*([^;]*)(?:;(.*))?")
_SIGNS: Final = {">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt, "==": operator.eq, "!=": operator.ne}
_LEAST_DISK: Final = 200e6
_LEAST_MEMORY: Final = 1e9


def doctor(folder: Path | None) -> Result:
    """Return what is well and what is not: of the installation, of this machine and of the shop, where there is one.

    The exit code of the result is that of the first thing that is bad.
    """
    findings, table = [*installation(), *machine(folder or Path.cwd())], None
    if not any(one.state == "bad" and one.of == "whenbuy" for one in findings):
        import polars as pl

        from whenbuy.pipeline.verbs.health import cache, health

        findings += [*cache(), *health(folder)]
        table = pl.DataFrame([asdict(one) for one in findings])
    bad = [one for one in findings if one.state == "bad"]
    facts = {"well": not bad, **({} if table is not None else {"findings": [asdict(one) for one in findings]})}
    said = "All is well." if not bad else f"{len(bad)} thing{'s are' if len(bad) > 1 else ' is'} not well."
    return Result(
        facts, table, "findings", _pages(findings), after=(said, *(f"{one.name}: {one.found} {one.do}" for one in bad)),
        code=bad[0].code if bad else 0,
    )  # fmt: skip


def _pages(findings: list[Finding]) -> tuple[Screen, ...]:
    pages = []
    for title, of in (("The installation:", "whenbuy"), ("This machine:", "machine"), ("The shop:", "shop")):
        rows = tuple((_MARKS[one.state], one.name, one.found, one.do) for one in findings if one.of == of)
        if rows:
            pages.append(Screen(title, ("", "", "", ""), rows))
    return tuple(pages)


# -------------------------------------------------------------------------------------------------- installation


def installation() -> Iterator[Finding]:
    """Yield what is installed: whenbuy, Python, every library that is needed, and the extras."""
    try:
        about = metadata.metadata("whenbuy")
    except metadata.PackageNotFoundError:
        yield Finding("whenbuy", "whenbuy", "runs from a folder that was never installed", "note", "python -m pip install whenbuy")
        return
    yield Finding("whenbuy", "whenbuy", f"{about['Version']} in {Path(__file__).resolve().parents[2]}")
    python = platform.python_version()
    if _enough(python, about["Requires-Python"] or ""):
        yield Finding("whenbuy", "Python", f"{python} in {sys.prefix}")
    else:
        yield _bad("Python", f"{python}; needed: {about['Requires-Python']}", "Install a newer Python and whenbuy in it.")
    needs = [_parsed(line) for line in about.get_all("Requires-Dist") or ()]
    yield from _libraries([(name, wanted) for name, wanted, extra in needs if not extra])
    for extra in about.get_all("Provides-Extra") or ():
        if extra not in _WORKSHOP:
            yield _extra(extra, [(name, wanted) for name, wanted, of in needs if of == extra])


def _libraries(needs: list[tuple[str, str]]) -> Iterator[Finding]:
    bad = [(name, wanted, _version(name)) for name, wanted in needs if not _fits(name, wanted)]
    yield Finding("whenbuy", "libraries", f"{len(needs) - len(bad)} of {len(needs)} as needed", "note" if bad else "well")
    for name, wanted, found in bad:
        yield _bad(name, f"{found or 'missing'}; needed: {wanted or 'any version'}", f'python -m pip install "{name}{wanted}"')


def _extra(extra: str, needs: list[tuple[str, str]]) -> Finding:
    missing = [name for name, wanted in needs if not _fits(name, wanted)]
    if not missing:
        return Finding("whenbuy", f"extra {extra}", "present")
    return Finding("whenbuy", f"extra {extra}", f"not present ({', '.join(missing)})", "note", f'python -m pip install "whenbuy[{extra}]"')


def _bad(name: str, found: str, do: str) -> Finding:
    return Finding("whenbuy", name, found, "bad", do, DependencyError.exit_code)


def _parsed(line: str) -> tuple[str, str, str]:
    """Return the name, the versions and the extra of a line such as ``lifelines>=0.30; extra == 'survival'``."""
    found = _NEED.fullmatch(line.strip())
    if found is None:
        return line, "", ""
    extra = re.search(r"extra\s*==\s*['\"]([^'\"]+)", found[3] or "")
    return found[1], found[2].strip(" ()"), extra[1] if extra else ""


def _fits(name: str, wanted: str) -> bool:
    version = _version(name)
    return version is not None and _enough(version, wanted)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _enough(version: str, wanted: str) -> bool:
    """Return whether a version is among those wanted, such as ``>=25,<26``."""
    found = _numbers(version)
    for part in filter(None, (each.strip() for each in wanted.split(","))):
        sign = part.rstrip("0123456789.*abrcpostdev+")
        limit = _numbers(part[len(sign) :])
        size = max(len(found), len(limit))
        ours, theirs = (each + (0,) * (size - len(each)) for each in (found, limit))
        compared = _SIGNS.get(sign.strip())
        if compared is not None and not compared(ours, theirs):
            return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.split("+", maxsplit=1)[0])[:4])


# ------------------------------------------------------------------------------------------------------- machine


def machine(place: Path) -> Iterator[Finding]:
    """Yield what whenbuy has to work with: processors, memory, and room on the disk of a place."""
    yield Finding("machine", "system", f"{platform.system()} {platform.release()}, {platform.machine()}")
    yield Finding("machine", "processors", str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()))
    free = _memory()
    if free is not None:
        little = free < _LEAST_MEMORY
        yield Finding("machine", "memory free", _size(free), "note" if little else "well", "Close other programs." if little else "")
    there = next((each for each in (place.resolve(), *place.resolve().parents) if each.is_dir()), Path.cwd())
    room = shutil.disk_usage(there).free
    if room < _LEAST_DISK:
        yield Finding("machine", "disk free", f"{_size(room)} at {there}", "bad", "Make room.", AccessError.exit_code)
    else:
        yield Finding("machine", "disk free", f"{_size(room)} at {there}")


def _memory() -> int | None:
    """Return the bytes of memory that are free; none where the system does not say."""
    try:
        for line in Path("/proc/meminfo").read_text("utf-8").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None


def _size(number: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} TB"
