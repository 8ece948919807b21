"""What a server counts, in the text form that Prometheus reads (exposition format 0.0.4)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Final

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
BOUNDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""The upper ends of the bins of durations, in seconds."""

Counted = Mapping[tuple[tuple[str, str], ...], float]
"""Values by their labels: pairs of name and value."""
Figure = tuple[str, str, str, Counted]
"""A figure: its name, ``counter`` or ``gauge``, what it is, and values by their labels."""


class Metrics:
    """Requests by route and status with their durations, and refusals by reason."""

    def __init__(self) -> None:
        self._requests: dict[tuple[str, int], int] = {}
        self._durations: dict[str, list[float]] = {}

    def seen(self, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        key = (route, status)
        self._requests[key] = self._requests.get(key, 0) + 1
        bins = self._durations.get(route)
        if bins is None:
            bins = self._durations[route] = [0.0] * (len(BOUNDS) + 2)
        bins[bisect_left(BOUNDS, seconds)] += 1
        bins[-1] += seconds

    def text(self, figures: Iterable[Figure]) -> str:
        """Return everything that was counted, and further figures, as Prometheus reads it."""
        requests: Counted = {(("route", route), ("status", str(status))): float(n) for (route, status), n in sorted(self._requests.items())}
        lines = _figure("whenbuy_requests_total", "counter", "Requests by route and status.", requests)
        lines += ["# HELP whenbuy_request_seconds Time from a request to its answer.", "# TYPE whenbuy_request_seconds histogram"]
        for route, bins in sorted(self._durations.items()):
            total = 0.0
            for bound, count in zip((*map(_number, BOUNDS), "+Inf"), bins[:-1], strict=True):
                total += count
                lines.append(f'whenbuy_request_seconds_bucket{{route="{route}",le="{bound}"}} {_number(total)}')
            lines.append(f'whenbuy_request_seconds_sum{{route="{route}"}} {_number(bins[-1])}')
            lines.append(f'whenbuy_request_seconds_count{{route="{route}"}} {_number(total)}')
        for name, kind, about, values in figures:
            lines += _figure(name, kind, about, values)
        return "\n".join(lines) + "\n"


def _figure(name: str, kind: str, about: str, values: Counted) -> list[str]:
    lines = [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]
    for labels, value in values.items():
        named = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels)
        lines.append(f"{name}{{{named}}} {_number(value)}" if named else f"{name} {_number(value)}")
    return lines


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
