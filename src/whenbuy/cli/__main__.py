"""`python -m whenbuy.cli` is `whenbuy`."""

from whenbuy.cli.running import main

main()
