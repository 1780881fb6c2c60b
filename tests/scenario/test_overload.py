# SPDX-License-Identifier: Apache-2.0
"""A service that is asked more than it can do, at its own door and through the gateway: who is shed, who is served all the same, and that nothing of it is left."""

import collections
import contextlib
import itertools
import json
import pathlib
import selectors
import socket
import threading

import hostile
import test_fairness
import test_service
from conftest import FREEHOLD, wait_for
from test_gateway import started  # pylint: disable=unused-import

PROGRAM = str(pathlib.Path(FREEHOLD).parent / "tests" / "faults" / "busy")
CONNECTIONS, FEW = 400, 200
SHED = "urn:freehold:problem:request-shed"
MEMORY_KIB_MAX = 64 << 10
BODY = json.dumps({"load": "x" * 2000}).encode()


class Busy(test_service.Service):
    """A hundred requests a second, 10 ms each."""

    def launch(self, with_control=False):
        self.more = {"service": "busy", "migrations": None}
        before, test_service.PROGRAM = test_service.PROGRAM, PROGRAM
        try:
            return super().launch(with_control)
        finally:
            test_service.PROGRAM = before

    def metric(self, name):
        return sum(float(line.rsplit(" ", 1)[1]) for line in self.ask("GET", "/metrics").text.splitlines()
                   if line.startswith(name))

    def dirty_kib(self):
        text = pathlib.Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return int(text.split("Private_Dirty:")[1].split()[0])


class Flood:
    """On each of many connections one command after the other, each with a key of its own, until it is over."""

    def __init__(self, port, connections):
        self.port, self.over = port, threading.Event()
        self.statuses, self.refusals, self.refused_keys = collections.Counter(), [], []
        self.threads = [threading.Thread(target=self.ask_on, args=(number,)) for number in range(connections)]

    def ask_on(self, number):
        with socket.create_connection(("127.0.0.1", self.port), 60) as connection:
            for each in itertools.takewhile(lambda _: not self.over.is_set(), itertools.count()):
                key = f"{number}-{each}"
                connection.sendall(hostile.raw("POST", "/busy", (hostile.JSON_TYPE, ("Idempotency-Key", key)), BODY))
                answer = hostile.read_reply(connection)
                self.statuses[answer.status] += 1
                if answer.status == 503:
                    self.refusals.append(answer)
                    self.refused_keys.append(key)
                    self.over.wait(0.05)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()


def expect_shed_well(flood):
    assert set(flood.statuses) == {200, 503}, flood.statuses
    assert {answer.problem()["type"] for answer in flood.refusals} == {SHED}
    assert {answer.headers["retry-after"] for answer in flood.refusals} <= {"1", "2", "3"}
    assert not any(name.startswith("freehold-") for answer in flood.refusals for name in answer.headers)


def test_a_service_sheds_clients_and_serves_the_system(tmp_path):
    busy = Busy(tmp_path / "store").start()
    orders = "orders/01a1f853-4495-7ae3-9b52-9c8a6c0008a5"
    before_kib = busy.dirty_kib()
    with Flood(busy.port, CONNECTIONS) as flood:
        wait_for("it sheds", lambda: len(flood.refusals) > 200)
        for number in range(1, 6):
            assert busy.ask("GET", "/livez").status == busy.ask("GET", "/readyz").status == 200
            operator = busy.ask("GET", "/_freehold/state", headers={"Freehold-From": "operator"})
            assert operator.status == 200
            assert busy.ask("GET", "/busy", headers={"Freehold-From": "operator"}).status == 200
            answer = busy.ask("POST", "/busy", {"load": "x"},
                              {"Freehold-From": orders, "Freehold-To": json.loads(operator.text)["incarnation"],
                               "Idempotency-Key": f"{orders}.{number}/reserve/0"})
            assert answer.status == 200 and answer.headers["freehold-outcome"] == "done", answer
            # Another service's GET takes turns with the flood.
            assert busy.ask("GET", "/busy", headers={"Freehold-From": "carts"}).status == 200
        done = flood.statuses[200]
        wait_for("it goes on with as many as it can", lambda: flood.statuses[200] > done + 50)
    expect_shed_well(flood)
    assert busy.dirty_kib() < before_kib + MEMORY_KIB_MAX
    shed = busy.metric("freehold_requests_shed_total")
    assert shed == len(flood.refusals)
    assert busy.metric('freehold_requests_shed_total{lane="clients"}') == shed
    with contextlib.closing(busy.connect()) as connection:
        for _ in range(20):
            assert busy.ask("GET", "/busy", connection=connection).status == 200
    assert busy.metric("freehold_requests_waiting") == 0
    wait_for("it is over", lambda: "[overload-ended]" in busy.log.read_text())
    assert busy.log.read_text().count("[overload-begun]") == 1
    assert busy.end() == 0


def test_a_shed_command_has_done_nothing_and_may_be_repeated(tmp_path):
    busy = Busy(tmp_path / "store").start()
    with Flood(busy.port, CONNECTIONS) as flood:
        wait_for("it sheds", lambda: len(flood.refusals) > 50)
    assert busy.metric("freehold_works_committed_total") == flood.statuses[200]
    for key in flood.refused_keys[:3]:
        answer = busy.ask("POST", "/busy", json.loads(BODY), {"Idempotency-Key": key})
        assert answer.status == 200
    assert busy.metric("freehold_works_committed_total") == flood.statuses[200] + 3
    assert busy.end() == 0


def test_clients_that_wait_for_their_answers_are_not_shed(tmp_path):
    busy = Busy(tmp_path / "store").start()
    with Flood(busy.port, FEW) as flood:
        wait_for("each was answered twice", lambda: flood.statuses.total() > 2 * FEW)
    assert set(flood.statuses) == {200}
    assert "[overload-begun]" not in busy.log.read_text()
    assert busy.end() == 0


# ---- Through the gateway -----------------------------------------------------------------------------

class Asking:
    """One client on many connections: on each it asks again as soon as it is answered."""

    def __init__(self, gateway, address, connections):
        self.gateway, self.address, self.connections = gateway, address, connections
        self.over, self.statuses, self.refusal = threading.Event(), collections.Counter(), None
        self.thread = threading.Thread(target=self.ask_on)

    def ask_on(self):
        request = hostile.raw("GET", "/api/pages")
        with contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
            for _ in range(self.connections):
                connection = stack.enter_context(test_fairness.connect(self.gateway, self.address))
                connection.sendall(request)
                selector.register(connection, selectors.EVENT_READ)
            while not self.over.is_set():
                for key, _ in selector.select(0.1):
                    answer = hostile.read_reply(key.fileobj)
                    self.statuses[answer.status] += 1
                    if answer.status == 503:
                        self.refusal = answer
                    key.fileobj.sendall(request)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


def test_at_the_gateway_one_clients_flood_sheds_its_own_requests(started):
    service = test_fairness.Pages(page=10, page_s=0.002)
    gateway = test_fairness.serve(started, service)
    with Asking(gateway, test_fairness.HOSTILE, 1000) as flood:
        wait_for("it sheds", lambda: flood.statuses[503] > 100)
        for number in range(20):
            assert test_fairness.ask(gateway, f"/api/users/{number}").status == 200
        made = service.made
        wait_for("the service goes on meanwhile", lambda: service.made > made + 100)
    assert set(flood.statuses) == {200, 503}
    assert flood.refusal.problem()["type"] == SHED and flood.refusal.headers["retry-after"] in ("1", "2", "3")
    assert test_fairness.metric(gateway, "freehold_gateway_requests_shed_total") >= flood.statuses[503]
    wait_for("it is over", lambda: test_fairness.logged(gateway, "[overload-ended]"))
    assert len(test_fairness.logged(gateway, "[overload-begun]")) == 1
    assert test_fairness.ask(gateway, "/api/pages").status == 200


def test_at_the_gateway_clients_take_turns_at_a_routes_places(started):
    """Sixteen clients, each counted, want more than a route has. Another has its turn all the same, on that route, too."""
    service = test_fairness.Pages(page=10, page_s=0.002)
    gateway = test_fairness.serve(started, service, {"address": {"requests": 0}, "route_in_flight": 16})
    with contextlib.ExitStack() as stack:
        floods = [stack.enter_context(Asking(gateway, f"127.0.2.{number}", 40)) for number in range(16)]
        wait_for("all are answered", lambda: all(flood.statuses.total() > 40 for flood in floods))
        for _ in range(20):
            assert test_fairness.ask(gateway, "/api/pages").status == 200
