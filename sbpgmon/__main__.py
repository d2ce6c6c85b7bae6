"""`python -m sbpgmon` is `sbpgmon`."""

from sbpgmon.cli.main import main

main()
