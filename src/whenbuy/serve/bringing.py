"""From the journal into the log of a shop, whatever its rules of cleaning are.

With the rules that every shop has, an event is judged when it comes, and the log takes it as it is. Rules that a shop set itself may learn
from everything that was known before, as it was then. So such a shop keeps, beside its log, the log as it came: that one takes the events,
and what an import would make of it, by the same rules, becomes the log.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from whenbuy.clean import clean
from whenbuy.core.history import History
from whenbuy.ingest.store import POINTER, open_log, reached, write_log, writing
from whenbuy.pipeline.keeping.quarantine import CLEANING, keep_table
from whenbuy.pipeline.keeping.shop import Shop
from whenbuy.serve.compaction import Compacted, compact, held
from whenbuy.serve.entrance import Sorted
from whenbuy.serve.journal import Journal
from whenbuy.serve.lens import Lens


def bring(journal: Journal, shop: Shop, cleaning: Sorted, say: Callable[[str], None] | None = None) -> Compacted:
    """Bring everything in the journal into the log of a shop; raises as `compact`, and wherever it is stopped, the next call goes on."""
    if not cleaning.own and not _came(shop):
        return compact(journal, shop.log, say=say, then=cleaning.finish)
    first = not _came(shop)
    if first:  # the log of before these rules is as it came, but for what the other rules took out
        history = open_log(shop.log)
        if seq := held(journal, history.log):  # from now on it says so itself
            write_log(history, shop.log, seq)
        write_log(history, shop.came)
    lens = Lens.of(cleaning.own, open_log(shop.came))
    done = compact(journal, shop.came, say=say, seen=lens.as_sent)
    with writing(shop.came):
        return replace(done, seq=_cleaned(journal, shop, cleaning, first))


def standing(journal: Journal, shop: Shop) -> tuple[History, int]:
    """Return the log of a shop, and the place in the journal up to which it holds everything that cleaning leaves."""
    while True:
        before, history = reached(shop.log), open_log(shop.log)
        if reached(shop.log) == before:  # else another process has replaced it meanwhile
            return history, before if _came(shop) else held(journal, history.log)


def _cleaned(journal: Journal, shop: Shop, cleaning: Sorted, anew: bool) -> int:
    """Let the log be what cleaning makes of the log as it came, where it holds more or ``anew``; return the place that it reaches."""
    history = open_log(shop.came)
    seq = held(journal, history.log)
    if anew or seq != reached(shop.log):
        made = clean(history, cleaning.whole)
        keep_table(made.quarantine, shop.quarantine / CLEANING)
        write_log(made.history, shop.log, seq)
    return seq


def _came(shop: Shop) -> bool:
    """Return whether a log lies there as it came."""
    return (shop.came / POINTER).exists()
