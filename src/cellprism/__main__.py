"""``python -m cellprism``, the same as ``cellprism``."""

from cellprism.cli.app import main

main()
