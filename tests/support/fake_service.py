#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A service that only obeys docs/internals/processes.md, for testing what starts and watches services.

NAME is what the program is called. What it describes and does wrong is its last line, "# BEHAVIOUR {...}", which
tests add to their copies of it: as a service it may see no other file.

    {"description": {...},   what --describe prints, "name" filled in
     "exit": 78,             ends at once with this code, saying `says` on standard error
     "never_ready": true,    starts and never serves
     "works": ["7 orders"],  reports this progress first
     "slow_stop_ms": 100,    takes so long to drain
     "state": {...},         what it also reports of itself
     "refuses": ["orders"],  services to which its circuit breakers are open
     "spins_ms": 7000,       computes for so long once it is ready, and writes the file `spun`
     "answers": {"/x": {}},  what it answers at these paths
     "landlock": 0}          answers as if its kernel had none, and everything were open
"""

import http.server
import json
import os
import select
import signal
import socket
import sys
import threading
import time

NAME = os.path.basename(sys.argv[0])


def behaviour():
    with open(sys.argv[0], encoding="utf-8") as file:
        last = file.read().splitlines()[-1]
    return json.loads(last.removeprefix("# BEHAVIOUR ")) if last.startswith("# BEHAVIOUR ") else {}


def describe():
    description = {"freehold": 1, "name": NAME, "model": "document", "routes": []}
    description.update(behaviour().get("description", {}))
    print(json.dumps(description))


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers what `up` and `status` look at, and echoes everything else to the caller."""

    protocol_version = "HTTP/1.1"

    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length).decode()
        status = 200
        if self.path == "/_freehold/state":
            value = {"service": NAME, "incarnation": "i", "position": 7, "subscriptions": [],
                     "sagas": {"running": 0, "parked": 0}, **behaviour().get("state", {})}
        elif self.path == "/metrics":
            self.send_text("".join(f'freehold_call_breaker{{service="{name}"}} 2\n'
                                   for name in behaviour().get("refuses", ())))
            return
        elif self.path == "/_freehold/prove":
            abi = behaviour().get("landlock", 7)
            result = "EACCES" if abi else "open"
            value = {"service": NAME, "landlock": {"abi": abi, "confined": abi > 0},
                     "tried": [{"path": path, "read": result, "write": result}
                               for path in json.loads(body)["paths"]]}
        elif self.path in behaviour().get("answers", {}):
            value = behaviour()["answers"][self.path]
        elif self.path == "/missing":
            status, value = 404, {"status": 404, "title": "Not Found"}
        else:
            value = {"service": NAME, "pid": os.getpid(), "method": self.command,
                     "path": self.path, "body": body,
                     "key": self.headers.get("Idempotency-Key"),
                     "from": self.headers.get("Freehold-From")}
        self.send_text(json.dumps(value), status)

    def send_text(self, text, status=200):
        text = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer


def spin(ms, control, told):
    until = time.monotonic() + ms / 1000
    while time.monotonic() < until:
        pass
    os.write(control, b"beat\n")
    with open(told, "w", encoding="utf-8"):
        pass


def serve(config, acts):
    listener = socket.socket(fileno=config["listen_fd"])
    listener.setblocking(True)
    server = http.server.ThreadingHTTPServer(("", 0), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stop_read, stop_write = os.pipe()
    signal.signal(signal.SIGTERM, lambda *_: os.write(stop_write, b"x"))
    control = config["control_fd"]
    for work in acts.get("works", ()):
        os.write(control, f"working {work}\n".encode())
    if not acts.get("never_ready"):
        os.write(control, b"ready\n")
    if "spins_ms" in acts:
        spin(acts["spins_ms"], control, os.path.join(config["folder"], "spun"))
    while True:
        ready, _, _ = select.select([control, stop_read], [], [], 1.0)
        if ready:
            break
        if not acts.get("never_ready"):
            os.write(control, b"beat\n")
    time.sleep(acts.get("slow_stop_ms", 0) / 1000)
    with open(os.path.join(config["folder"], "ends"), "a", encoding="utf-8") as ends:
        ends.write(NAME + "\n")
    os._exit(0)


def main():
    if sys.argv[1] == "--describe":
        describe()
        return 0
    with open(sys.argv[2], encoding="utf-8") as file:
        config = json.load(file)
    acts = behaviour()
    if "says" in acts:
        print(acts["says"], file=sys.stderr, flush=True)
    if "exit" in acts:
        return acts["exit"]
    serve(config, acts)
    return 0


sys.exit(main())
