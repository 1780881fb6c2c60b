#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Link points on virtual time, as TAP cases: called with the program of port/links.c and its system file.

The same few works are done again and again, and each time one message between the services and their server
meets another fate: each message of the conversation, as it was really sent, and each fate. Then pairs: the
second at a message that what recovers from the first has really sent. FREEHOLD_LINKS is how many singles
and how many pairs are tried, drawn evenly from all: "all", or "singles,pairs".
"""

import json
import os
import random
import subprocess
import sys

import tap

PROGRAM, FILE = sys.argv[1:3]
FATES = {1: "cut before it", 2: "cut behind it", 3: "lost, and nobody is notified", 4: "cut, and it comes late",
         5: "cut, and refused for a while"}
WANTED = os.environ.get("FREEHOLD_LINKS", "50,25")
SINGLES, PAIRS = (10 ** 9, 10 ** 9) if WANTED == "all" else (int(part) for part in WANTED.split(","))
notes = []


def meets(*fates):
    """Whether all promises hold when these messages meet these fates; and how many messages there were."""
    said = ",".join(f"{number}:{fate}" for number, fate in fates) or "0:0"
    ran = subprocess.run([PROGRAM, FILE, "--seed", "1", "--json", "--fates", said], capture_output=True, text=True,
                         check=False)
    told = json.loads(ran.stdout) if ran.stdout.startswith("{") else {}
    if ran.returncode:
        notes.append(f"--fates {said}: " + "; ".join(f"{FATES[fate]} ({number})" for number, fate in fates))
    return ran.returncode == 0, told.get("counts", {}).get("messages", 0)


def some(of, count):
    """So many of them, spread evenly and the same each time."""
    return of if len(of) <= count else [of[i * len(of) // count] for i in range(count)]


def all_singles():
    held, count = meets()
    return [(number, fate) for number in range(1, count + 1) for fate in FATES] if held else []


def any_one_message_may_meet_any_fate():
    singles = some(all_singles(), SINGLES)
    failed = [single for single in singles if not meets(single)[0]]
    notes.append(f"{len(singles)} of {len(all_singles())} singles")
    return singles and not failed


def another_one_may_meet_what_recovers_from_the_first():
    """The first is drawn evenly, too; the second from the messages behind it, up to the recovery's end."""
    draw = random.Random(1)
    singles, tried, failed = all_singles(), 0, []
    if PAIRS < 10 ** 9:
        singles = some(singles, PAIRS)
    for single in singles:
        count = meets(single)[1]
        seconds = [(number, fate) for number in range(single[0] + 1, count + 1) for fate in FATES]
        if PAIRS < 10 ** 9:
            seconds = [draw.choice(seconds)] if seconds else []
        for second in seconds:
            tried += 1
            if not meets(single, second)[0]:
                failed.append((single, second))
    notes.append(f"{tried} pairs")
    return tried and not failed


CASES = [any_one_message_may_meet_any_fate, another_one_may_meet_what_recovers_from_the_first]
sys.exit(tap.run(CASES, notes))
