# SPDX-License-Identifier: Apache-2.0
"""`make demo SYSTEM=iot`, shorter: what this machine counts is measured while two services are killed, and is right."""

import os
import shutil
import subprocess

from conftest import FREEHOLD, ROOT, open_folder

SECONDS = 7


def test_what_was_sent_is_there_and_the_alerts_are_those_that_were_due():
    folder = open_folder()
    try:
        done = subprocess.run([ROOT / "examples" / "iot" / "demo", "--freehold", FREEHOLD, "--state", folder / "s", "--once",
                               "--seconds", str(SECONDS)], capture_output=True, text=True, timeout=300, check=False,
                              env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
        assert done.returncode == 0, done.stdout + done.stderr
        assert "All of it is right." in done.stdout and done.stdout.count("kill -9") == 2, done.stdout
    finally:
        shutil.rmtree(folder, ignore_errors=True)
