# SPDX-License-Identifier: Apache-2.0
"""Ports for what tests and benchmarks start.

A port that the kernel gives out (bind to 0) is one it also gives to connections that go out: between the
look and the listening, or while a system is stopped to be started again, another process may have it.
So ours lie below the kernel's range, and below those of `freehold up`'s private servers (15000 on).
"""

import random
import socket

FIRST, BEHIND = 4100, 15000
TRIES_MAX = 1000


def free_port():
    """One on the loopback that nothing listens on."""
    for _ in range(TRIES_MAX):
        port = random.SystemRandom().randrange(FIRST, BEHIND)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError(f"no free port from {FIRST} to {BEHIND - 1}")
