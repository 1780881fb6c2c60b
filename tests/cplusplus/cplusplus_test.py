#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The tests of a service in C++, a case each: called with their program and the system file."""

import json
import subprocess
import sys

PROGRAM, FILE = sys.argv[1:3]

TESTS = 4

ran = subprocess.run([PROGRAM, FILE, "--seeds", "20", "--json"], capture_output=True, text=True, check=False)
print(f"1..{TESTS}")
try:
    tests = json.loads(ran.stdout)["tests"]
except (ValueError, KeyError):
    tests = []
    print("# " + (ran.stdout + ran.stderr).replace("\n", "\n# "))
tests += [{"name": "a test that was not run", "passed": False}] * (TESTS - len(tests))
for number, test in enumerate(tests, 1):
    print(f"{'ok' if test['passed'] else 'not ok'} {number} - {test['name']}")
    for failure in test.get("failures", []):
        print(f"# {failure}")
