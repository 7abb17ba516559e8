"""Finds a Chromium for the browser tests, and downloads or installs one on request.

It prints every command that changes the machine before it runs it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
VARIABLE = "CHROMIUM"
"""Environment variable with the path of the Chromium to use; takes precedence."""

BROWSERS_DIR = Path(sys.prefix) / "browsers"
"""Where playwright downloads to: inside the virtual environment, and deleted with it."""

DEFAULT_TIMEOUT = 600


def find_browser() -> str | None:
    """Path of a Chromium that starts, or None."""
    given = os.environ.get(VARIABLE)
    candidates = [given] if given else [found for name in NAMES if (found := shutil.which(name))]
    candidates += [str(path) for path in sorted(BROWSERS_DIR.glob("chromium-*/chrome-*/chrome"))]
    candidates += [
        str(path)
        for path in sorted(BROWSERS_DIR.glob("chromium-*/chrome-*/*.app/Contents/MacOS/*"))
    ]
    return next((candidate for candidate in candidates if _starts(candidate)), None)


def print_browser(*, fetch: bool) -> int:
    """Print its path on stdout, everything else on stderr; returns 1 if there is none."""
    path = find_browser()
    if path is None and fetch:
        path = _fetch()
    if path is None:
        print(
            "no Chromium found; the messages above say why none could be fetched",
            file=sys.stderr,
        )
        return 1
    print(path)
    return 0


def _fetch() -> str | None:
    """Try playwright's download, then the system's packages if we are root."""
    os.environ["PLAYWRIGHT_BROWSERS_PATH"] = str(BROWSERS_DIR)
    attempts = [[sys.executable, "-m", "playwright", "install", "chromium"]]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        # With its libraries: a bare container has none of them.
        attempts[0].insert(-1, "--with-deps")
        if shutil.which("apt-get"):
            attempts += [
                ["apt-get", "update"],
                ["apt-get", "install", "-y", "--no-install-recommends", "chromium"],
            ]
    for command in attempts:
        print("+ " + " ".join(command), file=sys.stderr, flush=True)
        try:
            subprocess.run(command, stdout=sys.stderr, timeout=DEFAULT_TIMEOUT, check=False)  # noqa: S603
        except (OSError, subprocess.TimeoutExpired) as error:
            print(error, file=sys.stderr)
        if (path := find_browser()) is not None:
            return path
    return None


def _starts(path: str) -> bool:
    try:
        asked = subprocess.run([path, "--version"], capture_output=True, timeout=30, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0
