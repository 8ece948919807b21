"""The command line: one verb per command. Data goes to stdout, everything else to stderr; no traceback reaches a user."""

from whenbuy.cli.running import INTERRUPTED, TERMINATED, Terminated, main, run
from whenbuy.cli.verbs import whenbuy

__all__ = ["INTERRUPTED", "TERMINATED", "Terminated", "main", "run", "whenbuy"]
