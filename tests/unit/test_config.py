"""whenbuy.toml: what it may say, what it refuses and with which words, and that it writes itself back."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whenbuy.config import ENTITIES, CalendarSettings, ProfileSettings, Settings, ShopSettings, SourceSettings
from whenbuy.core.errors import AccessError, NotFoundError, SettingsError

FULL = """
[shop]
name = "Käse & Co"
timezone = "Europe/Berlin"
currency = "EUR"
horizons = ["14d", 7, 28.5]   # any order
lateness_days = 1.5
seed = 3

[source]
paths = "events.parquet"
layout = "complete-journey"

[columns]
user_id = "Kunde"
"geo.region" = "Region"

[kinds]
"add to cart" = "cart"

[clean]
duplicates = { window_s = 2, keep = "first" }
bots = false

[calendar]
closed = [2017-12-25, "2018-01-01"]
pay_days = [31, 1]

[fill]
amount = "median"
channel = { how = "constant", value = "web" }

[[profiles.items]]
path = "catalogue.csv"
timeless = true
columns = { category = "Warengruppe" }

[[profiles.items]]
path = ["stock-1.csv", "stock-2.csv"]
key = "sku"
valid_from = "since"
to_events = ["stock"]

[profiles.offers]
path = "offers.csv"
valid_from = "announced"
property = "what"
value = "how much"
"""


def test_everything_it_can_say():
    found = Settings.parse(FULL, rules=("duplicates", "bots", "outliers"))
    assert found.shop == ShopSettings("Käse & Co", "Europe/Berlin", "EUR", (7.0, 14.0, 28.5), 1.5, 3)
    assert found.source.paths == ("events.parquet",)
    assert dict(found.columns) == {"user_id": "Kunde", "geo.region": "Region"}
    assert dict(found.kinds) == {"add to cart": "cart"}
    assert dict(found.clean) == {"duplicates": {"window_s": 2, "keep": "first"}, "bots": False}
    assert found.calendar == CalendarSettings((date(2017, 12, 25), date(2018, 1, 1)), (), (1, 31))
    assert dict(found.fill) == {"amount": "median", "channel": {"how": "constant", "value": "web"}}
    assert found.profiles["items"] == (
        ProfileSettings(("catalogue.csv",), timeless=True, columns={"category": "Warengruppe"}),
        ProfileSettings(("stock-1.csv", "stock-2.csv"), "sku", "since", to_events=("stock",)),
    )
    assert found.profiles["offers"] == (ProfileSettings(("offers.csv",), valid_from="announced", property="what", value="how much"),)


def test_an_empty_file_means_the_defaults():
    assert Settings.parse("") == Settings()
    assert Settings().shop.horizons == (7.0, 14.0, 28.0)


def test_it_writes_itself_back():
    found = Settings.parse(FULL)
    again = Settings.parse(found.text())
    assert again == found
    assert again.text() == found.text()
    assert again.fingerprint() == found.fingerprint()
    assert found.text().count("#") > 10  # it explains itself


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
names = st.dictionaries(texts.filter(bool), texts.filter(bool), max_size=4)
scalars = st.one_of(st.booleans(), st.integers(), st.floats(allow_nan=False), texts, st.dates())
rules = st.dictionaries(texts, st.one_of(scalars, st.lists(scalars, max_size=3), st.dictionaries(texts, scalars, max_size=3)), max_size=3)


@given(
    shop=st.builds(
        ShopSettings,
        name=texts,
        timezone=st.sampled_from(["UTC", "America/New_York"]),
        currency=st.sampled_from(["", "USD"]),
        horizons=st.lists(st.floats(0.01, 3650), min_size=1, max_size=4),
        lateness_days=st.floats(0, 100),
        seed=st.integers(0, 2**63 - 1),
    ),
    source=st.builds(
        SourceSettings,
        paths=st.lists(texts.filter(bool), max_size=3),
        layout=texts,
        separator=st.sampled_from(["", ";", "\t"]),
        day_first=st.sampled_from(["", True, False]),
    ),
    columns=names,
    kinds=names,
    clean=rules,
    fill=st.dictionaries(texts, st.sampled_from(["median", "drop"]) | st.builds(dict, how=texts, value=scalars), max_size=2),
    profiles=st.dictionaries(
        st.sampled_from(ENTITIES),
        st.lists(
            st.builds(
                ProfileSettings,
                path=st.lists(texts.filter(bool), min_size=1, max_size=2),
                key=texts,
                valid_from=texts.filter(bool),
                columns=names,
                to_events=st.lists(texts.filter(bool), max_size=2),
            ),
            min_size=1,
            max_size=2,
        ),
    ),
    calendar=st.builds(
        CalendarSettings,
        closed=st.lists(st.dates(), max_size=3),
        holidays=st.lists(st.dates(), max_size=3),
        pay_days=st.lists(st.integers(1, 31)),
    ),
)
def test_whatever_it_says_it_reads_back(shop, source, columns, kinds, clean, calendar, fill, profiles):
    found = Settings(shop, source, columns, kinds, clean, calendar, fill, profiles)
    again = Settings.parse(found.text())
    assert again == found
    assert again.fingerprint() == found.fingerprint()


def test_the_fingerprint_follows_the_meaning():
    one = Settings.parse("[shop]\nhorizons = [7, 14]\n[clean]\na = 2\nb = 1\n")
    two = Settings.parse("# said otherwise\nclean = { b = 1.0, a = 2 }\nshop.horizons = ['14d', '7d', 7.0]\n")
    other = Settings.parse("[shop]\nhorizons = [7, 15]\n[clean]\na = 2\nb = 1\n")
    assert one.fingerprint() == two.fingerprint() != other.fingerprint()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[shop]\nname = 'x'\nhorizon = [7]\n", ["line 3", "'horizon' is not a key of [shop]", "Did you mean 'horizons'?"]),
        ("\n[shp]\n", ["line 2", "'shp' is not a section", "Did you mean 'shop'?"]),
        ("[zzz]\n", ["line 1", "There are: shop, source"]),
        ("[source]\npath = 'x'\n", ["line 2", "Did you mean 'paths'?"]),
        ("shop = 3\n", ["line 1", "must be a section [shop]"]),
        ("[shop]\n\n\nhorizons = []\n", ["line 4", "'horizons' is []", "list of days above 0"]),
        ("[shop]\nhorizons = [7, -1]\n", ["line 2", "list of days above 0"]),
        ("[shop]\nhorizons = [0]\n", ["line 2", "list of days above 0"]),
        ("[shop]\nhorizons = [nan]\n", ["line 2", "list of days above 0"]),
        ("[shop]\nhorizons = [inf]\n", ["line 2", "list of days above 0"]),
        ("[shop]\nhorizons = [true]\n", ["line 2", "list of days above 0"]),
        ("[shop]\nhorizons = ['7 weeks']\n", ["line 2", "list of days above 0"]),
        ("[shop]\nhorizons = 7\n", ["line 2", "list of days above 0"]),
        ("[shop]\nhorizons = [99999]\n", ["line 2", "at most 3650"]),
        ("[shop]\nlateness_days = -1\n", ["line 2", "at least 0"]),
        ("[shop]\nlateness_days = nan\n", ["line 2", "at least 0"]),
        ("[source]\nseparator = ';;'\n", ["line 2", "one character"]),
        ("[source]\nday_first = 1\n", ["line 2", "true, false"]),
        ("[shop]\nseed = -1\n", ["line 2", "whole number"]),
        ("[shop]\nseed = 1.5\n", ["line 2", "whole number"]),
        ("[shop]\nseed = true\n", ["line 2", "whole number"]),
        ("[shop]\nname = 3\n", ["line 2", "text in quotes"]),
        ("[shop]\ntimezone = 'Mars/Base'\n", ["line 2", "time zone"]),
        ("[shop]\ntimezone = '../../etc/passwd'\n", ["line 2", "time zone"]),
        ("shop.timezone = 7\n", ["line 1", "time zone"]),
        ("[shop]\ncurrency = 'Euro'\n", ["line 2", "three capital letters"]),
        ("[source]\npaths = [3]\n", ["line 2", "path in quotes"]),
        ("[source]\npaths = ''\n", ["line 2", "path in quotes"]),
        ("[columns]\nuser_id = 3\n", ["line 1", "table of names"]),
        ("[kinds]\nbuy = ''\n", ["line 1", "table of names"]),
        ("[calendar]\nclosed = ['25.12.2017']\n", ["line 2", "list of dates"]),
        ("[calendar]\nclosed = [2017-12-25T10:00:00]\n", ["line 2", "list of dates"]),
        ("[calendar]\npay_days = [32]\n", ["line 2", "days of the month"]),
        ("[calendar]\npay_days = [1.5]\n", ["line 2", "days of the month"]),
        ("[fill]\namount = 3\n", ["line 1", "table of fills by column"]),
        ("[profiles.item]\npath = 'x'\n", ["line 1", "Did you mean 'items'?"]),
        ("\n[profiles.items]\npath = 'x'\nkeys = 'y'\n", ["line 4", "'keys' is not a key of [profiles.items]", "Did you mean 'key'?"]),
        ("\n[profiles.items]\npath = 'x'\n", ["line 2", "valid_from = '' and timeless = false", "today's attributes"]),
        ("[profiles.items]\npath = 'x'\ntimeless = 'yes'\n", ["line 3", "true or false"]),
        ("[profiles.items]\ntimeless = true\n", ["line 1", "names no path"]),
        ("[profiles.items]\npath = 'x'\ntimeless = true\nvalue = 'v'\n", ["one attribute per row"]),
        ("[[profiles.users]]\npath = 'x'\ntimeless = true\nvalid_from = 'd'\n", ["line 1", "not both"]),
        ("[profiles]\nitems = 3\n", ["must be a section [profiles.items]"]),
        ("profiles = 3\n", ["must be a section [profiles]"]),
        ("[clean]\nduplicate = true\n", ["line 2", "Did you mean 'duplicates'?"]),
        ("[shop\n", ["must be TOML", "line 1"]),
        ("[shop]\nseed = 1\nseed = 2\n", ["must be TOML", "line 3"]),
        ("[clean]\na = " + "[" * 5000 + "]" * 5000, ["must be TOML"]),
    ],
)
def test_what_it_refuses_and_how(text, words):
    with pytest.raises(SettingsError) as caught:
        Settings.parse(text, rules=("duplicates", "bots"))
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_settings_made_by_hand_check_themselves():
    with pytest.raises(SettingsError, match="horizons is"):
        ShopSettings(horizons=())
    with pytest.raises(SettingsError, match="closed is"):
        CalendarSettings(closed=("soon",))  # type: ignore[arg-type]
    assert ShopSettings(horizons=["7d", 3]).horizons == (3.0, 7.0)  # type: ignore[arg-type]


def test_reading_a_file(tmp_path):
    file = tmp_path / "whenbuy.toml"
    with pytest.raises(NotFoundError, match="whenbuy init"):
        Settings.read(tmp_path)
    file.write_bytes(b"\xef\xbb\xbf" + FULL.encode())  # as some editors begin a file
    assert Settings.read(tmp_path) == Settings.read(file) == Settings.parse(FULL)
    file.write_text("[shop]\nhorizon = 3\n")
    with pytest.raises(SettingsError, match=r"whenbuy\.toml, line 2"):
        Settings.read(file)
    file.write_bytes(b"[shop]\nname = '\xe9'\n")
    with pytest.raises(SettingsError, match="not UTF-8"):
        Settings.read(file)
    file.unlink()
    file.mkdir()
    with pytest.raises((AccessError, NotFoundError)):
        Settings.read(file / "whenbuy.toml" / "x")


def test_a_free_table_cannot_be_changed():
    with pytest.raises(TypeError):
        Settings.parse(FULL).columns["user_id"] = "x"  # type: ignore[index]
