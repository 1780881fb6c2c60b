#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Users' tests that meet faults of handlers, as TAP cases: called with the program of tests and its system file."""

import json
import subprocess
import sys

import tap

PROGRAM, FILE = sys.argv[1:3]

NO_COLUMN = "A statement can't be run: table note has no column named text"
TORN = "INSERT INTO note (id, text) VALUES (1, 'torn')"
MISSPELT = f"clerk: the handler misspelt of POST /misspelt has a fault: {NO_COLUMN}; in the statement: {TORN}; trace 00-"

# How the only failure of each test begins; the trace's own numbers follow.
FAULTS = {
    "misspelt_written_sql": MISSPELT,
    "misspelt_read_sql":
        "clerk: the handler misspelt_read of GET /misspelt has a fault: A statement can't be run: no such column: text; "
        "in the statement: SELECT id, text FROM note; trace 00-",
    "an_undeclared_event":
        "clerk: the handler undeclared of POST /undeclared has a fault: clerk published NoteBurnt, which is not among "
        "its declared `publishes`; trace 00-",
    "an_event_that_does_not_fit":
        "clerk: the handler unfit of POST /unfit has a fault: The data of NoteWritten does not fit its declared shape, "
        'at "/id": expected an integer, found a string; trace 00-',
    "an_answer_that_does_not_fit":
        "clerk: the handler another_answer of POST /another_answer has a fault: The route POST /another_answer declares "
        "an answer of 201, and this one is 200; trace 00-",
    "a_fault_of_a_subscriber":
        "press: the handler copy_torn of event NoteTorn of clerk has a fault: A statement can't be run: table copy "
        "has no column named wrods; in the statement: INSERT INTO copy (id, wrods) VALUES (:id, :words); trace 00-",
    "a_fault_of_a_called_step":
        "press: the handler seal of POST /seals has a fault: A statement can't be run: no such table: copies; in the "
        "statement: UPDATE copies SET words = 'sealed' WHERE id = 100; trace 00-",
    "a_fault_of_a_step_of_its_own":
        "clerk: the handler own_step of saga seal_note, step write has a fault: A statement can't be run: no such "
        "table: notes; in the statement: UPDATE notes SET words = 'sealed'; trace 00-",
    "a_fault_of_a_timer":
        "clerk: the handler remind of timer remind has a fault: A statement can't be run: no such table: notes; in the "
        "statement: UPDATE notes SET words = 'again'; trace 00-",
    "a_fault_among_injected_ones": MISSPELT,
    "an_expected_fault_that_does_not_come": "expected that a handler of press has a fault, and none had one",
    "an_expected_fault_of_another_service": MISSPELT,
}


def run(*options):
    return subprocess.run([PROGRAM, FILE, *options], capture_output=True, text=True, check=False)


def tests_of(*options):
    return {test["name"]: test for test in json.loads(run("--json", *options).stdout)["tests"]}


def each_fault_is_the_only_failure_and_says_where_it_is():
    found = {name: test["failures"] for name, test in tests_of("--seeds", "3").items()}
    wrong = [name for name, begins in FAULTS.items()
             if len(found[name]) != 1 or not found[name][0].startswith(begins)]
    print(f"# {[found[name] for name in wrong]}")
    return not wrong


def a_fault_ends_its_test_at_once():
    """What follows it would take hours of virtual time; the trace is of what led to it."""
    traced = {name: run("--only", name, "--seed", "1", "--trace").stdout.splitlines()
              for name in FAULTS if not name.startswith("an_expected_fault_that")}
    times = {name: float(lines[-1].split()[0]) for name, lines in traced.items()}
    print(f"# {times}")
    return all(time < 60 for time in times.values()) and all(len(lines) < 200 for lines in traced.values())


def what_a_test_expects_or_injects_is_no_fault():
    fine = {name: test for name, test in tests_of("--only", "fine_", "--seeds", "40").items() if not test["passed"]}
    print(f"# {fine}")
    return not fine


def a_crash_says_in_whose_function_it_was():
    failures = tests_of("--only", "a_crash")["a_crash"]["failures"]
    print(f"# {failures}")
    return failures[0].startswith("clerk crashed (Aborted) in crash") or "AddressSanitizer" in failures[0]


def the_fault_comes_first_and_is_not_repeated():
    told = run("--only", "a_fault_of_a_step_of_its_own").stdout.splitlines()
    return (told[0].startswith("FAILED a_fault_of_a_step_of_its_own")
            and told[1].strip().startswith("clerk: the handler own_step") and not told[2]
            and sum("own_step" in line for line in told[:3]) == 1)


def what_repeats_itself_is_counted_in_one_line():
    told = run("--only", "a_repeated_outage", "--seed", "1").stdout
    print("# " + told.replace("\n", "\n# "))
    return ("more like it, the last at" in told and told.count("clerk      answers POST /busy: 503") <= 2
            and told.count("[request-answered]") <= 2  # though each has another trace
            and "asks clerk: POST /busy" in told)


CASES = (each_fault_is_the_only_failure_and_says_where_it_is, a_fault_ends_its_test_at_once,
         what_a_test_expects_or_injects_is_no_fault, a_crash_says_in_whose_function_it_was,
         the_fault_comes_first_and_is_not_repeated, what_repeats_itself_is_counted_in_one_line)

sys.exit(tap.run(CASES))
