"""The table of answers: what a shop can be asked, what each answer needs, and how it is labelled, learned and judged.

Everything else reads it: the plan of a fit, the catalogue, the judges, a trial, the verb `questions` and the readiness of a check.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from whenbuy.core.errors import UsageError
from whenbuy.core.log import KINDS, EventLog
from whenbuy.core.question import Question
from whenbuy.pipeline.learning import candidates as learn
from whenbuy.pipeline.learning import further
from whenbuy.pipeline.learning.grid import Grid
from whenbuy.questions import (
    BuysNow,
    Churn,
    Follows,
    Happens,
    NextAct,
    NextActivity,
    NextAmount,
    NextClasses,
    NextDwell,
    NextPurchase,
    NextRating,
    OrderCount,
    Quantity,
    Spend,
    Visits,
)
from whenbuy.questions.activity import ACTS
from whenbuy.questions.visits import COMES

Kind = Literal["curve", "count", "amount", "quantiles", "chance", "classes", "number"]
"""A curve (when), a count read from curves, an amount judged by its mean or by its quantiles, a chance, chances of classes, a number with
its distribution."""
Look = Literal["next", "shortest", "middle", "checked"]
"""The next event within the longest horizon, or a window of days: the shortest or the middle horizon, or the longest that is checked."""
Classes = tuple[str, ...]
SESSION: Final = "session"
"""The room whose examples stand at the acts of visits, not at weekly midnights."""
MOST_CLASSES: Final = 2
"""An answer about classes needs as many of them at least."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer.

    Parameters
    ----------
    name
        Its name, as typed.
    words, asks
        The question as a person asks it, and the same of each customer.
    needs
        The data without which it cannot be answered, in words.
    kind
        What kind of forecast it is.
    look
        How far it looks.
    question
        The question over so many days, and about some classes.
    candidates
        The learners for a grid, the floor first.
    judged
        What is compared, in words, where numbers are.
    events
        Kinds of events of which the log must hold at least one.
    column
        A column that the log must have.
    room
        Answers of one room learn from the same examples: ``table``, or a room of their own with a block beside the table.
    usual
        Whether every fit learns it, or only one that names it.
    block
        The block beside the table that its learners read; none where they read the table alone.
    taken
        The kind of event that takes a class, where the answer is about classes.
    rests
        The answer that it is read from, where it is not learned itself.
    also
        Kinds of events of which the log must hold each.
    """

    name: str
    words: str
    asks: str
    needs: str
    kind: Kind
    look: Look
    question: Callable[[float, Classes], Question]
    candidates: Callable[[Grid], learn.Learners]
    judged: str = ""
    events: tuple[str, ...] = ("purchase",)
    column: str = ""
    room: str = "table"
    usual: bool = True
    block: str = ""
    taken: str = "purchase"
    rests: str = ""
    also: tuple[str, ...] = ()

    @property
    def batch(self) -> bool:
        """Whether its models have no compiled rows: live it costs milliseconds. What every fit learns has them, and so have chances."""
        return not self.usual and (self.kind != "chance" or bool(self.block))

    def window(self, grid: Grid) -> float | None:
        """Return over how many days it looks; none where it asks about the next event."""
        return {"next": None, "shortest": grid.shortest, "middle": grid.middle, "checked": grid.horizons[-1]}[self.look]

    def lacks(self, log: EventLog) -> str:
        """Return what a log lacks for it, in words; nothing where it can be asked."""
        if self.column and self.column not in log.columns:
            return f"The log has no column {self.column}."
        if not any(log.count(kind) for kind in self.events):
            return f"The log has no event of the kind {' or '.join(self.events)}."
        missing = next((kind for kind in self.also if not log.count(kind)), "")
        return f"The log has no event of the kind {missing}." if missing else ""


def _chance(name: str, words: str, kind: str) -> Answer:
    """Return the answer whether an event of a kind comes within the longest horizon that is checked."""
    return Answer(
        name, words, words.replace("she", "each customer"), f"events of the kind {kind}", "chance", "checked",
        lambda days, _: Happens(days, kind, name), further.happens(name), events=(kind,), usual=False,
    )  # fmt: skip


def _table(*listed: Answer) -> Mapping[str, Answer]:
    return {answer.name: answer for answer in listed}


ANSWERS: Final[Mapping[str, Answer]] = _table(
    Answer(
        "purchase", "When does she buy next, and how likely within each horizon?", "When does each customer buy next?",
        "purchases: who and when", "curve", "next", lambda days, _: NextPurchase(days), learn.curves,
    ),
    Answer(
        "orders", "How many orders will she place?", "How many orders come from each?", "purchases: who and when", "count", "next",
        lambda days, _: OrderCount(days), learn.orders, "the count",
    ),
    Answer(
        "amount", "How much is her next order?", "How much is the next order?", "amounts of purchases", "amount", "next",
        lambda days, _: NextAmount(days), learn.amounts, "the next order's amount", column="amount",
    ),
    Answer(
        "spend", "How much will she spend in all?", "How much does she spend within the shortest horizon?", "amounts of purchases",
        "amount", "shortest", lambda days, _: Spend(days), learn.spend, "what is spent", column="amount",
    ),
    Answer(
        "quantity", "How many units will she buy?", "How many pieces does she buy within the shortest horizon?", "quantities of purchases",
        "amount", "shortest", lambda days, _: Quantity(days), learn.quantity, "the units bought", column="quantity",
    ),
    Answer(
        "redemption", "Will she redeem an offer?", "Does she redeem an offer?", "events of the kind redeemed", "chance", "middle",
        lambda days, _: Happens(days, "redeemed", "redemption"), learn.redemption, events=("redeemed",),
    ),
    Answer(
        "classes", "From which categories does she buy?", "From which categories does she buy next?", "categories of purchases", "classes",
        "shortest", NextClasses, learn.classes, column="category", room="classes",
    ),
    Answer(
        "activity", "When is she next active at all?", "When is each customer next active at all?", "events of customers", "curve", "next",
        lambda days, _: NextActivity(days), further.activity, events=ACTS, usual=False, block=further.VISITS,
    ),
    Answer(
        "churn", "Will she be lost: silent for longer than is usual for her?", "Is each customer silent for longer than is usual for her?",
        "events of customers", "chance", "next", lambda days, _: Churn(days, 2 * days), further.nothing, events=ACTS, usual=False,
        rests="activity",
    ),
    Answer(
        "visits", "How often will she come?", "How often does each customer come?", "events of customers, best with session_id", "number",
        "checked", lambda days, _: Visits(days), further.visits, events=COMES, usual=False, block=further.VISITS,
    ),
    Answer(
        "dwell", "How long will she stay on her next visit?", "How long does each customer stay on her next visit?",
        "the column dwell_s, the seconds spent on events", "quantiles", "next", lambda days, _: NextDwell(days), further.dwell,
        "the seconds of the next visit", events=COMES, column="dwell_s", usual=False, block=further.VISITS,
    ),
    Answer(
        "viewed", "Which categories will she look at?", "Which categories does each customer look at next?",
        "events of the kind view with a category", "classes", "shortest",
        lambda days, classes: NextClasses(days, classes, name="viewed", kind="view"),
        further.taken("viewed", "view", trees=True), events=("view",), column="category", room="viewed", usual=False, taken="view",
    ),
    _chance("review", "Will she write a review?", "review"),
    Answer(
        "rating", "Which rating will she give?", "Which rating does each customer give next?", "events of the kind review with a rating",
        "amount", "next", lambda days, _: NextRating(days), further.rating, "the next rating", events=("review",), column="rating",
        usual=False,
    ),
    _chance("contact", "Will she contact the service?", "enquiry"),
    Answer(
        "about", "What will she contact the service about?", "What does each customer contact the service about?",
        "events of the kind enquiry with a topic", "classes", "checked",
        lambda days, classes: NextClasses(days, classes, "topic", "about", "enquiry"),
        further.taken("about", "enquiry", trees=False), events=("enquiry",), column="topic", room="about", usual=False, taken="enquiry",
    ),
    _chance("opened", "Will she open a message?", "opened"),
    _chance("clicked", "Will she click a message or an advertisement?", "clicked"),
    _chance("unsubscribe", "Will she unsubscribe from messages?", "unsubscribe"),
    _chance("refund", "Will she return or cancel something?", "refund"),
    Answer(
        "response", "Will she click on the next message shown to her?", "Does each customer click on the next message shown to her?",
        "events of the kinds shown and clicked", "chance", "checked", lambda days, _: Follows(days, "shown", "clicked", "response"),
        further.happens("response"), events=("clicked",), usual=False, also=("shown",),
    ),
    Answer(
        "conversion", "Will she buy after a click?", "Does each customer buy within a week of her next click?",
        "events of the kind clicked, and purchases", "chance", "checked",
        lambda days, _: Follows(days, "clicked", "purchase", "conversion"), further.happens("conversion"), events=("clicked",),
        usual=False, also=("purchase",),
    ),
    Answer(
        "in_session", "Will she buy during the visit that she is on?", "Does each customer buy during the visit that she is on?",
        "events of visits beside purchases, with clock times", "chance", "next", lambda days, _: BuysNow(min(days, 1.0)),
        further.in_session, events=tuple(kind for kind in COMES if kind != "purchase"), room=SESSION, usual=False, block=further.VISIT,
        also=("purchase",),
    ),
    Answer(
        "next", "What will she do next, and with what?", "What does each customer do next, with what, within the shortest horizon?",
        "events of other kinds beside purchases", "classes", "shortest", NextAct, further.next_acts,
        events=tuple(kind for kind in KINDS if kind not in ("purchase", "shown")), room="next", usual=False, block=further.ACTS, taken="",
    ),
)  # fmt: skip
"""Every answer by name, in the order in which they are learned and listed."""
ALL: Final = "all"
USUAL: Final = "usual"
"""Words that stand for every answer, and for those that every fit learns."""


def wanted(ask: Collection[str] | str = (), table: Mapping[str, Answer] = ANSWERS) -> tuple[str, ...]:
    """Return the names of the answers asked for, in the order of the table: the purchase always, the usual ones where none is named.

    Raises
    ------
    UsageError
        When a name is not in the table.
    """
    named = {ask} if isinstance(ask, str) else set(ask)
    for name in sorted(named - {ALL, USUAL} - set(table)):
        raise unknown(name, table, "answer")
    named |= {table[name].rests for name in named & set(table)} - {""}
    usual = not named or USUAL in named
    return tuple(name for name, answer in table.items() if name == "purchase" or ALL in named or name in named or (usual and answer.usual))


def unknown(name: str, known: Collection[str], what: str) -> UsageError:
    """Return the error that says that there is nothing of such a name, and which name is near."""
    import difflib

    near = difflib.get_close_matches(name, list(known), n=1)
    meant = f" Did you mean {near[0]!r}?" if near else ""
    return UsageError(f"There is no {what} {name!r}.{meant}", f"There are: {', '.join(sorted(known))}.", "Name one of them.")


def rooms(names: Sequence[str], table: Mapping[str, Answer] = ANSWERS) -> tuple[tuple[str, ...], ...]:
    """Return answers by the examples that they learn from: the purchase, what else the table alone teaches, and each further room."""
    plain = tuple(name for name in names if table[name].room == "table" and name != "purchase")
    others = dict.fromkeys(table[name].room for name in names if table[name].room != "table")
    apart = (tuple(name for name in names if table[name].room == room) for room in others)
    return tuple(group for group in (("purchase",) if "purchase" in names else (), plain, *apart) if group)
