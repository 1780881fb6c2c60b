# SPDX-License-Identifier: Apache-2.0
"""A service that is asked ten times what it can do, at its own door and through the gateway: by requests at a fixed rate,
whether they are answered or not, from the other core. Each request takes the service 1 ms of its core's time."""

import contextlib
import os
import pathlib
import subprocess
import threading
import time

import bars
from common import PATIENCE_S, Failed, Gateway, Service, load, processor_s, show, times, title

TIMES = 10
CONNECTIONS = 4000
DEADLINE_MS = 1000
SLOT_MS = 100
CALM = 0.5  # of the top rate, before and after
CALM_MS = 3000
BODY = 200
GOODPUT_BAR = 0.9
NORMAL_BAR_S = 1
MEMORY_BAR_MB = 64


def dirty_kb(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(text.split("Private_Dirty:")[1].split()[0])


class Memory:
    """How much more written memory processes have at most than when this began, and what they take of the processors."""

    def __init__(self, processes):
        self.processes = processes
        self.before, self.most, self.spent = self.now_kb(), 0, []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def now_kb(self):
        return sum(dirty_kb(each.process.pid) for each in self.processes)

    def watch(self):
        while not self.over.wait(0.05):
            self.most = max(self.most, self.now_kb())
            self.spent.append((time.monotonic(), self.spent_s()))

    def spent_s(self):
        return sum(processor_s(each.process.pid) for each in self.processes)

    def spent_between_s(self, begin, end):
        """What the processes took of the processors, by time.monotonic."""
        first, last = (min(self.spent, key=lambda each: abs(each[0] - when))[1] for when in (begin, end))
        return last - first

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def growth_mb(self):
        return max(0, self.most - self.before) / 1024


class Burn(Service):
    def config(self):
        return {**super().config(), "migrations": None}


class Slot:
    def __init__(self, line):
        self.at_ms, self.due, self.ok, self.late, self.shed, self.failed, self.p50_us, self.p99_us = map(int, line.split()[1:])


def offer(build, door, phases):
    """`phases`: (requests a second, milliseconds) each. Returns the slots."""
    done = subprocess.run(
        [build / "bench" / "openload", str(door.listener.getsockname()[1]), str(CONNECTIONS), str(DEADLINE_MS),
         str(SLOT_MS), str(BODY), "/burn", *(f"{rate:.1f}:{length_ms}" for rate, length_ms in phases)],
        capture_output=True, text=True, timeout=sum(length for _, length in phases) / 1000 + PATIENCE_S,
        preexec_fn=lambda: os.sched_setaffinity(0, {max(os.sched_getaffinity(0))}))
    if done.returncode:
        raise Failed(f"openload failed: {done.stderr}")
    return [Slot(line) for line in done.stdout.splitlines()]


def total(slots, what):
    return sum(getattr(slot, what) for slot in slots)


def measure_flood(build, door, processes, seconds, what):
    """`door`: which of the `processes` is asked."""
    with Memory(processes) as watched:
        before_s = watched.spent_s()
        top = load(door.url + "/burn", 16, seconds)
        top_a_core = top * seconds / (watched.spent_s() - before_s)
    flood_ms = seconds * 1000
    with Memory(processes) as memory:
        began = time.monotonic()
        slots = offer(build, door, [(top * CALM, CALM_MS), (top * TIMES, flood_ms), (top * CALM, CALM_MS)])
    begin = began + CALM_MS / 1000
    spent_s = memory.spent_between_s(begin, begin + seconds)
    top = (top + load(door.url + "/burn", 16, seconds)) / 2
    flood = [slot for slot in slots if CALM_MS <= slot.at_ms < CALM_MS + flood_ms]
    after = [slot for slot in slots if slot.at_ms >= CALM_MS + flood_ms]
    goodput = total(flood, "ok") / seconds
    bad = [slot.at_ms for slot in after if slot.ok < slot.due]
    normal_s = (max(bad) + SLOT_MS - CALM_MS - flood_ms) / 1000 if bad else 0
    show("its top rate", top, "answers/s")
    show("answers within a second, of ten times as many", goodput, "answers/s", f"{times(goodput / top)} the top rate")
    ratio = total(flood, "ok") / spent_s / top_a_core
    show("the same for each second of processor time", total(flood, "ok") / spent_s, "answers",
         f"{times(ratio)} at the top rate; " + bars.at_least(f"{what}: answers in time", ratio, GOODPUT_BAR))
    show("shed", total(flood, "shed") / seconds, "answers/s",
         f"late or unanswered {total(flood, 'late') / seconds:,.0f}, failed {total(flood, 'failed') / seconds:,.0f}")
    show("p50 and p99 of what was answered", max(slot.p50_us for slot in flood) / 1000, "ms",
         f"{max(slot.p99_us for slot in flood) / 1000:,.0f} ms, both of the worst tenth of a second")
    show("written memory, growth meanwhile", memory.growth_mb(), "MB",
         bars.at_most(f"{what}: memory", memory.growth_mb(), MEMORY_BAR_MB, " MB"))
    show("until everything is answered again", float(normal_s), "s",
         bars.at_most(f"{what}: until it is over", normal_s, NORMAL_BAR_S, " s"))


def pin(process):
    """To the core that the load does not come from."""
    for task in os.listdir(f"/proc/{process.process.pid}/task"):
        os.sched_setaffinity(int(task), {min(os.sched_getaffinity(0))})


DOORS = ("ten times the top rate offered", "ten times the top rate offered to the gateway")


@bars.part("overload", *(f"{what}: {word}" for what in DOORS for word in ("answers in time", "memory", "until it is over")))
def measure(build, folder, seconds):
    with contextlib.ExitStack() as stack:
        (folder / "overload").mkdir()
        service = Burn(build / "bench" / "bench_burn", "burn", folder / "overload" / "burn")
        stack.callback(service.close)
        service.start()
        pin(service)
        title("Overload: ten times what a service can do, 1 ms each, at a fixed rate from the other core")
        measure_flood(build, service, [service], seconds, DOORS[0])
        gateway = Gateway(build / "freehold", folder / "overload" / "gateway", service)
        stack.callback(gateway.close)
        gateway.start()
        pin(gateway)
        title("The same through the gateway, which shares the service's core")
        measure_flood(build, gateway, [gateway, service], seconds, DOORS[1])
