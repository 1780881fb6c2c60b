# SPDX-License-Identifier: Apache-2.0
"""The three services of tests/simulate/deals as real processes, one of which is restored from a backup."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import sqlite3

from conftest import FREEHOLD, ROOT, System, open_folder, wait_for

BUILD = pathlib.Path(FREEHOLD).parent
SERVICES = ("desk", "left", "right")


class Deals:
    def __init__(self, programs):
        self.folder, self.number = open_folder(), 0
        shutil.copytree(ROOT / "tests" / "simulate" / "deals", self.folder / "deals",
                        ignore=shutil.ignore_patterns("*.c", "*.h"))
        file = self.folder / "deals" / "freehold.yaml"
        file.write_text(re.sub(r"(\w+): \{\}", lambda one: f"{one[1]}: {{ program: {programs(one[1])} }}",
                               file.read_text()))
        self.system = System(file, self.folder / "state").up()

    def close(self):
        self.system.stop(check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def rows(self, service, sql):
        with contextlib.closing(sqlite3.connect(self.store(service) / "store.db", timeout=120)) as store:
            return store.execute(sql).fetchall()

    def store(self, service):
        return self.folder / "state" / service

    def deal(self):
        """Deals until one is made on both sides, and returns its token; the desk may refuse at random. All sagas are
        over and closed then."""
        while True:
            self.number += 1
            answer = self.system.http("POST", "/deals", {"refused": False},
                                      {"Idempotency-Key": f"deal-{self.number}-{os.getpid()}"})
            assert answer.status == 202, answer
            token = answer.body["token"]
            wait_for("all sagas are over and closed", lambda: self.rows(
                "desk", "SELECT count(*) FROM fh_saga WHERE closed = 0") == [(0,)])
            if self.rows("desk", f"SELECT status FROM deal WHERE token = '{token}'") == [("DONE",)]:
                return token

    def back_up(self):
        self.system.command("backup", "--to", self.folder / "backup", "--state", self.system.state)

    def restore(self, service):
        self.system.command("restore", service, "--from", self.folder / "backup", "--yes", "--state", self.system.state)

    def report(self, service):
        done = self.system.command("restore-report", service, "--json", "--state", self.system.state, check=False)
        return json.loads(done.stdout)["services"][0] if done.returncode == 0 else None

    def told(self):
        """Every service's report, once all are notified and have acted on it."""
        def look():
            reports = {service: self.report(service) for service in SERVICES}
            done = all(report and not report["untold"] and not report["looking"] for report in reports.values())
            return reports if done else None
        return wait_for("all is told of the restore", look)
