"""Learn every answer of a shop."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from whenbuy.clean import RULES
from whenbuy.core.learner import Learner
from whenbuy.ingest.store import open_log
from whenbuy.pipeline.extending.contracts import check as check_extensions
from whenbuy.pipeline.extending.extensions import Extensions, extensions
from whenbuy.pipeline.keeping.registry import Registry
from whenbuy.pipeline.learning import learn
from whenbuy.pipeline.learning.answers import ANSWERS, unknown, wanted
from whenbuy.pipeline.learning.catalogue import every
from whenbuy.pipeline.learning.forecaster import Forecaster
from whenbuy.pipeline.learning.grid import Grid
from whenbuy.pipeline.telling import screen
from whenbuy.pipeline.telling.result import Result
from whenbuy.pipeline.verbs import champion
from whenbuy.pipeline.verbs.figures import choice_table
from whenbuy.pipeline.verbs.intake import Say
from whenbuy.pipeline.verbs.place import at, find_shop, moment
from whenbuy.pipeline.verbs.recording import Work, chosen, further


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
        The answers to learn, ``usual`` and ``all`` among the names; the chance to buy is always there. The usual ones by default.
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
    narrowed: dict[str, Any] = {} if budget_s is None else {"budget_s": budget_s}
    with shop.writing():
        settings, history = shop.settings(RULES), open_log(shop.log, verify=True)
        ask, own = ask or settings.shop.ask, extensions(shop.folder)
        check_extensions(own, history)
        wanted(ask, own.table)  # that a name is unknown is said before the work, not after it
        if only or own.learners:
            narrowed["candidates"] = _narrowed(only, own) if only else own.candidates
        before = Registry(shop.models).champion()  # that this cannot be read is said before the work, not after it
        options = {name: value for name, value in (("ask", list(ask)), ("models", list(only)), ("budget_s", budget_s)) if value}
        work = Work("fit", shop, settings, history, settings.shop.seed if seed is None else seed, options)
        if like is not None:
            forecaster = learn.refit(like, history, moment(history, as_of, say), seed=work.seed, table=own.table, say=say)
        else:
            forecaster = learn.fit(
                history, moment(history, as_of, say), horizons=settings.shop.horizons, further=(*further(settings), *own.features),
                seed=work.seed, closed=settings.calendar.closed, ask=tuple(ask), table=own.table, say=say, **narrowed,
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


def _narrowed(only: Collection[str], own: Extensions) -> learn.Candidates:
    """Return the candidates that are to be tried; the floor always is."""
    grid = Grid((1.0, 28.0), 1.0, (28.0,))
    known = {learner.name for name in ANSWERS for learner in (*every(name, grid), *own.further(name, grid))}
    for name in only:
        if name not in known:
            raise unknown(name, known, "candidate")

    def candidates(answer: str, grid: Grid) -> tuple[Learner[Any], ...]:
        listed = (*every(answer, grid), *own.further(answer, grid))
        return tuple(learner for place, learner in enumerate(listed) if place == 0 or learner.name in only)

    return candidates
