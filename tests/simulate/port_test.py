#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A system on a modelled server, PostgreSQL's or Redis', as TAP cases: called with its program, its system file, and
what its clients must have met (or the port's answers that never came).

FREEHOLD_RUNS is how many seeds are run; FREEHOLD_SEED the first of them.
"""

import json
import os
import subprocess
import sys

import tap

PROGRAM, FILE = sys.argv[1:3]
MET = (sys.argv[3:] or ["unknown"])[0]
SEED = int(os.environ.get("FREEHOLD_SEED", "1"))
RUNS = int(os.environ.get("FREEHOLD_RUNS", "24"))
REPLAYED = 3
notes = []


def simulate(*options):
    ran = subprocess.run([PROGRAM, FILE, "--seed", str(SEED), *options], capture_output=True, text=True, check=False)
    notes.append(ran.stdout.strip())
    return ran


def what_is_promised_on_a_server_holds_whatever_fails():
    """Links, the server, processes and clocks."""
    ran = simulate("--runs", str(RUNS), "--json")
    told = json.loads(ran.stdout) if ran.stdout.startswith("{") else {"failed": -1, "counts": {}}
    if ran.returncode:
        notes.append(simulate("--runs", str(RUNS)).stdout[-6000:])
    return ran.returncode == 0 and told["failed"] == 0 and told["counts"][MET] > 0


def a_seed_is_one_run_bit_for_bit_there_too():
    """Each seed twice; the digests of the two traces are compared."""
    return simulate("--runs", str(REPLAYED), "--replay").returncode == 0


def it_holds_with_a_broker_that_is_not_to_be_relied_on():
    """Several instances, one of which relays, and subscriptions of several partitions."""
    told = json.loads(simulate("--bus", "--runs", str(max(RUNS // 2, 8)), "--json").stdout)
    return told["failed"] == 0


CASES = [what_is_promised_on_a_server_holds_whatever_fails, a_seed_is_one_run_bit_for_bit_there_too,
         it_holds_with_a_broker_that_is_not_to_be_relied_on]
sys.exit(tap.run(CASES, notes))
