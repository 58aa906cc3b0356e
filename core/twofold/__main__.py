"""`python -m twofold`, the same as the command `twofold`."""

from twofold.cli import main

main()
