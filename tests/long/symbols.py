# SPDX-License-Identifier: Apache-2.0
"""What tests/long/fail.c reports, and the places in the sources that its addresses stand for."""

import bisect
import collections
import os
import pathlib
import re
import subprocess
import threading

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PLACE = re.compile(r"(.+)\+([0-9a-f]+)$")
MARK = 1  # an address that is in no function: its line ends a batch
# Through which others' calls pass on their way to malloc: who called them is who has to expect that it fails.
PASSING = re.compile(r"(json_alloc|allocate_rescue|arena_\w+|new_block|text_\w+|FH_ASSERT)$")

Frame = collections.namedtuple("Frame", "function file line")


class Symbols:
    """Frames by address, asked for once; inlined ones are frames, too."""

    def __init__(self, build):
        self.build = str(pathlib.Path(build).resolve()) + os.sep
        self.known, self.running, self.lock = {}, {}, threading.Lock()
        self.exports = {}  # of others' libraries: what each exports, by address

    def is_own(self, module):
        return os.path.realpath(module).startswith(self.build)

    def learn(self, places):
        wanted = collections.defaultdict(list)
        with self.lock:
            for place in set(places) - self.known.keys():
                found = PLACE.match(place)
                if not found or not self.is_own(found[1]) or found[1].endswith("fail.so"):
                    self.known[place] = ()
                else:
                    wanted[found[1]].append(place)
            for module, some in wanted.items():
                self.ask(module, some)

    def ask(self, module, places):
        """All of one module at once: reading its debugging data takes longer than looking in it."""
        addresses = [f"{int(PLACE.match(place)[2], 16) - 1:#x}" for place in places]
        done = subprocess.run(["addr2line", "-a", "-f", "-i", "-e", module], input="\n".join(addresses), text=True,
                              capture_output=True, check=True)
        blocks = re.split(r"^0x[0-9a-f]+\n", done.stdout, flags=re.M)[1:]
        for place, block in zip(places, blocks):
            lines = block.splitlines()
            self.known[place] = tuple(self.frame(*pair) for pair in zip(lines[::2], lines[1::2]))

    def frame(self, function, where):
        file, _, line = where.split(" (")[0].rpartition(":")
        path = os.path.realpath(os.path.join(self.build, file))
        inside = path.startswith(str(ROOT) + os.sep)
        return Frame(function, os.path.relpath(path, ROOT) if inside else "", int(line) if line.isdigit() else 0)

    def own(self, places):
        """The frames of our sources, innermost first."""
        self.learn(places)
        return [frame for place in places for frame in self.known[place] if frame.file and not frame.file.startswith("build")]

    def exported(self, place):
        """"LIBRARY:FUNCTION", of a library of others that exports it; "LIBRARY:" where it does not; "": of none."""
        found = PLACE.match(place)
        if not found or self.is_own(found[1]):
            return ""
        with self.lock:
            if found[1] not in self.exports:
                listed = subprocess.run(["nm", "-D", "-S", "--defined-only", found[1]], capture_output=True, text=True,
                                        check=False).stdout
                rows = [line.split() for line in listed.splitlines()]
                self.exports[found[1]] = sorted((int(row[0], 16), int(row[1], 16), row[3].split("@")[0])
                                                for row in rows if len(row) == 4 and row[2] in "Tt")
        exports, address = self.exports[found[1]], int(found[2], 16) - 1
        at = bisect.bisect_right(exports, (address, 1 << 62, "")) - 1
        inside = at >= 0 and address < exports[at][0] + exports[at][1]
        return f"{os.path.basename(found[1])}:{exports[at][2] if inside else ''}"

    def owner(self, places):
        """The frame that has to expect a failure: src/... or tests/...; None: it came from no source of ours."""
        frames = self.own(places)
        return next((frame for frame in frames if not PASSING.match(frame.function)), frames[0] if frames else None)


def is_product(frame):
    return frame is not None and frame.file.startswith("src/") and not frame.file.startswith("src/simulate/")


def shown(frame):
    return f"{frame.function} ({frame.file}:{frame.line})" if frame else "no source of ours"


class Report:
    """What one run said: the call that failed, how it ended."""

    def __init__(self, path):
        self.failed = self.died = self.reported = None  # (what, places), (signal, places), where
        self.stacks = {}
        if not path.exists():
            return
        for line in path.read_text(errors="replace").splitlines():
            kind, _, rest = line.partition(" ")
            title, _, places = rest.partition(":") if kind != "reported" else (rest, "", "")
            if kind == "stack":
                self.stacks[int(title)] = places.split()
            elif kind == "failed":
                self.failed = (title, places.split())
            elif kind == "died" and not self.died:
                self.died = (int(title), places.split())
            elif kind == "reported":
                self.reported = rest
