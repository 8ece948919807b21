"""What a verb that learns leaves behind: its run, with the models that it chose."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from whenbuy.config import Settings
from whenbuy.core.history import History
from whenbuy.evaluate.scores import Duel
from whenbuy.features import Feature, Holiday, Payday
from whenbuy.pipeline.keeping import track
from whenbuy.pipeline.keeping.shop import Shop
from whenbuy.pipeline.learning.forecaster import Forecaster

Scores = Mapping[str, tuple[float, float, float]]
"""Value, low and high of each score."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a verb does for a shop, from its first moment on.

    Parameters
    ----------
    verb
        Its name, with what changes its meaning.
    shop, settings, history
        What it works on.
    seed
        Where chance starts.
    options
        What was said on the command line that changes what comes out.
    started
        When it started, in seconds since 1970.
    """

    verb: str
    shop: Shop
    settings: Settings
    history: History
    seed: int
    options: Mapping[str, Any] = field(default_factory=dict)
    started: float = field(default_factory=time.time)

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.time() - self.started

    def record(self, scores: Scores, cutoffs: tuple[int, ...], chosen: Mapping[str, str] | None = None) -> track.Run:
        """Return the run of this work as it is now recorded in the shop."""
        settings = {
            "horizons": list(self.settings.shop.horizons), "settings": self.settings.fingerprint(), "toml": self.settings.text(),
            **({"options": dict(self.options)} if self.options else {}),
        }  # fmt: skip
        chosen = chosen or {}
        learner = "; ".join(f"{answer}: {model}" for answer, model in chosen.items())
        return track.record(
            self.shop.runs,
            track.Run(
                self.verb, learner, settings, self.seed, track.fingerprint(self.history), track.code_version(), cutoffs, scores,
                round(self.started * 1e6), self.seconds, chosen=chosen,
            ),
        )  # fmt: skip


def further(settings: Settings) -> tuple[Feature, ...]:
    """Return the features of the shop's own calendar, which stand beside the default ones."""
    calendar = settings.calendar
    holidays = (Holiday(tuple(day.isoformat() for day in calendar.holidays)),) if calendar.holidays else ()
    return (*holidays, Payday(calendar.pay_days)) if calendar.pay_days else holidays


def chosen(forecaster: Forecaster) -> dict[str, str]:
    """Return which model answers, by answer."""
    return {choice.answer: choice.model for choice in forecaster.choices if choice.chosen}


def ours(duels: Iterable[Duel]) -> dict[str, tuple[float, float, float]]:
    """Return our own scores as a run keeps them."""
    return {duel.name: (duel.ours, duel.ours_low, duel.ours_high) for duel in duels}
