"""The parameters of the simulated shop: one frozen file, and the hash that tells whether somebody touched it."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from importlib import resources
from typing import Any, Final, Self

from whenbuy.core.clock import Clock
from whenbuy.core.errors import DamagedError, SettingsError, UsageError
from whenbuy.ingest.simulated.bounds import above_zero, lengths, shares
from whenbuy.ingest.simulated.care import Care
from whenbuy.ingest.simulated.promotions import Promotions

FROZEN: Final[Mapping[str, str]] = {
    "shop": "2bffe97a98a93aa0d10f59d788780deaabfec7ee125219e55eaaaed57802b44d",
    "retailrocket": "01644eed8d6cf439b6a05e39fd2fc07cbedbd751c9207bcade87320d15593bec",
    "drift": "a66eb63ef072570b0b8390cbb2f03bc71f583e5e89993a14c17d4c7745784ce0",
    "promotion": "47334c56631e113bd0f6e02b072686ecd8907ec1082308fdffec6fb5d0fb4779",
    "promotions": "d637fce8a1b88ef284bd3877009731d99e81fe62cb423cbecb1d3a856d845530",
    "promotions-biased": "b7e9f3483c6381f876601e63205a44f195780721ea1728937eceb86b48c4c6ab",
    "promotions-deterministic": "8ad7ef7c8bf5be81d40158e485c0f571b2f96595c8eef57f2bdb4b4c7ff7ff7e",
    "promotions-second": "346167b97c0e77df74312b4cf4ea0b556f7cd331432e773b1c452bbe9aaf1576",
    "service": "930b7e31c30d39a656ae72f7e208bf7a77740cf0a6d80896fcd024eaace5b14b",
}
"""The sha256 of each set of values (see Parameters.sha256). Whoever changes a value changes it here too, knowingly."""

FILES: Final[Mapping[str, str]] = {
    name: {"promotions-second": "promotions_second", "service": "care"}.get(name, "promotions" if name.startswith("promotions") else "shop")
    for name in FROZEN
}
"""The file in which each set stands."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """When people buy: weekdays, hours, the year's wave, price levels and public campaigns. The same every year."""

    start: str
    weekdays: tuple[float, ...]
    hours: tuple[float, ...]
    year_amplitude: float
    year_peak_day: int
    price_days: tuple[int, ...]
    price_levels: tuple[float, ...]
    campaign_days: tuple[int, ...]
    campaign_length_days: int
    campaign_discounts: tuple[float, ...]
    campaign_notice: float
    campaign_announced_days: int

    def __post_init__(self) -> None:
        Clock().instant(self.start)
        lengths("calendar.weekdays", self.weekdays, 7)
        lengths("calendar.hours", self.hours, 24)
        lengths("calendar.price_levels", self.price_levels, len(self.price_days))
        lengths("calendar.campaign_discounts", self.campaign_discounts, len(self.campaign_days))
        if self.price_days[:1] != (0,) or list(self.price_days) != sorted(set(self.price_days)):
            raise SettingsError(f"calendar.price_days is {self.price_days}.", "They rise from 0, on which the first level begins.")
        above_zero("calendar", self, ("weekdays", "hours", "price_levels", "campaign_notice"))
        shares("calendar", self, ("year_amplitude", "campaign_discounts"))


@dataclass(frozen=True, slots=True)
class Population:
    """How people differ: their price class, how often and how evenly they buy, how soon they leave, how often they look."""

    price_classes: tuple[str, ...]
    price_class_shares: tuple[float, ...]
    price_elasticities: tuple[float, ...]
    regions: tuple[str, ...]
    growth: float
    buys_at_once: float
    rate_shape: float
    rate_mean: float
    gap_names: tuple[str, ...]
    gap_shapes: tuple[float, ...]
    gap_shares: tuple[float, ...]
    leaving_shape: float
    leaving_scale_days: float
    visit_shape: float
    visit_mean: float

    def __post_init__(self) -> None:
        for name, wanted in (("price_class_shares", self.price_classes), ("price_elasticities", self.price_classes)):
            lengths(f"people.{name}", getattr(self, name), len(wanted))
        for name in ("gap_names", "gap_shares"):
            lengths(f"people.{name}", getattr(self, name), len(self.gap_shapes))
        for name in ("price_class_shares", "gap_shares"):
            if abs(sum(getattr(self, name)) - 1) > 1e-9:
                raise SettingsError(f"people.{name} sums to {sum(getattr(self, name)):g}.", "Shares sum to 1.", "Mend them.")
        shares("people", self, ("price_class_shares", "gap_shares", "buys_at_once"))
        above_zero(
            "people", self,
            ("growth", "rate_shape", "rate_mean", "gap_shapes", "leaving_shape", "leaving_scale_days", "visit_shape", "visit_mean"),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Assortment:
    """What the shop sells, and how strongly people keep to their favourite categories."""

    items: int
    categories: int
    brands: int
    price_median: float
    price_spread: float
    popularity: float
    taste_first: float
    taste_second: float

    def __post_init__(self) -> None:
        above_zero("assortment", self, ("items", "categories", "brands", "price_median", "popularity"))
        shares("assortment", self, ("taste_first", "taste_second"))
        if self.categories > self.items or self.taste_first + self.taste_second > 1:
            raise SettingsError(
                f"{self.items} items in {self.categories} categories, tastes of {self.taste_first:g} and {self.taste_second:g}.",
                "Every category needs an item, and both tastes together are at most 1.",
            )


@dataclass(frozen=True, slots=True)
class Basket:
    """What one visit holds: lines, quantities, and the views and carts on the way."""

    lines_mean: float
    quantity_median: float
    quantity_spread_people: float
    quantity_spread_lines: float
    views_per_line: float
    cart_share: float
    views_per_visit: float
    visit_cart_share: float
    funnel_minutes: float
    dwell_median_s: float
    dwell_spread: float

    def __post_init__(self) -> None:
        shares("basket", self, ("cart_share", "visit_cart_share"))
        above_zero("basket", self, ("quantity_median", "funnel_minutes", "dwell_median_s"))
        for name in ("lines_mean", "views_per_line", "views_per_visit"):
            if getattr(self, name) < 1:
                raise SettingsError(f"basket.{name} is {getattr(self, name):g}.", "It is a mean of counts from 1 on.", "Give at least 1.")


@dataclass(frozen=True, slots=True)
class Afterwards:
    """What follows a purchase: reviews and refunds, some days later."""

    review_share: float
    review_median_days: float
    review_text_share: float
    refund_share: float
    refund_median_days: float
    delay_spread: float

    def __post_init__(self) -> None:
        shares("afterwards", self, ("review_share", "review_text_share", "refund_share"))
        above_zero("afterwards", self, ("review_median_days", "refund_median_days"))


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong in the log: late rows and missing values always, duplicates and bots only in a dirty log."""

    late_share: float
    late_median_minutes: float
    late_spread: float
    late_days_share: float
    lateness_days: float
    item_missing: float
    price_missing: float
    channel_missing: float
    duplicates: float
    bots: float
    bot_views: int

    def __post_init__(self) -> None:
        shares("faults", self, ("late_share", "late_days_share", "item_missing", "price_missing", "channel_missing", "duplicates", "bots"))
        above_zero("faults", self, ("late_median_minutes", "lateness_days", "bot_views"))


@dataclass(frozen=True, slots=True)
class Drift:
    """A change of the world on a stated day.

    From then on people buy and look ``pace`` times as often, prices are ``price`` times as high, and sessions come through the channels by
    other shares (web, app, phone).
    """

    day: int
    pace: float
    price: float
    channels: tuple[float, ...]

    def __post_init__(self) -> None:
        above_zero("drift", self, ("pace", "price"))
        shares("drift", self, ("channels",))
        lengths("drift.channels", self.channels, 3)
        if self.day < 0 or abs(sum(self.channels) - 1) > 1e-9:
            raise SettingsError(f"drift.day is {self.day}, drift.channels sum to {sum(self.channels):g}.", "From 0 on; shares sum to 1.")


@dataclass(frozen=True, slots=True)
class Promotion:
    """A personal promotion: a ``share`` of those who came before ``day``, drawn by lot, gets ``discount`` off for ``length_days``.

    Beside its price it is noticed: intensity grows by ``notice``. Who gets it is told so at its first instant (an event ``shown``).
    """

    day: int
    length_days: int
    discount: float
    notice: float
    share: float

    def __post_init__(self) -> None:
        above_zero("promotion", self, ("day", "length_days", "notice"))
        shares("promotion", self, ("discount", "share"))
        if self.discount >= 1:
            raise SettingsError(f"promotion.discount is {self.discount:g}.", "It is below 1.", "Give another value.")


@dataclass(frozen=True, slots=True)
class Parameters:
    """Everything that makes one shop differ from another.

    Change single values with ``dataclasses.replace``: a shop with other parameters has another hash. A drift and a personal promotion are
    absent from most shops, and so is what the shop does to its customers (care).
    """

    calendar: Calendar
    people: Population
    assortment: Assortment
    basket: Basket
    afterwards: Afterwards
    faults: Faults
    drift: Drift | None = None
    promotion: Promotion | None = None
    promotions: Promotions | None = None
    care: Care | None = None

    def __post_init__(self) -> None:
        if self.care is not None and (
            self.people.gap_shapes != (1.0,)
            or self.afterwards.review_share + self.afterwards.refund_share + self.faults.late_share > 0
            or any(other is not None for other in (self.drift, self.promotion, self.promotions))
        ):
            raise SettingsError(
                "A shop that treats its customers well or badly has other gaps than exponential ones, reviews, refunds or late rows of the "
                "plain kind, a drift or promotions.", "The truth about it could not be told.", "Set them as in care.toml.",
            )  # fmt: skip
        if self.promotion is not None and self.promotions is not None:
            raise SettingsError(
                "A shop tries a promotion by lot and sends promotions in rounds.", "Their effects could not be told apart.", "Keep one."
            )

    @classmethod
    def of(cls, tables: Mapping[str, Mapping[str, Any]]) -> Self:
        """Return the parameters that these tables (one per part) spell out.

        Raises
        ------
        SettingsError
            When a value is missing, unknown or impossible.
        """
        parts = {
            "calendar": Calendar, "people": Population, "assortment": Assortment, "basket": Basket,
            "afterwards": Afterwards, "faults": Faults,
        }  # fmt: skip
        further = {"drift": Drift, "promotion": Promotion, "promotions": Promotions, "care": Care}
        made: dict[str, Any] = {}
        for name, part in {**parts, **{name: part for name, part in further.items() if name in tables}}.items():
            given, known = dict(tables.get(name, {})), {field.name for field in fields(part)}
            if given.keys() != known:
                raise SettingsError(
                    f"The part [{name}] of the shop has {', '.join(sorted(given.keys() - known)) or 'nothing'} too much and lacks "
                    f"{', '.join(sorted(known - given.keys())) or 'nothing'}.",
                    f"It consists of {', '.join(sorted(known))}.",
                )
            made[name] = part(**{key: _frozen(value) for key, value in given.items()})
        return cls(**made)

    @classmethod
    def frozen(cls, name: str = "shop") -> Self:
        """Return a set of parameters of the frozen files.

        "shop"; "retailrocket" for the size of that data set; "drift" and "promotion" for the shop in which the world changes, or in which a
        personal promotion is tried by lot; "promotions", "promotions-biased" and "promotions-deterministic" for the shop that sends
        several offers in rounds, by lot, to those who seem likely to buy, or by a rule; "promotions-second" for another such shop, on
        which nothing is ever tuned; "service" for the shop that treats its customers well or badly.

        Raises
        ------
        UsageError
            When the files have no such set.
        DamagedError
            When the values are not those whose hash is recorded.
        """
        if name not in FROZEN:
            raise UsageError(f"There is no simulated shop {name!r}.", f"There are: {', '.join(FROZEN)}.", "Name one of them.")
        tables = {part: dict(values) for part, values in _read("shop")["shop"].items()}
        for change in (_read(FILES[name]).get(one, {}) for one in _steps(name)):
            for part, values in change.items():
                tables[part] = tables.get(part, {}) | values
        found = cls.of(tables)
        if found.sha256 != FROZEN[name]:
            raise DamagedError(
                f"The parameters of the simulated shop {name!r} have the sha256 {found.sha256}.",
                f"The recorded one is {FROZEN[name]}: forecasts scored on it could not be compared any more.",
                f"Restore {FILES[name]}.toml; to experiment, pass simulate() parameters of your own.",
            )
        return found

    @property
    def sha256(self) -> str:
        """The hash of all values: two shops with the same one follow the same laws."""
        told = {part: values for part, values in asdict(self).items() if values is not None}
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _steps(name: str) -> tuple[str, ...]:
    """Return the tables of changes that make a set, in their order: "promotions-biased" is "promotions" and what differs from it."""
    if name.startswith("promotions-") and FILES[name] == "promotions":
        return "promotions", name
    return () if name == "shop" else (name,)


def _read(file: str) -> dict[str, Any]:
    return tomllib.loads(resources.files("whenbuy.ingest.simulated").joinpath(f"{file}.toml").read_text(encoding="utf-8"))


def _frozen(value: Any) -> Any:
    return tuple(_frozen(each) for each in value) if isinstance(value, list) else value
