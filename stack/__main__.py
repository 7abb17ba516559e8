"""The commands that the Makefile calls: `python -m stack COMMAND`."""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m stack", description="The whole product on this machine."
    )
    commands = parser.add_subparsers(dest="command", required=True)

    demo = commands.add_parser("demo", help="start everything and run until Ctrl-C")
    demo.add_argument(
        "--state", type=Path, default=PROJECT / ".state", help="where data, secrets and logs live"
    )
    demo.add_argument("--port", type=_port, default=8000, help="first of six ports in a row")
    demo.add_argument("--clean", action="store_true", help="empty the state folder first")
    demo.add_argument("--time-scale", type=_scale, help="how many times faster than AWS")

    rehearse = commands.add_parser(
        "rehearse", help="run the main job, from request to echo, on a fresh stack"
    )
    rehearse.add_argument(
        "--port", type=_port, help="first of six ports in a row; free ones unless given"
    )
    rehearse.add_argument("--hold", action="store_true", help="keep running afterwards")
    rehearse.add_argument("--time-scale", type=_scale, help="how many times faster than AWS")

    services = commands.add_parser(
        "test-services", help="run a command with a fresh PostgreSQL and Redis"
    )
    services.add_argument("wrapped", nargs=argparse.REMAINDER, help="the command, after --")

    browser = commands.add_parser("browser", help="print the path of a Chromium for the tests")
    browser.add_argument(
        "--fetch", action="store_true", help="download or install it if there is none"
    )

    screenshots = commands.add_parser(
        "screenshots", help="take the README's pictures from this build"
    )
    screenshots.add_argument(
        "folder", type=Path, nargs="?", default=PROJECT / "docs" / "screenshots"
    )

    given = parser.parse_args(arguments)
    os.chdir(PROJECT)
    try:
        # Each command loads only what it needs, and here, where Ctrl-C ends it without a traceback.
        from stack.environment import DEFAULT_TIME_SCALE

        match given.command:
            case "demo":
                from stack.demo import run_demo

                scale = given.time_scale or DEFAULT_TIME_SCALE
                return run_demo(given.state, given.port, clean=given.clean, time_scale=scale)
            case "rehearse":
                from stack.rehearse import run_rehearsal

                scale = given.time_scale or DEFAULT_TIME_SCALE
                return run_rehearsal(given.port, hold=given.hold, time_scale=scale)
            case "test-services":
                from stack.with_services import run_with_services

                return run_with_services([word for word in given.wrapped if word != "--"])
            case "screenshots":
                from stack.screenshots import take_screenshots

                return take_screenshots(given.folder)
            case _:
                from stack.browser import print_browser

                return print_browser(fetch=given.fetch)
    except KeyboardInterrupt:
        # While modules were loading: nothing was started yet.
        print("stopped", file=sys.stderr)
        return INTERRUPTED


def _port(text: str) -> int:
    if not text.isdecimal() or not 1024 <= int(text) <= 65_530:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port between 1024 and 65530")
    return int(text)


def _scale(text: str) -> float:
    if re.fullmatch(r"[0-9]{1,4}(\.[0-9]+)?", text, re.ASCII) and float(text) > 0:
        return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0 and below 10000")


if __name__ == "__main__":
    sys.exit(main())
