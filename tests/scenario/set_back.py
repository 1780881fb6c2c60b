# SPDX-License-Identifier: Apache-2.0
"""A private server whose place is taken by a replica that lacks the last commits: its files as they were at one moment."""

import contextlib
import os
import pathlib
import shutil
import signal

from conftest import wait_for
from test_servers import is_over, keepers, ready_again, server_pid


def descendants(pid):
    """And itself."""
    found = [pid]
    for one in found:
        with contextlib.suppress(FileNotFoundError):
            for task in pathlib.Path(f"/proc/{one}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
    return found


@contextlib.contextmanager
def stopped(pids):
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


class Replica:
    """Of the server of that name, as of now."""

    def __init__(self, system, name, folder):
        self.system, self.name, self.copy = system, name, folder / f"{name}.replica"
        self.data = pathlib.Path(system.state, ".servers", name, "data")
        with stopped(descendants(self.server())):
            shutil.copytree(self.data, self.copy, ignore=lambda _, names: [one for one in names if one.endswith(".pid")])

    def server(self):
        return server_pid(keepers(self.system)[self.name]["pid"])

    def take_over(self):
        """`up` starts what it finds there."""
        keeper = keepers(self.system)[self.name]["pid"]
        server = descendants(self.server())
        parent = int(pathlib.Path(f"/proc/{keeper}/stat").read_text().rsplit(")", 1)[1].split()[1])
        with stopped([parent]):
            for pid in server:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            wait_for("the server is gone", lambda: all(is_over(pid) for pid in [keeper, *server]))
            owner = self.data.stat()
            shutil.rmtree(self.data)
            self.copy.rename(self.data)
            for one in [self.data, *self.data.rglob("*")]:
                os.chown(one, owner.st_uid, owner.st_gid, follow_symlinks=False)
        ready_again(self.system, self.name, keeper)
