# SPDX-License-Identifier: Apache-2.0
"""Ports for what tests and benchmarks start.

A port that the kernel gives out (bind to 0) is one it also gives to connections that go out: between the
look and the listening, or while a system is stopped to be started again, another process may have it.
So ours lie below the kernel's range, and below those of `freehold up`'s private servers (15000 on).

Suites run side by side, and a port is free until somebody listens. So whoever is given one holds a lock on
it, a byte of a file that all share, until his process ends.
"""

import fcntl
import os
import random
import socket
import tempfile

FIRST, BEHIND = 4100, 15000
TRIES_MAX = 1000

_given = set()
_locks = None  # closing it would let all locks go


def _is_ours(port):
    """Whether nobody else has been given it, who lives."""
    global _locks  # pylint: disable=global-statement
    if _locks is None:
        path = os.path.join(tempfile.gettempdir(), f"freehold-ports-{os.getuid()}")
        _locks = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(_locks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return port not in _given


def free_port():
    """One on the loopback that nothing listens on, and that nobody else is given."""
    for _ in range(TRIES_MAX):
        port = random.SystemRandom().randrange(FIRST, BEHIND)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            if _is_ours(port):
                _given.add(port)
                return port
    raise OSError(f"no free port from {FIRST} to {BEHIND - 1}")
