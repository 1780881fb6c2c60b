# SPDX-License-Identifier: Apache-2.0
"""Steady load for long: the histories' system and clients, without faults. What each process holds may not grow once it is
warm, and at rest it sleeps. What was acknowledged is there at the end, as in any history."""

import asyncio
import collections
import json
import os
import pathlib
import re
import shutil
import statistics
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "histories"))
from checker import Final, check  # noqa: E402
from load import Load  # noqa: E402
from world import SERVICES, World  # noqa: E402

CLIENTS = 16
LOOK_S = 2.0
GROWTH_MAX, GROWTH_KB_MAX = 1.15, 4096  # from the second quarter's median to the last's; a little is for chance
CACHE_KB = 8000                         # and of a store's pages, which fill as it grows (engine/sqlite/connection.c)
DESCRIPTORS_MAX = 32                    # more at rest than before the load: threads, connections between services
REST_S, WAKEUPS_MAX = 15, 5             # a second, of the thread that decides
KEPT_S = 30                             # events, so that the outbox stays small
TRIMMED_S_MAX = 10 * KEPT_S
CLOSED_S_MAX = 120                      # twice as long as a connection may be idle (http/server.h)


def of_process(pid):
    """(KiB of its own, descriptors, voluntary context switches of the first thread); None: it has gone. Pages of files
    are left out: its ring of traces is one of some megabytes, and dirty as long as the kernel pleases."""
    try:
        rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        return (int(re.search(r"^Anonymous:\s*(\d+)", rollup, re.M)[1]), len(os.listdir(f"/proc/{pid}/fd")),
                int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", status, re.M)[1]))
    except (OSError, TypeError):
        return None


async def looks(world, load):
    """{(service, pid): [of_process]} while the load goes on."""
    found = collections.defaultdict(list)
    while not load.over:
        for service in (*SERVICES, "gateway"):
            for pid in world.pids(service):
                if one := of_process(pid):
                    found[service, pid].append(one)
        await asyncio.sleep(LOOK_S)
    return found


def judged(found):
    """(lines of figures, what is wrong)"""
    lines, wrong = [], []
    if len(found) != len(SERVICES) + 1:
        wrong.append(f"there were {len(found)} processes, some of them anew")
    for (service, _), some in found.items():
        quarter = max(1, len(some) // 4)
        warm, last = some[quarter:2 * quarter] or some, some[-quarter:]
        memory = [statistics.median(one[0] for one in part) for part in (warm, last)]
        allowed = memory[0] * GROWTH_MAX + GROWTH_KB_MAX + (CACHE_KB if service in SERVICES else 0)
        lines.append(f"{service}: {memory[0] / 1024:.1f} MiB, then {memory[1] / 1024:.1f}; "
                     f"up to {max(one[1] for one in last)} descriptors")
        if memory[1] > allowed:
            wrong.append(f"{service} grows: {lines[-1]}")
    return lines, wrong


def descriptors(world):
    """{service: how many}"""
    found = {(service, pid): of_process(pid) for service in (*SERVICES, "gateway") for pid in world.pids(service)}
    return {service: one[1] for (service, _), one in found.items() if one}


def kept(before, after):
    """(a line, what is wrong) of descriptors at rest. Under load there are as many as there are connections, which says
    nothing of those that are kept."""
    line = "descriptors at rest, before the load and after it: " + ", ".join(
        f"{service} {before[service]} and {after.get(service)}" for service in before)
    return line, [f"{service} keeps descriptors: {before[service]}, then {count}" for service, count in after.items()
                  if count > before.get(service, 0) + DESCRIPTORS_MAX]


def untrimmed(world):
    """Services that have events left which are old enough to go; that is work, and wakes them up."""
    told = json.loads(world.command("status", "--json", seconds=60).stdout)["services"]
    states = {one["name"]: one["state"] for one in told}
    return [name for name, state in states.items() if not state or state.get("trimmed", 0) < state.get("position", 0)]


def wakeups(world):
    """({service: a second}, whether connections were closed meanwhile), of REST_S."""
    before = {(service, pid): of_process(pid) for service in (*SERVICES, "gateway") for pid in world.pids(service)}
    time.sleep(REST_S)
    after = {key: of_process(key[1]) for key in before}
    rates = {service: (after[service, pid][2] - one[2]) / REST_S for (service, pid), one in before.items()}
    return rates, any(after[key][1] < one[1] for key, one in before.items())


def at_rest(world):
    """Wake-ups a second, once the load has left nothing to do: no events to trim, no idle connections to close."""
    ends = time.monotonic() + TRIMMED_S_MAX
    while (left := untrimmed(world)) and time.monotonic() < ends:
        time.sleep(LOOK_S)
    if left:
        return [], [f"{', '.join(left)} still has events {TRIMMED_S_MAX} s after the load"]
    ends = time.monotonic() + CLOSED_S_MAX
    while (measured := wakeups(world))[1] and time.monotonic() < ends:
        pass
    rates, closing = measured
    lines = ["wake-ups a second at rest: " + ", ".join(f"{service} {rate:.1f}" for service, rate in rates.items())]
    wrong = [f"{service} does not rest: {rate:.1f} wake-ups a second" for service, rate in rates.items() if rate > WAKEUPS_MAX]
    return lines, wrong + [f"connections are still closed {CLOSED_S_MAX} s after the last event was trimmed"] * closing


def run(build, seconds, seed):
    """(lines of figures, what is wrong)"""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="freehold-soak-"))
    folder.chmod(0o711)
    world = World(build, "sqlite", folder, 1, False, {"events_kept_s": KEPT_S, "events_kept_s_max": 2 * KEPT_S})
    try:
        world.up()
        fresh = descriptors(world)
        load = Load(world.port, seed, CLIENTS)

        async def both():
            watching = asyncio.create_task(looks(world, load))
            await load.run(seconds)
            return await watching

        lines, wrong = judged(asyncio.run(both()))
        why, _ = world.at_rest()
        wrong += [f"not at rest: {line}" for line in why]
        more, restless = at_rest(world)
        line, held = kept(fresh, descriptors(world))

        async def lists():
            return Final(*[await load.page_all(service, 60) for service in SERVICES])

        wrong += [f"{one.kind}: {one.text}" for one in check(load.history, asyncio.run(lists()))] + restless + held + load.odd
        count = load.counts["acknowledged"]
        return [f"{count} acknowledged, {count / seconds:.0f} a second", *lines, *more, line], wrong
    finally:
        world.stop()
        shutil.rmtree(folder, ignore_errors=True)
