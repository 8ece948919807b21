"""Learn every answer of a shop."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from whenbuy.clean import RULES
from whenbuy.core.errors import UsageError
from whenbuy.core.learner import Learner
from whenbuy.ingest.store import open_log
from whenbuy.pipeline.keeping.registry import Registry
from whenbuy.pipeline.learning import learn
from whenbuy.pipeline.learning.catalogue import every, learners
from whenbuy.pipeline.learning.forecaster import Forecaster
from whenbuy.pipeline.learning.grid import Grid
from whenbuy.pipeline.telling import screen
from whenbuy.pipeline.telling.result import Result
from whenbuy.pipeline.verbs import champion
from whenbuy.pipeline.verbs.figures import choice_table
from whenbuy.pipeline.verbs.intake import Say
from whenbuy.pipeline.verbs.place import at, find_shop, moment
from whenbuy.pipeline.verbs.questions import NAMES
from whenbuy.pipeline.verbs.recording import Work, chosen, further

Candidates = Callable[[str, Grid], tuple[Learner[Any], ...]]
"""The candidates of an answer, the floor first."""


def fit(
    folder: Path | None,
    as_of: str | None,
    *,
    seed: int | None,
    say: Say,
    like: Forecaster | None = None,
    ask: Collection[str] = (),
    only: Collection[str] = (),
    budget_s: float | None = None,
) -> Result:
    """Learn every answer of a shop, keep what was learned, and let it answer from now on where it passes the gate.

    Parameters
    ----------
    folder
        The shop, or a folder in it.
    as_of
        The moment up to which is learned; the log's end by default.
    seed
        Where chance starts; as the shop's settings say, by default.
    say
        Where words about the progress go.
    like
        What to learn again without choosing.
    ask
        The answers to learn; the chance to buy is always among them. All by default.
    only
        The names of the candidates to try beside the floors. All by default.
    budget_s
        CPU seconds after which no further candidate is tried.

    Raises
    ------
    UsageError
        When an answer or a candidate is named that does not exist.
    GateError
        When it is refused: it is kept, and who answered before answers on.
    """
    shop = find_shop(folder)
    narrowed: dict[str, Any] = {"candidates": _narrowed(ask, only)} if ask or only else {}
    narrowed |= {} if budget_s is None else {"budget_s": budget_s}
    with shop.writing():
        settings, history = shop.settings(RULES), open_log(shop.log, verify=True)
        before = Registry(shop.models).champion()  # that this cannot be read is said before the work, not after it
        options = {name: value for name, value in (("ask", list(ask)), ("models", list(only)), ("budget_s", budget_s)) if value}
        work = Work("fit", shop, settings, history, settings.shop.seed if seed is None else seed, options)
        if like is not None:
            forecaster = learn.refit(like, history, moment(history, as_of, say), seed=work.seed, say=say)
        else:
            forecaster = learn.fit(
                history, moment(history, as_of, say), horizons=settings.shop.horizons, further=further(settings), seed=work.seed,
                closed=settings.calendar.closed, say=say, **narrowed,
            )  # fmt: skip
        scores = {f"{choice.answer}/{choice.model}": (choice.value, choice.low, choice.high) for choice in forecaster.choices}
        run = work.record(scores, (forecaster.known_until,), chosen(forecaster))
        id = champion.keep(shop, forecaster, run, history.clock.zone)
        if before not in (None, id):
            say("comparing with the champion")
        promoted, words = champion.succeed(shop, id, forecaster, history)
    known = history.clock.show(forecaster.known_until)
    facts = {
        "model": str(shop.models / id), "id": id, "promoted": promoted, "gate": list(words), "known_until": known, "run": run.id,
        "chosen": chosen(forecaster), "notes": list(forecaster.notes),
    }  # fmt: skip
    learned = f"Learned from what was known before {known}, in {work.seconds:.0f} s. Next: whenbuy predict{at(folder)}"
    table = choice_table(forecaster.choices)
    return Result(facts, table, "choices", (screen.choices(forecaster.choices),), after=(*forecaster.notes, *words, learned))


def _narrowed(ask: Collection[str], only: Collection[str]) -> Candidates:
    """Return the candidates of the answers asked for that are to be tried; the floor and the chance to buy always are."""
    _require_known(ask, NAMES, "answer")
    grid = Grid((1.0, 28.0), 1.0, (28.0,))
    _require_known(only, {learner.name for name in NAMES for learner in every(name, grid)}, "candidate")

    def candidates(answer: str, grid: Grid) -> tuple[Learner[Any], ...]:
        if ask and answer not in {*ask, "purchase"}:
            return ()
        listed = every(answer, grid) if only else learners(answer, grid)
        return tuple(learner for place, learner in enumerate(listed) if place == 0 or not only or learner.name in only)

    return candidates


def _require_known(names: Collection[str], known: Collection[str], what: str) -> None:
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, list(known), n=1)
            asked = f" Did you mean {near[0]!r}?" if near else ""
            raise UsageError(f"There is no {what} {name!r}.{asked}", f"There are: {', '.join(sorted(known))}.", "Name one of them.")
