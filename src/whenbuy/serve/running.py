"""A running shop: the parts of a server put together."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any, Final, TextIO

from whenbuy.clean import ShiftClock
from whenbuy.clean.alone import alone
from whenbuy.core.errors import WhenbuyError
from whenbuy.ingest.store import open_log
from whenbuy.pipeline.keeping.audit import Audit
from whenbuy.pipeline.keeping.registry import Registry
from whenbuy.pipeline.keeping.shop import Shop
from whenbuy.pipeline.telling.result import Result
from whenbuy.serve.api import application
from whenbuy.serve.asking import codes_of
from whenbuy.serve.bringing import standing
from whenbuy.serve.compacting import compact_apart
from whenbuy.serve.engine import Engine
from whenbuy.serve.entrance import CleanEntrance, rules_of
from whenbuy.serve.journal import Journal
from whenbuy.serve.keys import Keys
from whenbuy.serve.lens import Lens
from whenbuy.serve.limits import Limits
from whenbuy.serve.live import LiveState
from whenbuy.serve.logs import Log
from whenbuy.serve.readying import folder_of, readied
from whenbuy.serve.remote_state import SharedState, connect, name_of
from whenbuy.serve.server import Address, Server, bound, is_own
from whenbuy.serve.store import journal_of, where_of
from whenbuy.serve.telling import Telling
from whenbuy.serve.upkeep import Keeping, ModelWatch, Ready
from whenbuy.serve.verbs_ingest import reception_of
from whenbuy.serve.webhooks import Webhook

_MOST_HELD: Final = 50_000
"""When the live state remembers more events than this that the log does not hold, they are brought there at once: it bounds the memory."""
_SELDOM: Final = (20_000, 10, 50)
"""How many objects come before the collector looks at the youngest, and how often it does before it looks further: a look at everything
takes as long as hundreds of answers, and what is made for a request holds no ring of references."""
_TURN_S: Final = 0.0005
"""After so many seconds a thread that computes lets another one go on: with Python's own 5 ms every step of the loop could wait so long."""


def run(
    shop: Shop, address: Address, keys: Keys, limits: Limits, hooks: tuple[Webhook, ...], *, compact_s: float,
    say: Callable[[str], None], now: Callable[[], int], log: TextIO, environ: Mapping[str, str], state: str | None,
    stops: Callable[[Callable[[], None]], object],
) -> Result:  # fmt: skip
    """Serve a shop until it is told to end; see ``verbs_serve.serve``."""
    listening = bound(address.host, address.port)
    try:
        reception, cleaning, log_now = reception_of(shop), rules_of(shop), open_log(shop.log)
        entrance = CleanEntrance(cleaning.entry, log_now)
        journal = journal_of(shop.folder, reception.lateness_days, environ, entrance)
        try:
            say("making the model ready")
            ready = partial(
                _ready, shop, journal, now, None if state is None else (connect(state), name_of(where_of(shop.folder, environ)))
            )
            first = ready(None)
            entrance.seq = first.live.base
            if waiting := [rule.name for rule in cleaning.own if not alone(rule) and not isinstance(rule, ShiftClock)]:
                say(f"what streams in is cleaned by {', '.join(waiting)} when it comes into the log: that looks at other events too")
            settle()
            engine = Engine(journal, reception, first.model, first.live, first.known_at, now, Lens.of(cleaning.own, log_now).see)
            lines, registry = Log(log, now), Registry(shop.models)
            app = application(engine, keys, limits, log=lines, about=lru_cache(8)(partial(_about, registry)))
            telling = Telling(hooks, lines, now)
            watch = ModelWatch(engine, registry, ready, lines, telling.tell)
            tidy = Keeping(
                "compacted", partial(_compacted, engine, entrance, shop, environ, bool(cleaning.own)), compact_s, lines,
                lambda: engine.live.seq - engine.live.base > _MOST_HELD,
            )  # fmt: skip
            where = f"{'https' if address.certificate else 'http'}://{_host(address.host)}:{listening.getsockname()[1]}"
            server = Server(
                app, engine, listening, tasks=(engine.watch_journal, watch.run, tidy.run), last=partial(_last, engine, shop, lines),
                certificate=address.certificate, private_key=address.private_key,
                begun=lambda: _begun(engine, where, say),
            )  # fmt: skip
            audit = Audit(shop.folder)
            audit.note("server.started", now(), own=is_own(address.host), keys=keys.required, tls=address.certificate is not None)
            stops(server.stop)
            server.run()
            audit.note("server.ended", now())
            telling.end()
            counts = engine.counts()
        finally:
            journal.close()
    finally:
        listening.close()
    facts = {"address": where, "model": engine.model, "sent": counts.sent, "accepted": counts.accepted}
    return Result(facts, after=("The server ended. Everything that was acknowledged is kept.",))


def _begun(engine: Engine, where: str, say: Callable[[str], None]) -> None:
    less = engine.standing(engine.now()).degraded
    say(f"{engine.model} answers at {where}; Ctrl-C ends it" + (f". {less}" if less else ""))


def _ready(shop: Shop, journal: Journal, now: Callable[[], int], store: tuple[Any, str] | None, id: str | None) -> Ready:
    """Return a model of a shop with its live state, which is shared with other workers where they have a store."""
    found = readied(shop, journal, id, now)
    if store is None or not isinstance(found.live, LiveState):
        return found
    return replace(found, live=SharedState(found.live, *store, now))


async def _compacted(
    engine: Engine, entrance: CleanEntrance, shop: Shop, environ: Mapping[str, str], anew: bool
) -> Mapping[str, Any]:  # fmt: skip
    """Bring the journal into the log, and let the live state stand on it; ``anew`` where cleaning may change what was there before."""
    done = await compact_apart(shop.folder, environ)
    if done.seq > engine.live.base:
        history, seq = await asyncio.to_thread(standing, engine.journal, shop)
        codes = await asyncio.to_thread(codes_of, history)
        entrance.rebase(history, seq, codes)
        await engine.rebase(history, seq, codes, anew=anew)
    return {"added": done.added, "seq": done.seq}


def settle() -> None:
    """Let what is there now be: the collector need not walk through it while requests wait, and threads give way to the loop soon."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_SELDOM)
    sys.setswitchinterval(_TURN_S)


def _last(engine: Engine, shop: Shop, log: Log) -> None:
    try:
        engine.live.snapshot(folder_of(shop))
        log.write("ended", seq=engine.live.seq)
    except WhenbuyError as error:  # a start without a snapshot takes longer, and nothing else
        log.write("ended", error=type(error).__name__)


def _about(registry: Registry, id: str) -> Mapping[str, Any]:
    try:
        return registry.verify(id).about
    except WhenbuyError:
        return {}


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host else host
