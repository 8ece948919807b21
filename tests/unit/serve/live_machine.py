"""The state machine of the live state: whatever happens to it, it answers as a fresh one, and as the batch over the same events."""

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.unit.serve.live_shop import apply_all, joined, model, shop, stands_at
from whenbuy.core.arrays import DAY
from whenbuy.core.errors import NotFoundError
from whenbuy.ingest.reception import Event
from whenbuy.serve.live import LiveState

HOUR = DAY // 24
BEGIN_DAYS = 8
KINDS = ("view", "cart", "purchase", "purchase", "purchase", "refund", "a new kind")
NEW = ("newcomer 1", "newcomer 2")


class LiveMachine(RuleBasedStateMachine):
    """Ingest, forecast, snapshot, crash, restore, replay, late events, duplicates, compaction, promotion."""

    state_class = LiveState

    @initialize()
    def begin(self) -> None:
        history = shop()
        self.start = history.end - BEGIN_DAYS * DAY
        self.first = stands_at(history, self.start)
        self.base, self.after = self.first, 0
        self.models = [model("plain"), model("plain", before_days=20)]
        self.model = self.models[0]
        self.events: list[Event] = []
        self.now = self.start
        self.users = [*history.log.users.ids.to_list()[:3], *NEW]
        self.folder = Path(tempfile.mkdtemp())
        self.state = self.state_class.of(self.base, self.model)

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder)
            self.compare()

    # ---- what happens

    @rule(data=st.data(), count=st.integers(1, 4))
    def ingest(self, data: st.DataObject, count: int) -> None:
        for _ in range(count):
            self.receive(data)

    @rule(data=st.data())
    def receive(self, data: st.DataObject) -> None:
        self.now += data.draw(st.sampled_from([0, 1, HOUR, 7 * HOUR, DAY]))
        late = data.draw(st.sampled_from([0, 0, 0, 1, 3 * HOUR, 2 * DAY]))
        order = data.draw(st.sampled_from([None, None, "o1", "o2"]))
        values = {"amount": data.draw(st.sampled_from([0.1, 19.99, 7])), "category": data.draw(st.sampled_from(["a", "a new category"]))}
        values |= {"order_id": order} if order else {}
        user, kind = data.draw(st.sampled_from([*self.users, None])), data.draw(st.sampled_from(KINDS))
        event = Event("http", f"e{len(self.events)}", user, kind, self.now - late, self.now, values)
        self.events.append(event)
        self.state.apply(len(self.events), event)

    @rule()
    def duplicate(self) -> None:
        if self.events:
            place = len(self.events) // 2
            self.state.apply(place + 1, self.events[place])

    @rule()
    def forecast(self) -> None:
        self.now += 1
        self.state.forecasts(self.users, self.now)

    @rule()
    def snapshot(self) -> None:
        self.state.snapshot(self.folder)

    @rule(how=st.sampled_from(["clean end", "last snapshot", "log alone"]))
    def crash(self, how: str) -> None:
        state = None
        if how == "clean end":
            self.state.snapshot(self.folder)
        if how != "log alone":
            with suppress(NotFoundError):
                state = self.state_class.restore(self.folder, self.base, self.model, after=self.after)
        state = state or self.state_class.of(self.base, self.model, after=self.after)
        self.state = apply_all(state, [(i + 1, event) for i, event in enumerate(self.events)])

    @rule(told=st.sampled_from([True, True, False]))
    def compact(self, told: bool) -> None:
        """The log takes up the journal; a running state is told of it, or goes on with the old log."""
        self.base, self.after = joined(self.first, self.events), len(self.events)
        if told:
            self.state.rebase(self.base, self.after)

    @rule()
    def promote(self) -> None:
        self.model = self.models[self.model is self.models[0]]
        state = self.state_class.of(self.base, self.model, after=self.after)
        self.state = apply_all(state, [(i + 1, event) for i, event in enumerate(self.events)])

    # ---- what must hold

    @rule()
    def compare(self) -> None:
        at = self.now + 1
        fresh = apply_all(LiveState.of(self.first, self.model), [(i + 1, event) for i, event in enumerate(self.events)])
        assert self.state.forecasts(self.users, at) == fresh.forecasts(self.users, at)
        so_far = joined(self.first, self.events)
        batch = self.model.features.table(so_far.before(so_far.keys(self.users, at))).values
        live = np.stack([self.state.features(user, at) for user in self.users])
        assert np.array_equal(live, batch, equal_nan=True)
        assert self.state.seq == len(self.events)


def check(machine: type[LiveMachine], examples: int, steps: int, *, shrink: bool = True) -> None:
    """Run a machine; raises what it finds, made as short as can be where that is wanted."""
    phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=list(HealthCheck), database=None,
            derandomize=True, phases=phases, print_blob=False, report_multiple_bugs=False,
        ),
    )  # fmt: skip
