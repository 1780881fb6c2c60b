# SPDX-License-Identifier: Apache-2.0
"""Faults, drawn from a seed: when, which, where and for how long. What the machine does meanwhile is not repeated."""

import asyncio
import collections
import random
import signal
import subprocess

from world import signal_to

LINK = {"cut": 6, "cut_behind": 6, "swallow": 6, "late": 6, "delay": 3, "cut_all": 1, "refuse": 1}
DAY_S = 86400
CLOCKS_S = (-200, -50, 50, 130, 200, 200, 3 * DAY_S, -3 * DAY_S)
PROCESS_FAULTS = ("kill", "pause", "pause_away", "pause_server", "kill_server", "shift_clock", "fill_disk", "fall_behind")
BORNE_S = 60  # with a clock so far off a process still gets answers; farther off it lasts only some seconds


class Faults:
    """Two hands: one for the link, one for processes, clocks and disks, so that a fault meets the recovery from
    another."""

    def __init__(self, world, seed, disk=None, behind=False, calm=1):
        """`calm`: so many times as long there is nothing between two faults of a hand."""
        self.world, self.seed, self.disk, self.calm = world, seed, disk, calm
        self.counts, self.over = collections.Counter(), False
        self.stopped, self.shifted = set(), False
        self.kinds = {self.kill: 5, self.pause: 3, self.pause_away: 1}
        if world.kind:
            self.kinds[self.pause_server] = 2
        if world.kind and world.engine != "mongo-java-server":  # which keeps nothing
            self.kinds[self.kill_server] = 1
        if world.clocks:
            self.kinds[self.shift_clock] = 1
        if disk:
            self.kinds[self.fill_disk] = 1
        if behind:
            self.kinds[self.fall_behind] = 1

    def note(self, kind):
        self.counts[kind] += 1

    async def rest(self, seconds):
        """In pieces, so that it ends soon when told to."""
        while seconds > 0 and not self.over:
            await asyncio.sleep(min(0.2, seconds))
            seconds -= 0.2

    async def trouble_link(self, chance):
        while not self.over:
            await self.rest(chance.uniform(0.1, 1.2) * self.calm)
            kind = chance.choices([*LINK], [*LINK.values()])[0]
            skip, ms = chance.randrange(30), chance.choice((5, 50, 300, 1500, 4000))
            if kind == "late":
                ms = chance.choice((20, 200, 1000, 3000, 12000))
            self.world.link.order(kind, *{"cut_all": (), "refuse": (ms,)}.get(kind, (skip, ms)))
            self.heard()

    def heard(self):
        for kind in self.world.link.told():
            self.note(kind)

    async def trouble_processes(self, chance):
        while not self.over:
            await self.rest(chance.uniform(1, 7) * self.calm)
            if not self.over:
                fault = chance.choices([*self.kinds], [*self.kinds.values()])[0]
                await fault(chance)

    def heal(self):
        for pid in self.stopped:
            signal_to(pid, signal.SIGCONT)
        self.stopped.clear()
        if self.world.link:
            self.heard()
            self.world.link.order("heal")

    # ---- Processes ----

    async def kill(self, chance):
        service = chance.choice(self.world.victims)
        pids = self.world.pids(service)
        if pids and signal_to(chance.choice(pids), signal.SIGKILL):
            self.note("kill -9 " + service)

    async def hold(self, pids, seconds, kind):
        pids = [pid for pid in pids if signal_to(pid, signal.SIGSTOP)]
        self.stopped.update(pids)
        self.note(kind)
        await self.rest(seconds)
        for pid in pids:
            signal_to(pid, signal.SIGCONT)
        self.stopped.difference_update(pids)

    async def pause(self, chance):
        pids = self.world.pids(chance.choice(self.world.victims))
        if pids:
            await self.hold([chance.choice(pids)], chance.choice((0.1, 0.7, 2, 4.5)), "stopped a while")

    async def pause_away(self, chance):
        """A receiver is away past its sagas' deadline, 5 s: `up` kills it for its silence meanwhile, or is held, too."""
        pids = self.world.pids(self.world.receiver)
        above = [pid for pid, words in self.world.own().items() if " up " in words] if chance.random() < 0.5 else []
        await self.hold([*above, *pids], chance.uniform(5.5, 9), "away past the deadline")

    async def pause_server(self, chance):
        await self.hold(self.world.server_pids(), chance.choice((0.2, 1, 3, 12)), "server stopped")

    async def kill_server(self, chance):
        pids = self.world.server_pids()
        if pids and signal_to(pids[0] if chance.random() < 0.7 else chance.choice(pids), signal.SIGKILL):
            self.note("kill -9 server")

    async def fall_behind(self, chance):
        """The subscriber is down for longer than the recorder keeps its events."""
        del chance
        self.note("kept behind the outbox")
        for _ in range(90 if self.world.kind else 35):
            for pid in self.world.pids("hearer"):
                signal_to(pid, signal.SIGKILL)
            await self.rest(1)

    # ---- Clocks and disks ----

    async def shift_clock(self, chance):
        """One process starts with a clock that is off; the others of its service keep theirs."""
        service, seconds = chance.choice(self.world.services), chance.choice(CLOCKS_S)
        pids = self.world.pids(service)
        if not pids:
            return
        self.world.set_clock(service, seconds)
        signal_to(chance.choice(pids), signal.SIGKILL)
        self.shifted, took = True, False
        for _ in range(60):
            await asyncio.sleep(0.25)
            said = await asyncio.to_thread(self.world.clock_of, service, seconds)
            took = said is not None and abs(said - seconds) < 30
            if took or self.over:
                break
        self.world.set_clock(service, 0)
        self.note("clock of one process" if took else "clock that nobody could ask")
        await self.rest(chance.uniform(1, 20))
        for pid in self.world.pids(service) if abs(seconds) > BORNE_S else ():
            signal_to(pid, signal.SIGKILL)

    async def fill_disk(self, chance):
        """The space that is used is all the space there is."""
        used = int(subprocess.run(["df", "--output=used", "-k", self.disk], capture_output=True, text=True,
                                  check=True).stdout.split()[-1])
        room = used + chance.choice((0, 64, 512))
        if self.resize(f"{max(room, 64)}k"):
            self.note("disk full")
            await self.rest(chance.uniform(0.5, 3))
        self.resize("100%")

    def resize(self, size):
        return not subprocess.run(["mount", "-o", f"remount,size={size}", self.disk], capture_output=True,
                                  check=False).returncode

    def end(self):
        """Everything is repaired; clocks too, once the processes with shifted ones have restarted."""
        self.over = True
        self.heal()
        if self.disk:
            self.resize("100%")
        for service in self.world.services if self.shifted else ():
            self.world.set_clock(service, 0)
            for pid in self.world.pids(service):
                signal_to(pid, signal.SIGKILL)
