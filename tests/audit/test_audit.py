# SPDX-License-Identifier: Apache-2.0
"""A tenth of `make audit`: the audit's client writes and kills, and compares what was acknowledged
with what is there. FREEHOLD_SEED repeats what its chance draws."""

import os
import pathlib
import random
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
FREEHOLD = pathlib.Path(os.environ.get("FREEHOLD", HERE.parent.parent / "build" / "freehold"))
SEED = int(os.environ.get("FREEHOLD_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)
WRITES, KILLS = 100_000, 20


def test_100_000_acknowledged_writes_and_20_kills_lose_nothing_double_nothing_and_keep_the_order():
    done = subprocess.run([HERE / "run", FREEHOLD.parent, str(WRITES), str(KILLS), str(SEED)],
                          capture_output=True, text=True, check=False)
    print(done.stdout, done.stderr)
    assert done.returncode == 0
