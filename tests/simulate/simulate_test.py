#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Simulations as TAP cases: called with the program and the system file of the shop, the tower, the deals, the guests,
the clock and the devices.

FREEHOLD_RUNS is how many seeds are run; FREEHOLD_SEED the first of them, so that a failure that was
printed can be looked at again.
"""

import json
import os
import subprocess
import sys

import tap

(PROGRAM, FILE, TOWER, TOWER_FILE, DEALS, DEALS_FILE, GUESTS, GUESTS_FILE, CLOCK,
 CLOCK_FILE, IOT, IOT_FILE) = sys.argv[1:13]
SEED = int(os.environ.get("FREEHOLD_SEED", "1"))
RUNS = int(os.environ.get("FREEHOLD_RUNS", "1000"))
REPLAYED = 60
# Of the others as many as it takes until all that is counted has happened.
TENTH = max(RUNS // 10, 20)
DEALS_RUNS = max(RUNS // 25, 40)
notes = []


def simulate(*options):
    return subprocess.run([PROGRAM, FILE, *options], capture_output=True, text=True, check=False)


def every_promise_holds_whatever_fails():
    """All invariants, over many seeds."""
    ran = simulate("--seed", str(SEED), "--runs", str(RUNS))
    notes.append(ran.stdout.strip())
    return ran.returncode == 0 and f"{RUNS} runs, 0 failed" in ran.stdout


def every_promise_holds_in_the_tower_too():
    """Where order and number of undos and events show."""
    ran = subprocess.run([TOWER, TOWER_FILE, "--seed", str(SEED), "--runs", str(TENTH)],
                         capture_output=True, text=True, check=False)
    notes.append(ran.stdout.strip())
    return ran.returncode == 0


def every_promise_holds_with_a_broker_that_is_not_to_be_relied_on():
    """Events by a bus: in systems with embedded stores, whose subscriptions have one partition."""
    ran = [subprocess.run([program, file, "--bus", "--seed", str(SEED), "--runs", str(max(RUNS // 20, 40)), "--json"],
                          capture_output=True, text=True, check=False) for program, file in ((PROGRAM, FILE),
                                                                                            (TOWER, TOWER_FILE))]
    told = [json.loads(one.stdout) for one in ran]
    notes.append(" ".join(one.stdout.strip() for one in ran))
    return all(one["failed"] == 0 and one["counts"]["events by the bus"] > 100 for one in told)


def everything_is_done_for_whoever_began_it():
    """Keys, late steps of sagas, rights and forged statements."""
    ran = subprocess.run([GUESTS, GUESTS_FILE, "--seed", str(SEED), "--runs", str(TENTH // 2)],
                         capture_output=True, text=True, check=False)
    notes.append(ran.stdout.strip())
    return ran.returncode == 0


def everything_is_done_at_its_time_once():
    """Timers and schedules, while wall clocks step and processes die."""
    ran = subprocess.run([CLOCK, CLOCK_FILE, "--seed", str(SEED), "--runs", str(TENTH), "--json"],
                         capture_output=True, text=True, check=False)
    notes.append(ran.stdout.strip())
    counts = json.loads(ran.stdout)["counts"]
    return (ran.returncode == 0 and counts["rung"] > TENTH and counts["cancelled"] > 0
            and counts["too late"] > 0 and counts["ticks"] > 0 and counts["parked"] > 0)


def each_point_counts_once_and_raises_what_it_should():
    """Series, and alerts that follow from them."""
    ran = subprocess.run([IOT, IOT_FILE, "--seed", str(SEED), "--runs", str(TENTH), "--json"],
                         capture_output=True, text=True, check=False)
    notes.append(ran.stdout.strip())
    counts = json.loads(ran.stdout)["counts"]
    return (ran.returncode == 0 and counts["points"] > 10 * TENTH and counts["raised"] > 0 and counts["raised later"] > 0
            and counts["cleared"] > 0)


def nothing_is_wrong_after_a_restore_that_is_not_reported():
    """Most of these runs restore a service; what is lost, and what waits for a person, is told."""
    ran = subprocess.run([DEALS, DEALS_FILE, "--seed", str(SEED), "--runs", str(DEALS_RUNS), "--json"],
                         capture_output=True, text=True, check=False)
    notes.append(ran.stdout.strip())
    counts = json.loads(ran.stdout)["counts"]
    return ran.returncode == 0 and counts["lost"] > 0 and counts["reported"] > 0


def a_seed_is_one_run_bit_for_bit():
    """Each seed twice; the digests of the two traces are compared."""
    ran = simulate("--seed", str(SEED), "--runs", str(REPLAYED), "--replay")
    notes.append(ran.stdout.strip())
    return ran.returncode == 0


def whole_traces_are_equal_line_by_line():
    for seed in range(SEED, SEED + 3):
        one, other = (simulate("--seed", str(seed), "--trace") for _ in range(2))
        if not one.stdout or one.stdout != other.stdout:
            return False
    return simulate("--seed", str(SEED), "--trace").stdout != one.stdout


def runs_meet_crashes_and_carry_out_orders():
    """Guards against a simulation in which nothing happens."""
    told = json.loads(simulate("--seed", str(SEED), "--runs", "40", "--json").stdout)
    return (told["runs"] == 40 and told["crashes"] > 40 and told["counts"]["orders"] > 400
            and told["counts"]["confirmed"] > 100)


def a_wrong_word_is_refused():
    return (simulate("--sede", "1").returncode == 2 and simulate("--seed").returncode == 2
            and simulate("--runs", "0").returncode == 2
            and subprocess.run([PROGRAM, "nowhere.yaml"], capture_output=True,
                               check=False).returncode == 2)


CASES = (every_promise_holds_whatever_fails, every_promise_holds_in_the_tower_too,
         every_promise_holds_with_a_broker_that_is_not_to_be_relied_on,
         everything_is_done_for_whoever_began_it, everything_is_done_at_its_time_once,
         each_point_counts_once_and_raises_what_it_should, nothing_is_wrong_after_a_restore_that_is_not_reported,
         a_seed_is_one_run_bit_for_bit,
         whole_traces_are_equal_line_by_line, runs_meet_crashes_and_carry_out_orders,
         a_wrong_word_is_refused)

sys.exit(tap.run(CASES, notes))
