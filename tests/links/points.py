# SPDX-License-Identifier: Apache-2.0
"""Link points: which messages each kind of work sends, each fault at each of them, and a run of many on many beds.

What a kind sends is recorded on beds that have done every kind once, so that nothing is new to them. What a bed also
sends while nothing is requested (renewals of leases, the tests' own checks) is recorded as the kind IDLE and is not a
point of any other kind."""

import asyncio
import collections
import dataclasses
import pathlib
import random
import time

from bed import REST_S_MAX, Bed
from kinds import KINDS, ON_SERVERS_ALONE, Wrong, wrong
from link import ANSWER_FAULTS, HTTP_REQUEST_FAULTS, REQUEST_FAULTS, Fault

HERE = pathlib.Path(__file__).resolve().parent
IDLE = "idle"
RECOVERY = "recovery"
KINDS_AND_IDLE = (*KINDS, IDLE)
IDLE_S = 4
TRAILING_S = 1.2           # what follows a unit of work within a second: closings, what a subscriber reports
TRAILING_S_MAX = 20        # and no later than this on a busy machine, where the list says that it follows
FIRED_S_MAX = 1.5          # a point that was not passed when all has been at rest for so long is not passed
IDLE_FIRED_S_MAX = 20      # what a timer sends four times a minute comes, too
HELD_S_MAX = 4
# What timers send, whatever is done meanwhile, what the migrations of starts before have made, and what only a store with much in
# it needs: but for a start, which has the first two each time, no kind is expected to send it.
BY_CHANCE = ("DELETE FROM fh_work", "DELETE FROM fh_mark", "DELETE FROM fh_opening", "UPDATE fh_opening",
             "(notification)", "INSERT INTO fh_meta", "killCursors")
MADE_BEFORE = "more_0"
AGAIN_S = 0.25             # and checked once more, for what comes late
OFTEN_MAX = 3              # the same message several times in a kind: the first so many are points
WARMING = ("work without a key", "work with a key", "saga", "saga undone", "cursor alone")  # that no statement is new
KINDS_OF_CONNECTION = ("(startup)", "(password)", "(login)", "(greeting)", "SET ", "(end)", "(encryption?)", "(ping)", "AUTH",
                       "INFO", "(close)", "(prepare)")


class TriedBed(Bed):
    """A bed on which kinds are done, with faults or without."""

    def kinds(self):
        return {name: kind for name, kind in KINDS.items() if self.engine != "sqlite" or name not in ON_SERVERS_ALONE}

    def sabotage(self, link, units, how, text=b""):
        self.sabotages = [Fault(link, units, 1, how, text=text)]
        self.links[link].arm(self.sabotages[0])

    def sabotaged(self):
        return all(one.fired for one in self.sabotages)

    async def until(self, what, condition, seconds=30):
        until = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > until:
                raise Wrong(f"{what}: not within {seconds} s")
            await asyncio.sleep(0.02)

    def forget(self):
        self.before = None
        for link in self.links.values():
            link.seen, link.armed, link.happened = [], [], self.happened

    def happened(self):
        """A fault has: what is sent from here on is its recovery."""
        if self.before is None:
            self.before = {name: len(link.seen) for name, link in self.links.items()}

    def recovery(self):
        """{(link, way, units): how often}, since the first fault."""
        return collections.Counter((name, way, units) for name, link in self.links.items()
                                   for way, units in link.seen[(self.before or {}).get(name, len(link.seen)):])

    def seen(self):
        return [(link.name, way, units) for link in self.links.values() for way, units in link.seen]

    rest_s = REST_S_MAX

    async def rest(self, further=None):
        problem = await self.at_rest(further, self.rest_s)
        if problem:
            raise Wrong(problem)

    async def once(self, kind):
        name = self.new_name()
        expected, _ = await self.kinds()[kind](self, name)
        await self.rest(lambda: wrong(self, name, expected))

    async def do(self, kind, sent_each_time=()):
        """A kind, without faults, up to what follows it: all that is sent each time, and what happens to come soon."""
        name = self.new_name()
        expected, again = await self.kinds()[kind](self, name)
        await self.rest(lambda: wrong(self, name, expected))
        if again:
            await again()
        await asyncio.sleep(TRAILING_S)
        until = time.monotonic() + TRAILING_S_MAX
        while set(sent_each_time) - lines_of(self.seen()) and time.monotonic() < until:
            await asyncio.sleep(0.1)

    async def record(self, kinds, listed):
        """{kind: [(link, way, units)]} of what other beds leave of these kinds, each once."""
        found = {}
        while kind := next((one for one in kinds if one not in found), None):
            kinds.remove(kind)
            self.forget()
            if kind == IDLE:
                await asyncio.sleep(IDLE_S)
                self.forget()
                for _ in range(3):
                    await asyncio.sleep(IDLE_S / 3)
                    await self.rest(lambda: wrong(self, self.new_name(), {}))
            else:
                await self.do(kind, [line for line, each in listed.get(kind, {}).items() if each])
            found[kind] = self.seen()
        return found

    async def release(self):
        held = False
        for link in self.links.values():
            held = await link.release() or held
        return held

    async def releases(self, kind_done):
        """What is held reaches its receiver once the unit of work has been answered, or when that can't be without
        it."""
        began = time.monotonic()
        while not any(link.held for link in self.links.values()):
            await asyncio.sleep(0.02)
        began = time.monotonic()
        while not kind_done.is_set() and time.monotonic() - began < HELD_S_MAX:
            await asyncio.sleep(0.02)
        await self.release()

    async def suffer(self, kind, faults):
        """A kind with these faults; whether all of them happened. Raises Wrong."""
        self.forget()
        for fault in faults:
            self.links[fault.link].arm(fault)
        name, done = self.new_name(), asyncio.Event()
        releasing = asyncio.ensure_future(self.releases(done))
        try:
            if kind == IDLE:
                expected, again = {}, None
            else:
                expected, again = await self.kinds()[kind](self, name)
            until = time.monotonic() + (IDLE_FIRED_S_MAX if kind == IDLE else FIRED_S_MAX)
            while not all(fault.fired for fault in faults) and time.monotonic() < until:
                await asyncio.sleep(0.02)
            right = lambda: wrong(self, name, expected)
            if not any(link.held for link in self.links.values()):
                await self.rest(right)
            done.set()
            if any(link.held for link in self.links.values()):
                await self.rest(right) if self.patient else None
                await self.release()
            await self.rest(right)
            if again:
                await again()
            await asyncio.sleep(AGAIN_S)
            await self.rest(right)
            self.recovered = self.recovery()
        finally:
            releasing.cancel()
            self.forget()
        return all(fault.fired for fault in faults)

    patient = False


# ---- What was sent ------------------------------------------------------------------------------

def in_words(units):
    return " ; ".join(units)


def statements(units):
    """What a message asks for, without what its transaction began with and what any connection begins with."""
    return [one for one in units if not one.startswith(("in: ", *KINDS_OF_CONNECTION))]


def lines_of(messages):
    return {f"{link} {way} {one}" for link, way, units in messages for one in statements(units)}


def said_anyway(listed):
    return {line for line, each in listed.get(IDLE, {}).items() if each}


def is_idle(link, way, units, idle):
    """Whether nothing in it belongs to the unit of work: neither a statement nor what its transaction began with."""
    said = [one.removeprefix("in: ") for one in units if not one.startswith(KINDS_OF_CONNECTION)]
    return not statements(units) or all(f"{link} {way} {one}" in idle for one in said)


class Recording:
    """What several beds have sent: {kind: {(link, way, units): how often at most}}, and how many of them sent it."""

    def __init__(self, recordings):
        self.kinds = {kind: collections.Counter() for one in recordings for kind in one}
        self.sent_by, self.messages, self.beds = (collections.Counter() for _ in range(3))
        for one in recordings:
            for kind, messages in one.items():
                self.beds[kind] += 1
                self.kinds[kind] |= collections.Counter(messages)
                self.messages.update({(kind, *message) for message in messages})
                self.sent_by.update({(kind, link, way, unit) for link, way, units in messages for unit in statements(units)})

    def lines(self, kind, whole=False):
        """{line of the list: whether each bed sent it}; `whole`: with what is sent when idle, too."""
        idle = {(link, way, unit) for (link, way, units) in self.kinds[IDLE] for unit in statements(units)}
        found = {}
        for link, way, units in self.kinds[kind]:
            for unit in statements(units):
                if whole or kind == IDLE or (link, way, unit) not in idle:
                    found[f"{link} {way} {unit}"] = self.sent_by[kind, link, way, unit] == self.beds[kind]
        return found

    def points(self, kind, listed):
        """[(link, way, units, nth)] of a kind, without what is sent anyway. Always in the same order, so that a seed
        repeats what it draws of them."""
        idle = said_anyway(listed) | {line for line, each in self.lines(IDLE).items() if each}
        known = said_anyway(listed) | {line for line, each in listed.get(kind, {}).items() if each}
        found = []
        for (link, way, units), times in sorted(self.kinds[kind].items()):
            if self.messages[kind, link, way, units] < self.beds[kind]:
                continue  # chance, or what a timer does
            if self.beds[kind] == 1 and not all(f"{link} {way} {one}" in known for one in statements(units)):
                continue  # seen once: only the list knows what is not accidental
            if kind != IDLE and is_idle(link, way, units, idle):
                continue
            found += [(link, way, units, nth + 1) for nth in range(min(times, OFTEN_MAX))]
        return found


def faults_at(point, http, away_s):
    """Every single fault at a message."""
    link, way, units, nth = point
    if way == "<":
        names = ANSWER_FAULTS if http else ("lose",)
        aways = {"lose": (0.0, away_s)}
    else:
        names = HTTP_REQUEST_FAULTS if http else REQUEST_FAULTS
        aways = {"before": (0.0, away_s) if http else (0.0,), "swallow": (0.0, away_s)}
    return [Fault(link, units, nth, how, away) for how in names for away in aways.get(how, (0.0,))]


def singles(run, recording, listed, away_s, once):
    """Every fault at every message, one schedule each, in an order that reaches every message before a second fault at
    any of them. `once`: the same message in several kinds counts once."""
    found, seen = [], set()
    for kind in KINDS_AND_IDLE:
        if kind not in recording.kinds:
            continue
        for point in recording.points(kind, listed):
            if once and (point[:3] in seen or point[3] > 1):
                continue
            seen.add(point[:3])
            faults = faults_at(point, is_http(point[0]), away_s)
            run.random.shuffle(faults)
            found += [(turn + run.random.random(), Schedule(kind, [fault])) for turn, fault in enumerate(faults)]
    return [schedule for _, schedule in sorted(found, key=lambda one: one[0])]


def pairs(run, listed, away_s):
    """A second fault at each message that the recovery from a first one sent. What has the same first fault at the same
    message, and the second, counts once, whichever kind it was. In a random order."""
    found, seen = [], set()
    idle = said_anyway(listed)
    for schedule, recovery in run.recoveries:
        first = schedule.faults[0]
        for (link, way, units), times in recovery.items():
            if is_idle(link, way, units, idle):
                continue
            for second in faults_at((link, way, units, 1), is_http(link), away_s):
                same = (first.link, first.units, first.how, link, way, units, second.how, second.away_s)
                if same in seen:
                    continue
                seen.add(same)
                one = dataclasses.replace(first, fired=False)
                second.behind = one
                found.append(Schedule(schedule.kind, [one, second]))
    run.random.shuffle(found)
    return found


def is_http(link):
    return not link.endswith(">store")


# ---- The list -----------------------------------------------------------------------------------

def read_list(engine):
    """{kind: {line: whether it is sent each time}}"""
    found, kind = {}, None
    path = HERE / f"{engine}.txt"
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        if line.startswith("["):
            kind = line[1:-1]
            found[kind] = {}
        elif line and not line.startswith("#"):
            found[kind][line.removeprefix("? ")] = not line.startswith("? ")
    return found


def write_list(engine, recording, recoveries=()):
    """With what is there already and was not sent each time: it may not have been this time."""
    before = read_list(engine)
    text = [f"# What each kind of work sends on {engine}, statement by statement; \"?\": not each time. What stands under",
            f"# {RECOVERY} was sent after faults. Written by tests/links/run record {engine}, when a message is new or gone: look",
            "# at what that does to the faults."]
    found = {kind: recording.lines(kind) for kind in recording.kinds}
    known = {line for lines in found.values() for line in lines}
    found[RECOVERY] = {f"{link} {way} {unit}": False for recovery in recoveries for link, way, units in recovery
                       for unit in statements(units) if f"{link} {way} {unit}" not in known}
    for kind in (*KINDS_AND_IDLE, RECOVERY):
        lines = found.get(kind, {})
        lines |= {line: False for line, each in before.get(kind, {}).items() if line not in lines and not each}
        for line in lines:
            lines[line] = lines[line] and before.get(kind, {}).get(line, True) and not by_chance(kind, line)
        if lines:
            text += ["", f"[{kind}]", *((line if each else f"? {line}") for line, each in sorted(lines.items()))]
    (HERE / f"{engine}.txt").write_text("\n".join(text) + "\n", encoding="utf-8")


def by_chance(kind, line):
    sent = line.split(" ", 2)[2]
    return kind != IDLE and not kind.startswith("start ") and (sent.startswith(BY_CHANCE) or MADE_BEFORE in sent)


def gone(listed, recording):
    """[(kind, line)] of what was sent each time, and was not now."""
    return [(kind, line) for kind in recording.kinds for line, each in listed.get(kind, {}).items()
            if each and line not in listed.get(IDLE, {}) and line not in recording.lines(kind, whole=True)]


def compare(listed, recording):
    """What is new, and what is not sent any more, a line each. What was sent each time in a kind must still be sent in
    that kind, wherever else it is sent; but for what is sent while nobody asks, which is due when its timer says. New
    is what no kind was known to send: a retry, a timer or what an earlier kind left over may put a known message into
    any kind, and it is tried there like all that is recorded. On a busy machine any request may be answered 503."""
    known = {line for lines in listed.values() for line in lines}
    known |= {f"{link} < 503 to {asked}" for link, way, asked in (line.split(" ", 2) for line in known) if way == ">"}
    sent = {kind: recording.lines(kind, whole=True) for kind in recording.kinds}
    first = {}
    for kind, lines in sent.items():
        for line in lines:
            first.setdefault(line, kind)
    found = [f"new in {kind}: {line}" for line, kind in first.items() if line not in known]
    found += [f"not sent any more in {kind}: {line}" for kind, line in gone(listed, recording)]
    found += [f"not in the list: {kind}" for kind in recording.kinds if kind not in listed]
    return found


# ---- Many schedules on many beds ----------------------------------------------------------------

@dataclasses.dataclass
class Schedule:
    kind: str
    faults: list
    tries: int = 0

    def __str__(self):
        return f"{self.kind}: " + " | ".join(str(fault) for fault in self.faults)


class Run:
    """Schedules, run concurrently; a bed on which one failed is left, and another one made."""

    def __init__(self, folder, engine, beds, seed, tries=1):
        self.folder, self.engine, self.width, self.tries = folder, engine, beds, tries
        self.seed, self.random = seed, random.Random(seed)
        self.failures, self.passed, self.missed = [], 0, []
        self.until = None
        self.took, self.recoveries = [], []
        self.done = None  # a file of what passed, in any run

    def go_on(self, schedules, done, once):
        """Those that are not in the file yet, to which whatever passes from now on is added. `once`: in whichever
        kind."""
        name = (lambda text: text.partition(": ")[2]) if once else str
        found = {name(line) for line in done.read_text(encoding="utf-8").splitlines()} if done.exists() else set()
        left = [one for one in schedules if name(str(one)) not in found]
        print(f"{len(schedules) - len(left)} of {len(schedules)} passed before")
        self.done = done
        return left

    async def bed(self):
        bed = await TriedBed(self.folder, self.engine).__aenter__()
        try:
            await bed.rest()
            await asyncio.gather(*(bed.once(kind) for kind in WARMING))
            await asyncio.sleep(TRAILING_S)
        except BaseException:
            print(bed.logs())
            await bed.__aexit__()
            raise
        return bed

    async def record(self, times=3, again=0):
        """Each kind so many times, on several beds; those in which something is missing up to so many times again."""
        beds = await asyncio.gather(*(self.bed() for _ in range(self.width)))
        kinds = [kind for _ in range(times) for kind in (IDLE, *reversed(beds[0].kinds()))]  # what takes longest first
        listed = read_list(self.engine)
        try:
            found = await asyncio.gather(*(bed.record(kinds, listed) for bed in beds))
            while again and (kinds := sorted({kind for kind, _ in gone(listed, Recording(found))})):
                found += await asyncio.gather(*(bed.record(kinds, listed) for bed in beds))
                again -= 1
            return Recording(found), beds
        except BaseException:
            print("\n".join(bed.logs() for bed in beds))
            await asyncio.gather(*(bed.__aexit__() for bed in beds))
            raise

    async def one(self, bed, schedule):
        """False: its message did not come, and it is worth another try."""
        began = time.monotonic()
        schedule.tries += 1
        for fault in schedule.faults:
            fault.fired = False
        came = await bed.suffer(schedule.kind, schedule.faults)
        self.took.append((time.monotonic() - began, schedule))
        if not came and schedule.tries < self.tries:
            return False
        if not came:
            self.missed.append(schedule)
            return True
        self.passed += 1
        if self.done:
            with self.done.open("a", encoding="utf-8") as done:
                print(schedule, file=done)
        if len(schedule.faults) == 1:
            self.recoveries.append((schedule, bed.recovered))
        return True

    async def worker(self, bed, schedules):
        while schedules and not (self.until and time.monotonic() > self.until):
            schedule = schedules.popleft()
            began = time.monotonic()
            try:
                if not bed:
                    bed = await self.bed()
                if not await self.one(bed, schedule):
                    schedules.append(schedule)
            except Exception as error:  # what a test wants to report, with where it was
                self.failures.append(f"{schedule}\n  {type(error).__name__}: {error}\n"
                                     f"  after {time.monotonic() - began:.1f} s, seed {self.seed}\n"
                                     f"{await bed.states() + chr(10) + bed.logs() if bed else ''}")
                print(f"FAILED {self.engine}: {schedule}: {error}", flush=True)
                if bed:
                    await bed.__aexit__()
                bed = None
        if bed:
            await bed.__aexit__()

    async def all(self, beds, schedules):
        schedules = collections.deque(schedules)
        await asyncio.gather(*(self.worker(bed, schedules) for bed in beds))
