# SPDX-License-Identifier: Apache-2.0
"""kill -9 of one service at random, while clients add rows under keys: every acknowledged row is there exactly once,
and whoever repeats a request under its key gets the original answer.

FREEHOLD_KILLS says how often (20 by default), FREEHOLD_SEED repeats a choice of moments."""

import collections
import http.client
import os
import pathlib
import random
import signal
import sys
import threading

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "scenario"))
from conftest import CONDITION_S_MAX, wait_for  # noqa: E402
from test_service import Service  # noqa: E402

KILLS = int(os.environ.get("FREEHOLD_KILLS", "20"))
SEED = int(os.environ.get("FREEHOLD_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)
CLIENTS = 16


class Clients:
    """Each adds row after row, repeating the request under the same key until it has an answer."""

    def __init__(self, users):
        self.users, self.answers, self.repeated, self.over = users, {}, 0, False
        self.alive = threading.Event()  # a process is there to answer
        self.failure = None
        self.threads = [threading.Thread(target=self.run, args=(n,)) for n in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def run(self, n):
        try:
            for i in range(1 << 30):
                if self.over:
                    return
                name = f"{n}-{i}"
                self.answers[name] = self.until_answered(name)
        except BaseException as failure:  # to be reported by the test's own thread
            self.failure = failure

    def until_answered(self, name):
        connection = self.users.connect()
        while True:
            self.alive.wait(CONDITION_S_MAX)
            try:
                answer = self.users.add(name, key=name, connection=connection)
            except (OSError, http.client.HTTPException):
                connection.close()
                connection = self.users.connect()
                self.repeated += 1
                continue
            connection.close()
            assert answer.status == 201, answer
            return answer.text

    def join(self):
        self.over = True
        for thread in self.threads:
            thread.join(CONDITION_S_MAX)
            assert not thread.is_alive(), "a client is kept waiting"
        if self.failure:
            raise self.failure


def test_kill_9_at_random_loses_no_acknowledged_row_and_adds_none_twice(tmp_path):
    print(f"FREEHOLD_SEED={SEED} FREEHOLD_KILLS={KILLS}")
    chance = random.Random(SEED)
    users = Service(tmp_path / "users").start()
    clients = Clients(users)
    clients.alive.set()
    try:
        for _ in range(KILLS):
            more = len(clients.answers) + chance.randrange(1, 200)
            wait_for("rows are acknowledged", lambda: clients.failure or len(clients.answers) >= more)
            clients.alive.clear()
            assert users.end(signal.SIGKILL) == -signal.SIGKILL
            users.start()
            clients.alive.set()
        acknowledged = len(clients.answers)
        wait_for("it goes on", lambda: clients.failure or len(clients.answers) > acknowledged)
        clients.join()
        for name, answer in clients.answers.items():
            assert users.add(name, key=name).text == answer, "the same key, the same answer"
        assert users.end() == 0, users.log.read_text()
    finally:
        clients.alive.set()
        clients.over = True
        if users.process.poll() is None:
            users.process.kill()
            users.process.wait()
    rows = collections.Counter(users.names())
    assert [name for name, count in rows.items() if count > 1] == [], "added twice"
    assert set(clients.answers) == set(rows), "every acknowledged row is there, and every row was acknowledged"
    print(f"{len(rows)} rows, {KILLS} kills, {clients.repeated} requests repeated")
