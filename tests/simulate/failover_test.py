#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A replica that lacks the last commits takes over, on virtual time, as TAP cases: called with the program of
port/failover.c, its system file, and, where the engine ends such a process, a seed with which it does. FREEHOLD_RUNS is how
many seeds are run."""

import json
import os
import subprocess
import sys

PROGRAM, FILE, *ENDS = sys.argv[1:]
RUNS = int(os.environ.get("FREEHOLD_RUNS", "24"))
REFUSAL_RUNS = 2000  # with so many a process is refused
notes = []


def simulate(*options):
    return subprocess.run([PROGRAM, FILE, *options], capture_output=True, text=True, check=False)


def nothing_is_there_in_part_or_twice_and_who_can_not_follow_says_so():
    ran = simulate("--seed", "16", "--runs", str(RUNS), "--json")
    told = json.loads(ran.stdout) if ran.stdout.startswith("{") else {"failed": -1, "counts": {}}
    notes.append(ran.stdout.strip())
    counts = told["counts"]
    # What stands on one server goes back as one: only a process that remembers more than that can be refused, which
    # one run in some 300 sees.
    met = not ENDS or RUNS < REFUSAL_RUNS or counts.get("estranged", 0) > 0
    return told["failed"] == 0 and counts.get("together", 0) > 0 and met


def a_process_whose_last_works_are_gone_says_so_and_begins_anew():
    """Else a saga that is gone would be carried on from its memory."""
    return "has lost writes that it had acknowledged" in simulate("--seed", *ENDS, "--trace").stdout


CASES = [nothing_is_there_in_part_or_twice_and_who_can_not_follow_says_so]
if ENDS:
    CASES.append(a_process_whose_last_works_are_gone_says_so_and_begins_anew)
print(f"1..{len(CASES)}", flush=True)
failures = 0
for number, case in enumerate(CASES, 1):
    notes.clear()
    held = case()
    failures += not held
    print(f"{'ok' if held else 'not ok'} {number} - {case.__name__}", flush=True)
    for line in notes:
        print(f"# {line}", flush=True)
sys.exit(failures > 0)
