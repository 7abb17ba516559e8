#!/bin/sh
# Makes .venv ready: finds a Python, creates the virtual environment, installs what requirements-dev.txt pins, and what
# these need in the versions of constraints.txt.
# Runs before anything is installed, so it is plain sh. Does nothing, quickly, when everything is in place.
set -eu
cd "$(dirname "$0")/.."

VENV=.venv
STAMP=$VENV/.installed
LOCK=.venv.lock

say() { printf '%s\n' "$*" >&2; }

# A candidate must really run: version managers leave shims of Pythons that are not there.
runs() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

CANDIDATES="python3.12 python3.11 python3.13 python3.14 python3 python"

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        if runs "$PYTHON"; then
            printf '%s' "$PYTHON"
            return 0
        fi
        say "PYTHON=$PYTHON is no Python 3.11 or newer ($(version_of "$PYTHON"))."
        return 1
    fi
    for candidate in $CANDIDATES; do
        if runs "$candidate"; then
            printf '%s' "$candidate"
            return 0
        fi
    done
    say "No Python 3.11 or newer runs here (python3: $(version_of python3); tried: $CANDIDATES)."
    say "Install one (apt-get install python3.11 python3.11-venv, dnf install python3.12, brew install python@3.12),"
    say "or name it: make demo PYTHON=/path/to/python3.12"
    return 1
}

version_of() {
    "$1" --version 2>/dev/null || printf 'does not run'
}

create_venv() {
    python=$(find_python)
    say "Creating $VENV with $("$python" --version) ..."
    rm -rf "$VENV"
    if "$python" -m venv "$VENV" >"$VENV.log" 2>&1; then
        return 0
    fi
    # Debian and Ubuntu ship Python without ensurepip.
    rm -rf "$VENV"
    if "$python" -m virtualenv -q "$VENV" >/dev/null 2>&1 || virtualenv -q -p "$python" "$VENV" >/dev/null 2>&1; then
        return 0
    fi
    rm -rf "$VENV"
    cat "$VENV.log" >&2
    say "Python can make no virtual environment. Install its venv module (apt-get install python3-venv)"
    say "or virtualenv (python3 -m pip install --user virtualenv), then try again."
    return 1
}

wanted() {
    # The Python and the pins: a change of either installs again.
    { "$VENV/bin/python" -VV; pwd; cat requirements*.txt constraints.txt; } | cksum
}

is_ready() {
    runs "$VENV/bin/python" && [ -f "$STAMP" ] && [ "$(cat "$STAMP")" = "$(wanted)" ]
}

# Two that begin at once would delete each other's half-made environment. A link is made in one step, with its maker's
# pid as its target; one whose maker is gone counts for nothing.
take_turn() {
    waited=
    until ln -s "$$" "$LOCK" 2>/dev/null; do
        holder=$(readlink "$LOCK") || holder=
        if [ -z "$holder" ]; then
            [ -w . ] || { say "$(pwd) cannot be written to; clone the project where it can."; exit 1; }
            sleep 1
        elif ! kill -0 "$holder" 2>/dev/null; then
            rm -f "$LOCK"
        else
            [ -n "$waited" ] || say "Another make (pid $holder) is preparing $VENV; waiting for it ..."
            waited=yes
            sleep 1
        fi
    done
    trap 'rm -f "$LOCK" "$VENV.log"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' HUP TERM
}

if is_ready; then
    exit 0
fi
take_turn
if is_ready; then
    exit 0
fi
# One without pip was interrupted while it was made.
if ! "$VENV/bin/python" -m pip --version >/dev/null 2>&1 || ! runs "$VENV/bin/python"; then
    create_venv
fi
say "Installing the packages that requirements-dev.txt pins (once, a minute or two) ..."
"$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
    -c constraints.txt -r requirements-dev.txt >&2 || {
    say "The packages could not be installed; see above. Behind a mirror, set PIP_INDEX_URL."
    exit 1
}
wanted >"$STAMP"
