"""``python -m data_platform.cli``."""

from data_platform.cli import main

main()
