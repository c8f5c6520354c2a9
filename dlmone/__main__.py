"""``python -m dlmone``, the same as ``dlmone``."""

from dlmone.cli import main

main()
