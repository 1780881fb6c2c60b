# SPDX-License-Identifier: Apache-2.0
"""What one client's flood costs the others at the gateway: the time of a quiet client's requests, alone and beside it,
in turns."""

import socket
import subprocess
import time

from common import PATIENCE_S, Failed, show, times, title

ROUNDS = 6
REQUESTS_A_ROUND = 500
PAUSE_S = 0.004
QUIET = "127.0.0.3"
CONNECTIONS = 256
REQUEST = b"GET /orders/1 HTTP/1.1\r\nHost: localhost\r\n\r\n"
BAR = 1.25


def took_ms(gateway):
    """Of one quiet client's requests, each sent after a pause."""
    took = []
    with socket.create_connection(gateway.listener.getsockname(), PATIENCE_S, (QUIET, 0)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(REQUESTS_A_ROUND):
            time.sleep(PAUSE_S)
            began = time.perf_counter()
            connection.sendall(REQUEST)
            answer = connection.recv(65536)
            took.append((time.perf_counter() - began) * 1000)
            if not answer.startswith(b"HTTP/1.1 200"):
                raise Failed(f"the quiet client was answered {answer[:80]!r}")
    return took


def beside_flood_ms(gateway):
    seconds = int(REQUESTS_A_ROUND * PAUSE_S * 3) + 30
    flood = subprocess.Popen(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", gateway.url + "/orders/1"],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(1)  # its bucket is soon empty: a flood that lasts is what is measured
        return took_ms(gateway)
    finally:
        flood.kill()
        flood.wait()


def percentile(values, part):
    return sorted(values)[int(len(values) * part)]


def measure(gateway):
    """`gateway` counts clients of this machine, too, and is started."""
    alone, beside = [], []
    took_ms(gateway)
    for _ in range(ROUNDS):
        alone += took_ms(gateway)
        beside += beside_flood_ms(gateway)
    title("Fairness: one client's flood at the gateway, 256 connections that never pause, and another's requests")
    show("the other's median, alone", percentile(alone, 0.5), "ms")
    show("the other's median, beside the flood", percentile(beside, 0.5), "ms")
    show("the other's p99, alone", percentile(alone, 0.99), "ms")
    show("the other's p99, beside the flood", percentile(beside, 0.99), "ms",
         f"{times(percentile(beside, 0.99) / percentile(alone, 0.99))} alone (bar: {BAR})")
