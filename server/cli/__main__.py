"""`python -P -m proofbox.server.cli` is the console script where that is not on the path."""

from . import main

main()
