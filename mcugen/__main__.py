"""`python -m mcugen` is `mcugen`."""

from mcugen.cli import main

main()
