# SPDX-License-Identifier: Apache-2.0
"""What one client's flood costs the others at the gateway: the time of a quiet client's requests, alone and beside it,
in turns."""

import re
import socket
import subprocess
import time
import urllib.error
import urllib.request

from common import PATIENCE_S, Failed, show, times, title

ROUNDS = 6
REQUESTS_A_ROUND = 500
PAUSE_S = 0.004
QUIET = "127.0.0.3"
CONNECTIONS = 256
FLOODS = {"kept": [], "new": ["-H", "Connection: close"]}
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


def wait_until_limited(gateway):
    """A flood that lasts is what is measured: it has spent what it may have at once. `gateway` tells whoever asks from
    the flood's address what is left."""
    ends = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends:
        try:
            with urllib.request.urlopen(gateway.url + "/orders/1", timeout=PATIENCE_S) as answer:
                if re.search(r";r=\d;", answer.headers["RateLimit"]):
                    return
        except urllib.error.HTTPError:
            return
    raise Failed("the flood did not reach its limit in time")


def beside_flood_ms(gateway, arguments):
    seconds = int(REQUESTS_A_ROUND * PAUSE_S * 3) + 30
    flood = subprocess.Popen(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", *arguments, gateway.url + "/orders/1"],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until_limited(gateway)
        return took_ms(gateway)
    finally:
        flood.kill()
        flood.wait()


def percentile(values, part):
    return sorted(values)[int(len(values) * part)]


def measure(gateway):
    """`gateway` counts clients of this machine, too, and is started."""
    alone, beside = [], {kind: [] for kind in FLOODS}
    took_ms(gateway)
    for _ in range(ROUNDS):
        alone += took_ms(gateway)
        for kind, arguments in FLOODS.items():
            beside[kind] += beside_flood_ms(gateway, arguments)
    title("Fairness: one client's flood at the gateway, 256 at a time without a pause, and another's requests")
    for part, name in ((0.5, "median"), (0.99, "p99")):
        base = percentile(alone, part)
        show(f"the other's {name}, alone", base * 1000, "us")
        for kind, took in beside.items():
            show(f"beside a flood on {kind} connections", percentile(took, part) * 1000, "us",
                 f"{times(percentile(took, part) / base)} alone" + (f" (bar: {BAR})" if part > 0.5 else ""))
