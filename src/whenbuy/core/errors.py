"""Every error that whenbuy raises on purpose, with the exit code the command line gives it.

The tree::

    WhenbuyError                1  something inside whenbuy broke a promise
    ├── UsageError              2  the call itself is wrong (an option, a date, a setting)
    │   ├── SettingsError       2  whenbuy.toml does not say what it must
    │   └── LeakError           2  knowledge from after the cutoff was asked for
    ├── InputError              3  the data cannot be read as an event log
    │   ├── EmptyError          3  there is nothing in it
    │   ├── ColumnError         3  a column is missing or is not what it should be
    │   └── DamagedError        3  a stored file is not what was written
    ├── NotEnoughDataError      4  the data can be read, but cannot carry the answer
    │   └── ImmatureError       4  the label windows have not closed yet
    ├── GateError               5  a model did not earn its place
    ├── NotFoundError           6  a file, a shop, a user or a model that does not exist
    ├── AccessError             7  the file system says no
    ├── BusyError               8  another process is writing
    └── DependencyError         8  something that whenbuy stands on is not there

A message has three parts: what was got, what is needed, what to do next.
"""

from __future__ import annotations


class WhenbuyError(Exception):
    """A promise that whenbuy broke.

    Parameters
    ----------
    got
        What was found, in the user's words.
    need
        What whenbuy needs instead.
    do
        The next step that mends it.
    """

    exit_code: int = 1

    def __init__(self, got: str, need: str = "", do: str = "") -> None:
        self.got, self.need, self.do = got, need, do
        super().__init__(" ".join(part for part in (got, need, do) if part))


class UsageError(WhenbuyError):
    """The call itself is wrong."""

    exit_code = 2


class SettingsError(UsageError):
    """The settings of a shop do not say what they must."""


class LeakError(UsageError):
    """Knowledge from after the cutoff was asked for."""


class InputError(WhenbuyError):
    """The data cannot be read as an event log."""

    exit_code = 3


class EmptyError(InputError):
    """The data hold no event."""


class ColumnError(InputError):
    """A column is missing or is not what it should be."""


class DamagedError(InputError):
    """A stored file is not what was written."""


class NotEnoughDataError(WhenbuyError):
    """The data can be read, but cannot carry the answer that was asked for."""

    exit_code = 4


class ImmatureError(NotEnoughDataError):
    """The label windows have not closed yet."""


class GateError(WhenbuyError):
    """A model that did not earn its place: it does not beat its floor, or is worse than the model that answers now."""

    exit_code = 5


class NotFoundError(WhenbuyError):
    """A file, a shop, a user or a model that does not exist."""

    exit_code = 6


class AccessError(WhenbuyError):
    """The file system says no."""

    exit_code = 7


class BusyError(WhenbuyError):
    """Another process is writing to the shop."""

    exit_code = 8


class DependencyError(WhenbuyError):
    """Something that whenbuy stands on is missing or too old: a library, a database, a broker."""

    exit_code = 8
