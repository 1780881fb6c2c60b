# SPDX-License-Identifier: Apache-2.0
"""A tenth of `make audit`: the audit's client writes and kills, and compares what was acknowledged
with what is there; and less of it on each kind of server. FREEHOLD_SEED repeats what its chance draws."""

import http.client
import os
import pathlib
import random
import re
import signal
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve().parent
FREEHOLD = pathlib.Path(os.environ.get("FREEHOLD", HERE.parent.parent / "build" / "freehold"))
SEED = int(os.environ.get("FREEHOLD_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)
WRITES, KILLS = 100_000, 20
WRITES_ON_SERVERS, KILLS_ON_SERVERS = 6_000, 5


def command(writes, kills, *profile):
    return [HERE / "run", FREEHOLD.parent, str(writes), str(kills), str(SEED), *profile]


def test_100_000_acknowledged_writes_and_20_kills_lose_nothing_double_nothing_and_keep_the_order():
    done = subprocess.run(command(WRITES, KILLS), capture_output=True, text=True, check=False)
    print(done.stdout, done.stderr)
    assert done.returncode == 0


@pytest.mark.parametrize("profile", ["postgresql", "mariadb"])
def test_the_same_holds_on_servers(profile):
    can = subprocess.run([FREEHOLD, "check", HERE / "freehold.yaml", "--profile", profile], capture_output=True,
                         text=True, check=False, env={**os.environ, "AUDIT_PROGRAMS": FREEHOLD.parent / "tests" / "audit"})
    if can.returncode and re.search(r"is not (installed|built in)", can.stderr + can.stdout):
        pytest.skip(f"NOT AUDITED ON {profile}: {can.stderr}{can.stdout}")
    done = subprocess.run(command(WRITES_ON_SERVERS, KILLS_ON_SERVERS, profile), capture_output=True, text=True,
                          check=False)
    print(done.stdout, done.stderr)
    assert done.returncode == 0


def test_an_entry_that_was_not_acknowledged_fails_the_audit(tmp_path):
    """Somebody else writes one more: both stores hold what the journal does not."""
    audit = subprocess.Popen(command(20_000, 0), stdout=subprocess.PIPE, text=True, start_new_session=True,
                             env={**os.environ, "TMPDIR": str(tmp_path)})
    with audit.stdout:
        port = next(int(found[1]) for line in audit.stdout
                    if (found := re.search(r"up at http://127\.0\.0\.1:(\d+)", line)))
        os.killpg(audit.pid, signal.SIGSTOP)  # the system goes on: it is in sessions of its own
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("POST", "/entries", '{"series": "k1", "number": 1, "value": "0"}',
                           {"Content-Type": "application/json", "Idempotency-Key": "somebody-else"})
        assert connection.getresponse().status == 201
        connection.close()
        os.killpg(audit.pid, signal.SIGCONT)
        said = audit.stdout.read()
    assert audit.wait() == 1, said
    assert "The audit has FAILED" in said
    for store in ("entries", "heard"):
        line = re.search(rf"^/{store}: 20001 rows; (.*)$", said, re.MULTILINE)
        assert line and "1 " in line[1], said


@pytest.mark.parametrize("engine, minutes, said", [
    ("oracle", "2", "ENGINE=oracle is not an engine: use sqlite, "),
    ("ferretdb", "2", "ENGINE=ferretdb is not an engine: use sqlite, "),
    ("postgresql mariadb", "2", "ENGINE=postgresql mariadb is not an engine: use sqlite, "),
    ("postgresql", "1h", "MINUTES=1h is not a number of minutes: "),
    ("postgresql", "0", "MINUTES=0 is not a number of minutes: ")])
def test_an_engine_or_a_time_that_is_none_is_refused_with_a_sentence(engine, minutes, said):
    refused = subprocess.run([HERE / "links", FREEHOLD.parent, engine, minutes], capture_output=True, text=True,
                             check=False, timeout=60)
    assert refused.returncode == 2 and refused.stderr.startswith(f"make audit: {said}"), refused.stderr
