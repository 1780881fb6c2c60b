# SPDX-License-Identifier: Apache-2.0
"""`make demo SYSTEM=iot`, shorter, with its points on a PostgreSQL: not one line of the service differs. Its telemetry is
killed while they are carried, and what was sent is there all the same, each point once."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import uuid

import pytest

from conftest import FREEHOLD, ROOT, open_folder

SECONDS = 7
PROGRAMS = pathlib.Path(FREEHOLD).parent / "examples" / "iot"


def on_postgresql(text, at, folder):
    """The system of this text under a name of its own, with what was measured on the server."""
    password = folder / "password"
    password.write_text(at["password"])
    password.chmod(0o600)
    text = re.sub(r"^system: \w+", f"system: s{uuid.uuid4().hex[:12]}", text, flags=re.MULTILINE)
    text, changed = re.subn(r"^(  telemetry: \{ program: \w+)", r"\1, derives: { measured: { server: curves } }", text,
                            flags=re.MULTILINE)
    assert changed == 1
    text = re.sub(r"program: (\w+)", rf"program: {PROGRAMS}/\1", text)
    server = (f"  curves: {{ derived: postgresql, host: {at['host']}, port: {at['port']}, user: {at['user']}, "
              f"password_file: {password}, tls: {{ mode: off }}, options: {{ database: postgres }} }}\n")
    text, changed = re.subn(r"^servers:\n", lambda found: found[0] + server, text, flags=re.MULTILINE)
    assert changed == 1
    return text


def test_what_was_sent_is_on_the_server_whoever_is_killed():
    if "FREEHOLD_TEST_POSTGRESQL" not in os.environ:
        pytest.skip("NOT RUN WITH POSTGRESQL: FREEHOLD_TEST_POSTGRESQL names no server")
    folder = open_folder()
    try:
        examples = folder / "examples"
        shutil.copytree(ROOT / "examples", examples)
        file = examples / "iot" / "freehold.yaml"
        file.write_text(on_postgresql(file.read_text(), json.loads(os.environ["FREEHOLD_TEST_POSTGRESQL"]), folder))
        done = subprocess.run([examples / "iot" / "demo", "--freehold", FREEHOLD, "--state", folder / "s",
                               "--seconds", str(SECONDS)], capture_output=True, text=True, timeout=300, check=False,
                              env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "ONCE": "0"})
        status = subprocess.run([FREEHOLD, "status", "--state", folder / "s", "--once"], capture_output=True, text=True,
                                timeout=60, check=False).stdout
        subprocess.run([FREEHOLD, "stop", "--state", folder / "s"], capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "All of it is right." in done.stdout and done.stdout.count("kill -9") == 2, done.stdout
        assert re.search(r"^telemetry +measured +PostgreSQL +0 +carrying$", status, re.MULTILINE), status
    finally:
        shutil.rmtree(folder, ignore_errors=True)
