# SPDX-License-Identifier: Apache-2.0
"""The build folder, one at a time: Ninja and Meson refuse to be run in it twice, and suites share it."""

import contextlib
import fcntl
import os
import subprocess


@contextlib.contextmanager
def locked(build):
    """Nobody else configures or builds there meanwhile. Raises FileNotFoundError or NotADirectoryError without it."""
    folder = os.open(build, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)  # and with it the lock


def run(build, *targets):
    """The ended process, with all it said as text in `stdout`."""
    with locked(build):
        return run_locked(build, *targets)


def run_locked(build, *targets):
    return subprocess.run(["/usr/bin/ninja", "-C", build, "--quiet", *targets], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)


def make(build, *targets):
    """Raises AssertionError with what Ninja said, where they can't be built."""
    made = run(build, *targets)
    assert made.returncode == 0, f"ninja {' '.join(targets)} ended with {made.returncode}:\n{made.stdout}"
