#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`freehold test` as TAP cases: called with the command, the shop's program of tests, its system file, tests
that must fail, and the tests of a service with a bug."""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import tap

FREEHOLD, PROGRAM, FILE, FAILING, BROKEN, DESK, DESK_FILE, CLOCK, CLOCK_FILE = sys.argv[1:10]
FETCH, FETCH_FAILING, FETCH_FILE, IOT, IOT_FILE = sys.argv[10:15]

# Why each of the failing tests fails.
REASONS = {
    "users.another_status": "users POST /api/users: expected 200, was answered 201",
    "users.another_value": 'at "/name" expected "Eve", found "Ada"',
    "users.an_event_that_never_comes": "expected UserDeleted of users, which has published none within a minute",
    "users.more_events_than_expected": 'expected 0 UserDeleted of users, found 1: [{"id":1}]',
    "users.an_event_that_is_not_declared": "users does not declare that it publishes UserRenamed",
    "orders.asks_without_a_stub": "users is asked GET /api/users/7, for which the test has no stub",
    "orders.a_stub_of_no_route": "users has no route GET /api/people/7 that a stub could answer",
    "orders.a_stub_that_answers_as_the_service_would_not":
        'users would not answer GET /api/users/7 so: at "/id" expected an integer, found a string',
    "orders.a_stub_of_what_runs": "orders runs in this test: it answers GET /api/orders/1 itself",
    "orders.publishing_what_does_not_fit":
        'users can\'t publish UserDeleted: The data of UserDeleted does not fit its declared shape, at "/id": '
        "expected an integer, found a string",
    "orders.asked_otherwise_than_expected":
        "expected that users is asked GET /api/users/7 2 times, and it was 1 times",
    "orders.fewer_are_parked_than_expected": "orders has 0 parked events, expected 1; ",
    "a_service_that_is_none": "there is no service printers in this program of tests",
}


def run(program, *options):
    return subprocess.run([program, FILE, *options], capture_output=True, text=True, check=False)


def tests_pass(program, file):
    ran = subprocess.run([FREEHOLD, "test", file, "--programs", pathlib.Path(program).parent],
                         capture_output=True, text=True, check=False)
    print("# " + ran.stdout.strip().replace("\n", "\n# "))
    return ran.returncode == 0 and "FAILED" not in ran.stdout


def the_shops_tests_pass():
    return tests_pass(PROGRAM, FILE)


def the_help_desks_tests_pass_and_a_day_takes_no_time():
    return tests_pass(DESK, DESK_FILE)


def the_tests_of_what_measures_pass():
    return tests_pass(IOT, IOT_FILE)


def tests_need_no_keys():
    """Neither the gateway's, nor those of webhooks and backups: none of them is in a repository."""
    with tempfile.TemporaryDirectory() as folder:
        file, migrations = pathlib.Path(folder, "freehold.yaml"), pathlib.Path("tickets", "migrations")
        shutil.copytree(pathlib.Path(DESK_FILE).parent / migrations, folder / migrations)
        text = pathlib.Path(DESK_FILE).read_text()
        assert "  auth:\n" in text and "services:\n  tickets: { program: tickets }\n" in text
        text = text.replace("../shop/.login/keys.json", "no-keys.json") \
            .replace("  auth:\n", "  auth:\n    keys: no-api-keys.json\n"
                     "    introspection: { endpoint: 'https://login.example/introspect', client: desk, "
                     "secret: no-secret, audience: shop, subjects: people/ }\n") \
            .replace("algorithms: [EdDSA]", "algorithms: [EdDSA]\n        subjects: staff/") \
            .replace("{ program: tickets }", "{ program: tickets, outside_keys: "
                     "[{ host: hooks.example, files: [no-key] }] }")
        file.write_text(text + "backup: { key: { file: no-backup-key } }\n")
        return tests_pass(DESK, str(file))


def each_wrong_test_fails_and_says_why():
    ran = run(FAILING, "--seeds", "2", "--json")
    told = json.loads(ran.stdout)
    found = {test["name"]: test["failures"] for test in told["tests"]}
    wrong = {name: found.get(name) for name in found.keys() | REASONS.keys()
             if found.get(name) != [REASONS.get(name)]}
    print(f"# {wrong}")
    return ran.returncode == 1 and not wrong and told["passed"] == 0


def a_service_with_a_bug_is_found_by_its_tests():
    told = json.loads(run(BROKEN, "--json").stdout)
    failed = {test["name"] for test in told["tests"] if not test["passed"]}
    return failed == {"users.a_change_is_told_as_it_is_kept", "users.a_user_who_is_gone_is_told_once"}


def a_failure_is_printed_with_its_place_its_seed_and_its_trace():
    told = run(FAILING, "--only", "another_value").stdout
    return ("FAILED users.another_value (" in told and "failing.c:" in told and "seed 1, the last of" in told
            and "client" in told and "0 passed, 1 failed" in told)


def a_seed_is_one_run_line_by_line():
    options = ("--only", "orders.an_order_is_charged_once", "--trace")
    one, same, other = (run(PROGRAM, *options, "--seed", seed).stdout for seed in ("3", "3", "4"))
    return "starts" in one and one == same and one != other


def tests_are_listed_and_chosen_by_name():
    listed = run(PROGRAM, "--list").stdout.split()
    chosen = run(PROGRAM, "--list", "--only", "users.").stdout.split()
    return (chosen and chosen == [name for name in listed if "users." in name] and len(listed) > len(chosen)
            and run(PROGRAM, "--only", "nothing_of_that_name").returncode == 2
            and run(PROGRAM, "--sead", "1").returncode == 2
            and run(PROGRAM, "--seeds", "0").returncode == 2)


def time_passes_in_tests():
    """Timers and schedules, by letting days go by."""
    ran = subprocess.run([CLOCK, CLOCK_FILE], capture_output=True, text=True, check=False)
    print("# " + ran.stdout.strip().replace("\n", "\n# "))
    return ran.returncode == 0 and "FAILED" not in ran.stdout


def what_is_outside_is_a_stub():
    ran = subprocess.run([FETCH, FETCH_FILE], capture_output=True, text=True, check=False)
    print("# " + ran.stdout.strip().replace("\n", "\n# "))
    return ran.returncode == 0 and "FAILED" not in ran.stdout


def a_wrong_stub_of_what_is_outside_says_why():
    ran = subprocess.run([FETCH_FAILING, FETCH_FILE, "--seeds", "2", "--json"], capture_output=True, text=True,
                         check=False)
    found = {test["name"]: test["failures"] for test in json.loads(ran.stdout)["tests"]}
    print(f"# {found}")
    return found == {
        "rates.fetches_without_a_stub":
            ["https://api.example.org is asked GET /rates/today, for which the test has no stub"],
        "rates.a_stub_of_a_host_that_is_not_declared":
            ["no service that runs in this test fetches from https://evil.example: expected one of the declared "
             "`fetches`, such as https://api.example.org"],
        "rates.a_stub_outside_that_answers_more_than_get":
            ["https://api.example.org is asked with GET alone, so a stub can't answer POST /rates"]}


CASES = (the_shops_tests_pass, the_help_desks_tests_pass_and_a_day_takes_no_time, the_tests_of_what_measures_pass,
         time_passes_in_tests,
         each_wrong_test_fails_and_says_why, a_service_with_a_bug_is_found_by_its_tests,
         a_failure_is_printed_with_its_place_its_seed_and_its_trace, a_seed_is_one_run_line_by_line,
         tests_are_listed_and_chosen_by_name, tests_need_no_keys, what_is_outside_is_a_stub,
         a_wrong_stub_of_what_is_outside_says_why)

sys.exit(tap.run(CASES))
