# SPDX-License-Identifier: Apache-2.0
"""A short history on each engine while everything fails, judged by the checker. The long ones are `make audit ENGINE=...`.

FREEHOLD_SEED repeats what chance draws."""

import os
import pathlib
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve().parent
FREEHOLD = pathlib.Path(os.environ.get("FREEHOLD", HERE.parent.parent / "build" / "freehold"))
SEED = os.environ.get("FREEHOLD_SEED", "0")
MINUTES, CLIENTS = "0.15", "12"
CASE_S_MAX = 500


@pytest.mark.parametrize("engine", ["sqlite", "postgresql", "mariadb", "redis", "ferretdb", "mongo-java-server"])
def test_what_clients_were_told_is_what_the_stores_hold_whatever_fails(engine):
    done = subprocess.run([HERE / "run", "--engine", engine, "--minutes", MINUTES, "--clients", CLIENTS, "--seed", SEED,
                           "--build", FREEHOLD.parent], capture_output=True, text=True, check=False, timeout=CASE_S_MAX)
    print(done.stdout, done.stderr)
    if done.returncode == 2 and "NOT RUN ON" in done.stdout:
        pytest.skip(done.stdout)
    assert done.returncode == 0


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_what_a_restored_publisher_has_lost_is_given_up_and_reported(engine):
    done = subprocess.run([HERE / "run", "--engine", engine, "--minutes", "0.1", "--clients", "8", "--seed", SEED, "--faults",
                           "none", "--restore", "recorder", "--build", FREEHOLD.parent], capture_output=True, text=True,
                          check=False, timeout=CASE_S_MAX)
    print(done.stdout, done.stderr)
    if done.returncode == 2 and "NOT RUN ON" in done.stdout:
        pytest.skip(done.stdout)
    assert done.returncode == 0
    assert "restore of recorder: " in done.stdout and " values of the recorder" in done.stdout, "something was lost"


def test_a_program_that_doubles_what_it_gets_is_found_out(tmp_path):
    """The whole of it, not only the checker: somebody else writes one more value into a list."""
    del tmp_path
    done = subprocess.run([HERE / "run", "--engine", "sqlite", "--minutes", "0.05", "--clients", "4", "--seed", SEED,
                           "--faults", "none", "--plant", "--build", FREEHOLD.parent], capture_output=True, text=True,
                          check=False, timeout=CASE_S_MAX)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "REFUSED: list" in done.stdout and "which nobody sent" in done.stdout, done.stdout
