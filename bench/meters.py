# SPDX-License-Identifier: Apache-2.0
"""What counts what a process does, whatever the machine's mood: Valgrind's callgrind its instructions and the statements it
sends, strace its system calls and what it writes to its store's log; and a server's own log.

`begin` and `end` are told the service; what is started is `command` of its command. `end` returns {figure: count} and
{figure: a Counter of its parts}."""

import collections
import pathlib
import re
import select
import signal
import subprocess
import time

from common import PATIENCE_S, Failed

STATEMENT_CALLS = ("sqlite3_step", "PQsendQueryPrepared", "PQsendQueryParams", "PQsendQuery", "PQsendPrepare")
SYNCS = ("fsync", "fdatasync", "sync_file_range")
CHANCE = ("futex", "sched_yield", "restart_syscall")  # depend on which thread is first, and on when strace came


class Callgrind:
    """Instructions of all threads, outside of the kernel; statements by the calls that send them or ask for a row."""

    def __init__(self, folder):
        self.folder, self.dumps = folder, 0
        folder.mkdir()

    def command(self, command):
        return ["valgrind", "--quiet", "--tool=callgrind", "--instr-atstart=no",
                f"--callgrind-out-file={self.folder}/out", *command]

    @staticmethod
    def tell(service, *words):
        done = subprocess.run(["vgdb", f"--pid={service.pid}", "--wait=10", *words], capture_output=True, text=True,
                              timeout=PATIENCE_S, check=False)
        if done.returncode:
            raise Failed(f"vgdb {' '.join(words)}: {done.stderr}")

    def started(self, service):
        """Once it has all its connections to a server, which take long to prove a password here, and before it is warmed
        up: code that is run for the first time is translated."""
        self.tell(service, "instrumentation", "on")

    def begin(self, service):
        self.tell(service, "zero")

    def end(self, service):
        self.tell(service, "dump")
        self.dumps += 1
        total, own, calls = read_callgrind(self.folder / f"out.{self.dumps}")
        statements = collections.Counter({name: calls[name] for name in STATEMENT_CALLS if calls[name]})
        return ({"instructions": total, "statements": sum(statements.values())},
                {"instructions": own, "statements": statements})


NAMED = re.compile(r"(c?fn|c?ob)=\((\d+)\)(?: (.*))?")


def read_callgrind(path):
    """The instructions in all, a Counter of each function's own, one of the calls of each. A function that has no name is
    its library's."""
    names, own, calls = {}, collections.Counter(), collections.Counter()
    total, function, called, library, skip = 0, None, None, "", False
    with open(path, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if named := NAMED.match(line):
                kind, number, name = named.groups()
                name = names.setdefault((kind[-2:], number), name)
                if kind == "ob":
                    library = pathlib.PurePath(name).name
                elif kind == "cfn":
                    called = name
                elif kind == "fn":
                    function = f"({library})" if name.startswith("0x") else re.sub(r"'\d+$", "", name)
            elif line.startswith("calls="):
                calls[called] += int(line[6:].split()[0])
                skip = True  # the line behind it is what the called one cost
            elif line[0].isdigit() or line[0] in "+-*":
                if not skip:
                    own[function] += int(line.split()[1])
                skip = False
            elif line.startswith("totals:"):
                total = int(line.split()[1])
    return total, own, calls


CALL = re.compile(r"(\d+) +(?:(\w+)\(|<\.\.\. (\w+) resumed>)")
TO_LOG = re.compile(r"pwrite64\(\d+<[^>]*-wal>")


class Strace:
    """System calls of all threads but those of CHANCE, those that make something durable, and the bytes written to a
    store's log."""

    def __init__(self, folder):
        self.folder, self.process, self.traces = folder, None, 0
        folder.mkdir()

    @staticmethod
    def command(command):
        return command

    def started(self, service):
        pass

    def begin(self, service):
        self.traces += 1
        self.process = subprocess.Popen(
            ["strace", "-f", "-y", "-s", "0", "-e", "signal=none", "-o", self.folder / f"out.{self.traces}",
             "-p", str(service.pid)],
            stderr=subprocess.PIPE)
        said, deadline = b"", time.monotonic() + PATIENCE_S
        while not all(is_traced(thread) for thread in pathlib.Path(f"/proc/{service.pid}/task").iterdir()):
            ready, _, _ = select.select([self.process.stderr], [], [], 0.01)
            said += self.process.stderr.read1() if ready else b""
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"strace did not attach: {said.decode()}")

    def end(self, service):
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=PATIENCE_S)
        calls, written = read_strace(self.folder / f"out.{self.traces}")
        figures = {"system calls": sum(calls.values())}
        if service.store["engine"] == "sqlite":
            figures |= {"syncs": sum(calls[name] for name in SYNCS), "log bytes": written}
        return figures, {"system calls": calls}


def is_traced(thread):
    return "\nTracerPid:\t0\n" not in (thread / "status").read_text()


def read_strace(path):
    """{system call: how often it was begun}, the bytes written to a log."""
    calls, written, to_log = collections.Counter(), 0, {}
    with open(path, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            call = CALL.match(line)
            if not call:
                continue
            thread, begun, _ = call.groups()
            if begun:
                calls.update([begun] if begun not in CHANCE else [])
                to_log[thread] = TO_LOG.search(line) is not None
            if to_log.get(thread) and "<unfinished" not in line:
                written += int(line.rpartition("= ")[2].split()[0])
                to_log[thread] = False
    return calls, written


class Log:
    """PostgreSQL's log of all that its databases wrote: what ends a transaction there was made durable. Whole pages are
    left out: there is one where a page is written for the first time since the last checkpoint, whenever that was."""

    def __init__(self, server):
        self.server, self.at = server, None
        server.sql("CREATE EXTENSION IF NOT EXISTS pg_walinspect")

    def begin(self, service):
        del service
        self.at = self.server.sql("SELECT pg_current_wal_flush_lsn()")

    def end(self, service):
        del service
        now = self.server.sql("SELECT pg_current_wal_flush_lsn()")
        rows = self.server.sql(
            "SELECT \"resource_manager/record_type\", count, record_size"
            f" FROM pg_get_wal_stats('{self.at}', '{now}', true) WHERE count > 0").splitlines() if now != self.at else []
        records, size = collections.Counter(), 0
        for name, number, record_bytes in (row.split("|") for row in rows):
            if not name.startswith(("XLOG", "Standby")):  # the server's own
                records[name] += int(number)
                size += int(record_bytes)
        return ({"commits": records["Transaction/COMMIT"], "log records": sum(records.values()), "log bytes": size},
                {"log records": records})
