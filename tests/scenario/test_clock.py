# SPDX-License-Identifier: Apache-2.0
"""A service whose wall clock is days off, in a system whose other clocks are right: it is reported by name, in the
status, the log and the state, and need not be guessed from refused tokens. Only that process's clock is moved
(libfaketime), never the machine's."""

import email.utils
import http.client
import os
import pathlib
import shutil
import time

import pytest

from conftest import SANITIZED, open_folder, wait_for, why_not
from test_identity import PROGRAMS, shop_with

FAKETIME = next(iter(sorted(pathlib.Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)
DAY_S = 86400
pytestmark = [pytest.mark.skipif(FAKETIME is None, reason="NOT RUN: libfaketime is not installed (tools/deps)"),
              pytest.mark.skipif(SANITIZED, reason="NOT RUN: a sanitized program bears no library before its own")]


def shifted(folder, service):
    """A program that runs the service's with a clock of its own, which a file sets at any moment: in the service's
    folder, since it can read no other."""
    shift, program = folder / "s" / service / "shift", folder / service
    program.write_text("#!/bin/sh\n"
                       f"LD_PRELOAD={FAKETIME} FAKETIME_TIMESTAMP_FILE={shift} FAKETIME_NO_CACHE=1 "
                       "FAKETIME_DONT_FAKE_MONOTONIC=1 DONT_FAKE_MONOTONIC=1 FAKETIME_DONT_RESET=1 "
                       f"exec {PROGRAMS / service} \"$@\"\n")
    program.chmod(0o755)
    return shift, {"program": str(program)}


def set_clock(shift, seconds):
    new = shift.with_suffix(".new")
    new.write_text(f"{seconds:+d}\n")
    os.rename(new, shift)


def clock_of(system, service):
    """As its answers show it: how far it is ahead of this process's, in seconds."""
    host, port = system.services()[service]["address"].rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    try:
        connection.request("GET", "/livez")
        told = email.utils.parsedate_to_datetime(connection.getresponse().getheader("Date"))
        return told.timestamp() - time.time()
    finally:
        connection.close()


def notes(system):
    return system.command("status", "--state", system.state, check=False).stdout


def log_of(system, service):
    return (pathlib.Path(system.state) / service / "log").read_text()


@pytest.fixture(scope="module")
def shop():
    folder = open_folder()
    shift, orders = shifted(folder, "orders")
    if not why_not("postgresql"):
        orders["engine"] = "postgresql"
    system = shop_with(folder, orders=orders).up()
    yield system, shift
    system.stop(check=False)
    shutil.rmtree(folder, ignore_errors=True)


def test_a_service_whose_clock_is_days_ahead_is_named_until_it_agrees_again(shop):
    system, shift = shop
    assert abs(clock_of(system, "orders")) < 5 and "The clock of" not in notes(system)
    set_clock(shift, 2 * DAY_S + 3 * 3600 + 60)
    wait_for("it took", lambda: clock_of(system, "orders") > 2 * DAY_S)
    wait_for("the status names it",
             lambda: "The clock of orders is 2 days 3 h ahead of this system's." in notes(system))
    assert system.services()["orders"]["instances"][0]["clock_ahead_ms"] > 2 * DAY_S * 1000
    if system.services()["orders"]["engine"] == "postgresql":
        wait_for("it says so itself, by its store's server", lambda: "The clock of orders is 2 days 3 h ahead of its "
                 "store's server's" in log_of(system, "orders"))
    # Those that it calls learn of it, too: from its tokens, though they are refused.
    wait_for("who is called says so", lambda: "The clock of orders is 2 days 3 h ahead of that of" in
             log_of(system, "users") + log_of(system, "products") + log_of(system, "payments"))
    set_clock(shift, 0)
    wait_for("it agrees again", lambda: abs(clock_of(system, "orders")) < 5)
    wait_for("nobody is named", lambda: "The clock of" not in notes(system))


def test_one_that_is_days_behind_is_named_as_well(shop):
    system, shift = shop
    set_clock(shift, -DAY_S - 60)
    wait_for("it took", lambda: clock_of(system, "orders") < -DAY_S)
    wait_for("the status names it", lambda: "The clock of orders is 1 day behind this system's." in notes(system))
    set_clock(shift, 0)
    wait_for("nobody is named", lambda: "The clock of" not in notes(system))
