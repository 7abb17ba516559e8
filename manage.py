#!/usr/bin/env python
"""Django's command line for the portal."""

import os
import sys


def main() -> None:
    if sys.argv[1:2] == ["lab"]:
        # Before Django and without its settings: the lab is no part of the product.
        from lab.__main__ import main as lab

        sys.exit(lab(sys.argv[2:], "manage.py lab"))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    try:
        from django.core.management import execute_from_command_line
    except ImportError as missing:
        raise SystemExit(
            f"{missing}. Run this through `make`, or activate .venv first."
        ) from missing
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
