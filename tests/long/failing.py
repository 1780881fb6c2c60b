# SPDX-License-Identifier: Apache-2.0
"""Fails each call for memory, or for files, of every case of the unit and conformance tests in turn (fail.c).

A case runs alone, once to count its calls and to note each call's stack, then once for each call. Calls of the tests'
own code and of what runs without any frame of ours are left out. What comes first: one call of each place in the
sources, then one of each four innermost functions, then one of each stack, then all others; in each round in an order
drawn by the seed. So a part of the time is a fair sample, and the whole is every call.

How a run may end (docs/internals/long-tests.md): the case passes; the case fails; the process ends itself by an
assertion next to the failed call; files: only the former two. It must not end by another signal, nor by an assertion
elsewhere, nor without a word, nor never (but where the test itself waits for what the failure has prevented); and
stores that it leaves must be sound."""

import array
import collections
import concurrent.futures
import contextlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

from symbols import ROOT, Report, Symbols, is_product, shown

COUNTING_PART_MAX = 0.25  # of the time
HANG_S_MIN, HANG_TIMES = 15, 20
WORKERS = 2 * (os.cpu_count() or 1)  # many wait
ASSERTION = re.compile(r"freehold: broken invariant, ending: (.*) \((?:\.\./)*(\S+?):(\d+)\)")
# Libraries that end the process themselves, by their documentation: libuv where it watches a descriptor more,
# libmongoc at any allocation.
ENDING = {"memory": re.compile(r"Failure to allocate memory in bson_|libuv\.so")}
ENV = {"CMOCKA_MESSAGE_OUTPUT": "TAP"}
# Libraries that read what they did not get: it is theirs to mend.
CRASHING = re.compile(r"lib(gnutls|tasn1)\.so")
# Likewise, where it was a call of their own that failed: else what they read may be ours.
CRASHING_BY_THEMSELVES = re.compile(r"/(lib(?:sasl2|crypto|ssl|nats))\.so")
# OpenSSL makes its default context when a process first needs it, and where memory lacks for that, goes by the lock that
# the context would have: in RAND_get0_primary, as libpq asks for random bytes while it logs in.
CONTEXTLESS = ("libcrypto.so.3:OSSL_LIB_CTX_get0_global_default",  # in which the call failed, or with --after before it
               ["libcrypto.so.3:CRYPTO_THREAD_read_lock", "libcrypto.so.3:", "libcrypto.so.3:RAND_get0_primary"])
SHOWN_LINES = 12
ASSERTING_DEPTH = 6  # an assertion on what a call has returned is in its caller, or where that puts it
# Stores that are damaged on purpose, by program and case.
DAMAGING = re.compile(r"/((sqlite_checksum|store_start)_test .*|sqlite_filter_test damage_elsewhere_does_not_matter)$")

Case = collections.namedtuple("Case", "program name")
Call = collections.namedtuple("Call", "case number owner")
Fault = collections.namedtuple("Fault", "key text")


def tests_of(build):
    listed = subprocess.run(["/usr/bin/meson", "introspect", "--tests", str(build)], check=True, capture_output=True,
                            text=True, cwd=ROOT)
    return [test for test in json.loads(listed.stdout) if "CMOCKA_MESSAGE_OUTPUT" in test["env"]]


def programs_of(build, suites):
    """Those that are run by cmocka."""
    return sorted({test["cmd"][0] for test in tests_of(build)
                   if suites & {name.split(":")[-1] for name in test["suite"]}})


class Beside:
    """Who runs beside whom: many programs at once, but one that may kill a server that others use, alone."""

    def __init__(self, build):
        self.alone = {test["cmd"][0] for test in tests_of(build) if not test["is_parallel"]}
        self.changed, self.running, self.waiting = threading.Condition(), 0, 0

    @contextlib.contextmanager
    def others(self, program):
        alone = program in self.alone
        with self.changed:
            self.waiting += alone  # those that come later wait for it
            self.changed.wait_for(lambda: self.running == 0 if alone else self.running >= 0 and not self.waiting)
            self.waiting -= alone
            self.running = -1 if alone else self.running + 1
        try:
            yield
        finally:
            with self.changed:
                self.running = 0 if alone else self.running - 1
                self.changed.notify_all()


class Ran:
    """One run of a case, in a folder of its own."""

    def __init__(self, failing, case, number, after=False, trace=False, limit=HANG_S_MIN):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="fh-", dir=failing.scratch))
        self.folder.chmod(0o711)
        self.case, self.number = case, number
        report, traced = self.folder / "report", self.folder / "trace"
        environment = {**os.environ, **ENV, "TMPDIR": str(self.folder), "LD_PRELOAD": failing.library,
                       "FAIL_WHAT": failing.what, "FAIL_AT": str(number), "FAIL_AFTER": "all" if after else "",
                       "FAIL_REPORT": str(report), "FAIL_CASE": case.name, "FAIL_TRACE": str(traced) if trace else ""}
        began = time.monotonic()
        process = subprocess.Popen([case.program], env=environment, cwd=ROOT, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0)
        self.hung = False
        try:
            output, errors = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            self.hung = process.poll() is None  # else what it has started holds its output
            process.send_signal(signal.SIGQUIT)  # its stack, please
            try:
                output, errors = process.communicate(timeout=5)
            except subprocess.TimeoutExpired:
                output, errors = b"", b""
        try:
            os.killpg(process.pid, signal.SIGKILL)  # and what it started
        except ProcessLookupError:
            pass
        if process.returncode is None:
            output, errors = process.communicate()
        self.code, self.seconds = process.returncode, time.monotonic() - began
        self.output, self.errors = output.decode(errors="replace"), errors.decode(errors="replace")
        self.report = Report(report)
        self.trace = array.array("I")
        if trace and traced.exists():
            with traced.open("rb") as file:
                count = int.from_bytes(file.read(4), sys.byteorder)
                self.trace.frombytes(file.read(4 * count))

    def stores(self):
        return [path for path in self.folder.rglob("*.db") if path.is_file() and path.stat().st_size]

    def forget(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def innermost(places):
    return next((place for place in places if not re.search(r"/(libfail|libc)\.so", place)), "")


def side_by_side(function, items, ends):
    """What it returns of each item, whichever is ready first; of none that has not begun by `ends`. There may be millions,
    so only a few are handed to threads ahead of time."""
    running = set()
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        for item in items:
            if time.monotonic() > ends:
                break
            running.add(pool.submit(function, item))
            if len(running) > WORKERS:
                ready, running = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
                yield from (one.result() for one in ready)
        yield from (one.result() for one in concurrent.futures.as_completed(running))


class Failing:
    def __init__(self, build, what, options, tell):
        self.build, self.what, self.options, self.tell = build, what, options, tell
        self.library = str(build / "tests" / "long" / "libfail.so")
        self.sound = str(build / "tests" / "long" / "sound")
        self.symbols, self.beside = Symbols(build), Beside(build)
        self.random = random.Random(f"{options.seed} {what}")
        self.counts, self.faults = collections.Counter(), collections.OrderedDict()
        self.base = {}
        self.lock = threading.Lock()
        self.scratch = tempfile.mkdtemp(prefix="fhl", dir="/tmp")
        os.chmod(self.scratch, 0o711)
        self.done_file = options.state / f"{what}.done"
        self.done = set()

    # ---- Which calls there are ----

    def programs(self):
        return [one for one in programs_of(self.build, {"unit", "conformance"}) if self.options.only in one]

    def cases(self, program):
        listed = subprocess.run([program], capture_output=True, text=True, cwd=ROOT, stdin=subprocess.DEVNULL,
                                env={**os.environ, **ENV, "LD_PRELOAD": self.library, "FAIL_WHAT": self.what,
                                     "FAIL_CASE": "?"}, check=False)
        return [Case(program, name) for name in listed.stdout.splitlines()
                if not name.startswith("1..") and self.options.case in name]

    def count(self, case):
        """The calls of a case that are to fail; none where the case does not pass as it is."""
        with self.beside.others(case.program):
            ran = Ran(self, case, 0, trace=True, limit=300)
        try:
            if "# SKIP" in ran.output:
                self.add("cases skipped here")
                return []
            if ran.code != 0 or not re.search(r"^ok 1 ", ran.output, re.M):
                self.add("cases that do not pass while they are counted")
                return []
            self.base[case] = ran.seconds
            self.symbols.learn([place for stack in ran.report.stacks.values() for place in stack])
            owners = {stack: self.symbols.owner(places) for stack, places in ran.report.stacks.items()}
            near = {stack: tuple(f[:2] for f in self.symbols.own(places)[:4]) for stack, places in ran.report.stacks.items()}
            self.add("cases")
            self.add("calls in all", len(ran.trace))
            return [(Call(case, i + 1, owners[stack]), near[stack], stack) for i, stack in enumerate(ran.trace)
                    if is_product(owners.get(stack))]
        finally:
            ran.forget()

    def plan(self, deadline):
        """The calls, in the order in which they are tried."""
        programs = self.programs()
        self.random.shuffle(programs)
        cases = [case for program in programs for case in self.cases(program)]
        self.random.shuffle(cases)
        found, left_out = [], 0
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            for some in pool.map(lambda case: self.count(case) if time.monotonic() < deadline else None, cases):
                left_out += some is None
                found += some or []
        if left_out:
            self.add("cases for which there was no time", left_out)
        self.add("calls to fail", len(found))
        self.random.shuffle(found)
        seen, rounds = [set(), set(), set()], [[], [], [], []]
        for call, near, stack in found:
            keys = (call.owner, near, (call.case, stack))
            place = next((i for i, key in enumerate(keys) if key not in seen[i]), 3)
            for i, key in enumerate(keys):
                seen[i].add(key)
            rounds[place].append(call)
        for name, some in zip(("places in the sources", "of further innermost four", "of further stacks", "of others"), rounds):
            self.tell(f"  {len(some):9} calls {name}")
        return [call for some in rounds for call in some]

    # ---- Trying them ----

    def run(self, seconds):
        began = time.monotonic()
        ends = began + seconds
        calls = self.plan(began + seconds * COUNTING_PART_MAX)
        if self.done_file.exists():
            self.done = set(self.done_file.read_text().splitlines())
        left = [call for call in calls if self.name(call) not in self.done]
        self.tell(f"  {len(left)} calls to fail, {len(calls) - len(left)} were before; counted in {time.monotonic() - began:.0f} s")
        started, told, tried = time.monotonic(), time.monotonic(), 0
        with self.done_file.open("a") as done:
            for call in side_by_side(self.attempt, left, ends):
                tried += 1
                done.write(self.name(call) + "\n")
                if time.monotonic() - told > 30:
                    told = time.monotonic()
                    rate = tried / (told - started)
                    self.tell(f"  {tried} of {len(left)} tried, {rate:.1f}/s, {len(self.faults)} faults; "
                              f"all others would take {(len(left) - tried) / rate / 3600:.1f} h")
        self.add("calls failed", tried)
        self.add("calls left for another time", len(left) - tried)
        shutil.rmtree(self.scratch, ignore_errors=True)

    def name(self, call):
        return f"{os.path.relpath(call.case.program, self.build)}\t{call.case.name}\t{call.number}"

    def attempt(self, call):
        limit = max(HANG_S_MIN, HANG_TIMES * self.base[call.case])
        with self.beside.others(call.case.program):
            ran = Ran(self, call.case, call.number, after=self.options.after, limit=limit)
        try:
            self.judge(call, ran)
        finally:
            ran.forget()
        return call

    def judge(self, call, ran):
        if not ran.report.failed:
            return self.add("not come to this time")
        owner = self.symbols.owner(ran.report.failed[1])
        if not is_product(owner):
            return self.add("not of the product this time")
        ending, key = self.ending(ran)
        if key:
            self.fault(key, call.case, call.number, ending, ran)
        elif ran.report.reported or ran.report.died or ran.code:
            self.look_at_stores(call, ran)
        return self.add(ending if not key else "faults")

    def ending(self, ran):
        """How it ended, in words, and what identifies it where that is a fault."""
        report = ran.report
        places = report.died[1] if report.died else []
        near = next((frame for frame in self.symbols.own(places) if frame.function != "error_assertion_failed"), None)
        if ran.hung and near and near.file.startswith("tests/"):
            return "the test waits for what does not come any more", None
        if ran.hung:
            failed = self.symbols.owner(report.failed[1])
            return f"it hangs: {shown(near)}", f"hangs {failed.function} {failed.file}"
        if report.reported:
            return "told by the test", None
        if report.died:
            return self.ending_by_signal(ran, report.died[0], near)
        if ran.code < 0:  # and a handler of the program's own came first
            if -ran.code == signal.SIGABRT and self.what == "memory" and ASSERTION.search(ran.errors):
                return "ended by an assertion", None
            return f"{signal.Signals(-ran.code).name}", f"{-ran.code} {self.symbols.owner(report.failed[1])}"
        if ran.code == 0:
            return "survived", None
        if re.search(r"^not ok", ran.output, re.M):
            return "told by the test", None
        if not ran.errors.strip():
            return f"it ends with {ran.code} without a word", f"silent {self.symbols.owner(report.failed[1])}"
        return "ended with a message", None

    def ending_by_signal(self, ran, number, near):
        if near and near.file.startswith("tests/"):
            return "ended in the test's own code", None
        asserted = ASSERTION.search(ran.errors)
        if number == signal.SIGABRT and self.what == "memory":  # some tests close what it would be told on
            went_through = {frame.function for frame in self.symbols.own(ran.report.failed[1])}
            died_in = [frame for frame in self.symbols.own(ran.report.died[1]) if frame.function != "error_assertion_failed"]
            if any(frame.function in went_through for frame in died_in[:ASSERTING_DEPTH]):
                return "ended by an assertion on this memory", None
        if asserted:
            return f"an assertion: {asserted[0]}", f"assertion {asserted[1]} {asserted[2]}"
        ends = ENDING.get(self.what)
        if ends and ends.search(ran.errors + " ".join(ran.report.died[1][:4])) and number == signal.SIGABRT:
            return "ended by a library that says it does so", None
        inner = innermost(ran.report.died[1])
        if self.what == "memory" and CRASHING.search(inner):
            return "crashed inside GnuTLS", None
        if self.what == "memory" and number == signal.SIGSEGV and self.lacks_context(ran.report):
            return "crashed inside OpenSSL, which could not make its context", None
        itself = CRASHING_BY_THEMSELVES.search(inner) if self.what == "memory" and number == signal.SIGSEGV else None
        if itself and itself[1] in innermost(ran.report.failed[1]):
            return f"crashed inside {itself[1]}, after a call of its own failed", None
        return f"{signal.Signals(number).name} in {shown(near)}", f"{number} {near and near[:2]}"

    def lacks_context(self, report):
        failed, crashed = CONTEXTLESS
        died = [name for name in map(self.symbols.exported, report.died[1]) if name.startswith("libcrypto")]
        made = self.options.after or failed in map(self.symbols.exported, report.failed[1])  # else it may fail later
        return made and died[:len(crashed)] == crashed

    def look_at_stores(self, call, ran):
        for store in ran.stores() if not DAMAGING.search(f"{call.case.program} {call.case.name}") else ():
            looked = subprocess.run([self.sound, str(store)], capture_output=True, text=True, check=False, timeout=120)
            self.add("stores looked at")
            if looked.returncode:
                self.fault(f"store {self.symbols.owner(ran.report.failed[1])}", call.case, call.number,
                           f"a store it leaves is not sound: {looked.stdout}{looked.stderr}".strip(), ran)

    # ---- What is told ----

    def add(self, what, number=1):
        with self.lock:
            self.counts[what] += number

    def fault(self, key, case, number, text, ran):
        with self.lock:
            known = self.faults.setdefault(key, [])
            known.append((case, number))
            if len(known) > 1:
                return
        failed, places = ran.report.failed or ("", [])
        lines = [f"FAULT: {text}", f"  case: {os.path.relpath(case.program, self.build)}: {case.name}", f"  failed: {failed}"]
        lines += [f"    {shown(frame)}" for frame in self.symbols.own(places)[:SHOWN_LINES]]
        if ran.report.died:
            lines.append(f"  ended by signal {ran.report.died[0]}:")
            lines += [f"    {shown(frame)}" for frame in self.symbols.own(ran.report.died[1])[:SHOWN_LINES]]
        lines += ["  said: " + line for line in ran.errors.strip().splitlines()[-3:]]
        lines.append(f"  again: LD_PRELOAD={self.library} FAIL_WHAT={self.what} FAIL_AT={number} FAIL_CASE='{case.name}' "
                     f"{case.program}")
        self.tell("\n".join(lines))
