# SPDX-License-Identifier: Apache-2.0
"""What a command shows on a terminal of so many columns."""

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios

from conftest import FREEHOLD


def on_terminal(words, folder=None, columns=80):
    """Its lines, without colours."""
    terminal, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 60, columns, 0, 0))
    with subprocess.Popen([FREEHOLD, *words], stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, cwd=folder,
                          env={**os.environ, "TERM": "xterm"}) as asked:
        os.close(theirs)
        drawn = b""
        with contextlib.suppress(OSError):  # what a terminal returns whose other end is closed
            while some := os.read(terminal, 65536):
                drawn += some
        os.close(terminal)
        asked.wait(120)
    return [re.sub(r"\033\[[\d;]*m", "", line) for line in drawn.decode().split("\r\n")]


def assert_fits(lines, columns=80):
    wide = [line for line in lines if len(line) > columns]
    assert not wide, "\n".join(wide)
