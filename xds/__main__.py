"""``python -m xds``, where the command ``grayplane`` is not on the path."""

from xds.cli import main

main()
