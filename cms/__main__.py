"""``python -m cms`` and the command ``cms``."""

from __future__ import annotations

import sys

from cms.cli.main import app, guarded


def main() -> None:
    """Run the command line; a known trouble is one line and exit code 2, never a traceback."""
    sys.exit(guarded(app))


if __name__ == "__main__":
    main()
