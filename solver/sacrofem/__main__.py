"""``python -m sacrofem`` is the command ``sacrofem``."""

from sacrofem.cli import main

main()
