#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The tests of a service in C++, a case each: called with their program and the system file."""

import json
import subprocess
import sys

PROGRAM, FILE = sys.argv[1:3]

ran = subprocess.run([PROGRAM, FILE, "--seeds", "20", "--json"], capture_output=True, text=True, check=False)
print(f"1..{4}")
try:
    tests = json.loads(ran.stdout)["tests"]
except (ValueError, KeyError):
    tests = []
    print("# " + (ran.stdout + ran.stderr).replace("\n", "\n# "))
print(f"{'ok' if len(tests) == 3 else 'not ok'} 1 - three tests were run")
for number in range(2, 5):
    test = tests[number - 2] if number - 2 < len(tests) else {"name": "a test that was not run", "passed": False}
    print(f"{'ok' if test['passed'] else 'not ok'} {number} - {test['name']}")
    for failure in test.get("failures", []):
        print(f"# {failure}")
