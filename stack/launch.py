"""Executes a program that ends with its parent; a script that needs only the standard library.

It runs once per child and must start in a few milliseconds, so it imports nothing of the product.

1. On request, drop root for another user (PostgreSQL refuses to run as root), keeping only the
   capability to bypass file permissions. Without it, a project in a closed home such as /root would
   be unreachable, and the alternative is to open that home to everyone.
2. Set the signal that the kernel sends when the parent dies (Linux). The change of user would clear
   it, so it comes after.
3. If the parent died in between, do not start.
4. Exec.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import pwd
import sys

PR_SET_PDEATHSIG, PR_SET_KEEPCAPS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 1, 8, 47, 2
CAP_DAC_OVERRIDE = 1
LINUX_CAPABILITY_VERSION_3 = 0x20080522
CANNOT_EXECUTE = 126


class _CapabilityHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _CapabilityData(ctypes.Structure):
    _fields_ = [
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    ]


def main(arguments: list[str]) -> int:
    """Exec the command after `--`; returns only if that is impossible."""
    parser = argparse.ArgumentParser(
        prog="launch", description="Exec a command that ends with its parent."
    )
    parser.add_argument(
        "--parent", type=int, required=True, help="pid of the process that must stay alive"
    )
    parser.add_argument(
        "--death-signal", type=int, required=True, help="sent to the command when the parent dies"
    )
    parser.add_argument("--user", default="", help="drop root for this user")
    parser.add_argument("command", nargs="+")
    given = parser.parse_args(arguments)
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
    if given.user:
        _become(given.user, libc)
    if libc is not None:
        libc.prctl(PR_SET_PDEATHSIG, given.death_signal, 0, 0, 0)
    if os.getppid() != given.parent:
        return CANNOT_EXECUTE
    try:
        os.execvp(given.command[0], given.command)  # noqa: S606 - the command is the supervisor's, no shell wanted
    except OSError as error:
        print(f"cannot start {given.command[0]}: {error.strerror}", file=sys.stderr)
        return CANNOT_EXECUTE


def _become(user: str, libc: ctypes.CDLL | None) -> None:
    entry = pwd.getpwnam(user)
    if libc is not None:
        libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    if libc is not None:
        # CAP_DAC_OVERRIDE, and nothing else, survives exec. A container without it is no error:
        # its files may be readable anyway.
        bit = 1 << CAP_DAC_OVERRIDE
        header = _CapabilityHeader(LINUX_CAPABILITY_VERSION_3, 0)
        data = (_CapabilityData * 2)(_CapabilityData(bit, bit, bit), _CapabilityData(0, 0, 0))
        if libc.capset(ctypes.byref(header), ctypes.byref(data)) == 0:
            libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
