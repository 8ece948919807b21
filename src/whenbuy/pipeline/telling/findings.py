"""Findings: everything that the report shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from whenbuy.core.history import History
from whenbuy.core.outlook import Outlook
from whenbuy.pipeline.demand.series import Outcome
from whenbuy.pipeline.learning.forecaster import Choice
from whenbuy.pipeline.telling.evidence import Evidence


@dataclass(frozen=True, slots=True)
class Learned:
    """How the models were learned that answer.

    Parameters
    ----------
    choices
        How every candidate fared.
    notes
        What the reader should know about it, in sentences.
    facts
        Further facts, each under its name: the model's id, the seed, the fingerprint of the data.
    """

    choices: tuple[Choice, ...] = ()
    notes: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """What the report shows; what is not there yet is said, with the verb that makes it.

    Parameters
    ----------
    shop
        The shop's name.
    currency
        Its ISO currency code, such as USD; empty where amounts have no unit.
    history
        The cleaned log with its clock.
    outlook
        All answers for all customers, as of one instant; none before anything was learned.
    evidence
        How forecasts of past weeks fared.
    learned
        How the models were learned.
    cleaning, reading
        Sentences on what cleaning and reading found.
    reasons
        By customer, why her chance is what it is, in a few words.
    demand
        What will be sold in the coming weeks; none where the log cannot say.
    tag
        A word to stand beside the shop's name, such as "demo data".
    """

    shop: str
    currency: str
    history: History
    outlook: Outlook | None = None
    evidence: Evidence = Evidence()
    learned: Learned = Learned()
    cleaning: tuple[str, ...] = ()
    reading: tuple[str, ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)
    demand: Outcome | None = None
    tag: str = ""

    @property
    def horizons(self) -> tuple[float, ...]:
        """The horizons asked about, rising; none before anything was learned."""
        return () if self.outlook is None else tuple(sorted(self.outlook.horizons))

    @property
    def horizon(self) -> float:
        """The middle horizon, in days: the one that the headline and the list are about; 0 before anything was learned."""
        return 0.0 if self.outlook is None else middle(self.outlook)

    @property
    def cutoff(self) -> int:
        """The instant as of which the answers hold: the log's end where there are none."""
        return int(self.outlook.keys.cutoff.max()) if self.outlook is not None and len(self.outlook) else self.history.end


def middle(outlook: Outlook) -> float:
    """Return the middle horizon of an outlook, in days."""
    return sorted(outlook.horizons)[len(outlook.horizons) // 2]
