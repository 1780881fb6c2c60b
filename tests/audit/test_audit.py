# SPDX-License-Identifier: Apache-2.0
"""A tenth of `make audit`: the audit's client writes and kills, and compares what was acknowledged
with what is there. FREEHOLD_SEED repeats what its chance draws."""

import http.client
import os
import pathlib
import random
import re
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
FREEHOLD = pathlib.Path(os.environ.get("FREEHOLD", HERE.parent.parent / "build" / "freehold"))
SEED = int(os.environ.get("FREEHOLD_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)
WRITES, KILLS = 100_000, 20


def command(writes, kills):
    return [HERE / "run", FREEHOLD.parent, str(writes), str(kills), str(SEED)]


def test_100_000_acknowledged_writes_and_20_kills_lose_nothing_double_nothing_and_keep_the_order():
    done = subprocess.run(command(WRITES, KILLS), capture_output=True, text=True, check=False)
    print(done.stdout, done.stderr)
    assert done.returncode == 0


def test_an_entry_that_was_not_acknowledged_fails_the_audit(tmp_path):
    """Somebody else writes one more: both stores hold what the journal does not."""
    audit = subprocess.Popen(command(20_000, 0), stdout=subprocess.PIPE, text=True,
                             env={**os.environ, "TMPDIR": str(tmp_path)})
    with audit.stdout:
        port = next(int(found[1]) for line in audit.stdout
                    if (found := re.search(r"up at http://127\.0\.0\.1:(\d+)", line)))
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("POST", "/entries", '{"key": "k1", "number": 1, "value": "0"}',
                           {"Content-Type": "application/json", "Idempotency-Key": "somebody-else"})
        assert connection.getresponse().status == 201
        connection.close()
        said = audit.stdout.read()
    assert audit.wait() == 1, said
    assert "The audit has FAILED" in said
    for store in ("entries", "heard"):
        line = re.search(rf"^/{store}: 20001 rows; (.*)$", said, re.MULTILINE)
        assert line and "1 " in line[1], said
