# SPDX-License-Identifier: Apache-2.0
"""What things measure, on an InfluxDB: not one line of the service differs, and all curves are right."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import uuid

import pytest

from conftest import FREEHOLD, ROOT, open_folder, with_programs

EXAMPLES = ROOT / "examples"
SECONDS = 7


def on_influxdb(text, folder):
    """The system of this text under a name of its own, with what is measured on the server."""
    if "FREEHOLD_TEST_INFLUXDB" not in os.environ:
        pytest.skip("NOT RUN WITH INFLUXDB: FREEHOLD_TEST_INFLUXDB names no server")
    at = json.loads(os.environ["FREEHOLD_TEST_INFLUXDB"])
    password = folder / "password"
    password.write_text(at["password"])
    password.chmod(0o600)
    text = re.sub(r"^system: \w+", f"system: s{uuid.uuid4().hex[:12]}", text, flags=re.MULTILINE)
    text, changed = re.subn(r"^(  telemetry: \{ program: [^ ,}]+)", r"\1, derives: { measured: { server: points } }", text,
                            flags=re.MULTILINE)
    assert changed == 1
    private = "  points: { derived: influxdb }\n"  # of the profile `servers`
    assert private in text
    return text.replace(private, f"  points: {{ derived: influxdb, host: {at['host']}, port: {at['port']}, user: {at['user']},"
                                 f" password_file: {password}, tls: {{ mode: off }} }}\n")


def test_what_was_measured_is_on_influxdb_though_services_are_killed():
    folder = open_folder()
    try:
        iot = folder / "iot"
        iot.mkdir()
        for one in (*EXAMPLES.iterdir(), *(EXAMPLES / "iot").iterdir()):
            if one.name not in ("iot", "demo", "freehold.yaml"):
                (folder / one.relative_to(EXAMPLES)).symlink_to(one)
        shutil.copy(EXAMPLES / "iot" / "demo", iot)
        text = with_programs((EXAMPLES / "iot" / "freehold.yaml").read_text(),
                             pathlib.Path(FREEHOLD).parent / "examples" / "iot")
        (iot / "freehold.yaml").write_text(on_influxdb(text, folder))
        done = subprocess.run([iot / "demo", "--freehold", FREEHOLD, "--state", folder / "s", "--once",
                               "--seconds", str(SECONDS)], capture_output=True, text=True, timeout=300, check=False,
                              env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
        assert done.returncode == 0, done.stdout + done.stderr
        assert "All of it is right." in done.stdout and done.stdout.count("kill -9") == 2, done.stdout
    finally:
        shutil.rmtree(folder, ignore_errors=True)
