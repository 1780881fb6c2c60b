# SPDX-License-Identifier: Apache-2.0
"""Servers that run only while a part measures them: a node of OpenSearch beside all others would be felt by them."""

import contextlib
import json
import os
import subprocess
import sys

from common import HERE, Failed

TOLD = "import json, os, sys; print(json.dumps(dict(os.environ)), flush=True); sys.stdin.read()"


@contextlib.contextmanager
def server(kind):
    """Its settings, as tools/servers tells them, and why this machine has none: one of both is None."""
    name = f"FREEHOLD_TEST_{kind.upper()}"
    if told := os.environ.get(name):
        yield json.loads(told), None
        return
    with subprocess.Popen([HERE.parent / "tools" / "servers", "run", sys.executable, "-c", TOLD], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True, env={**os.environ, "TOOLS_SERVERS_ONLY": kind}) as process:
        try:
            environment = json.loads(process.stdout.readline() or "{}")
            missing = json.loads(environment.get("FREEHOLD_TEST_MISSING", "{}"))
            if name not in environment and kind not in missing:
                raise Failed(f"{kind} did not start")
            yield (None, missing[kind]) if kind in missing else (json.loads(environment[name]), None)
        finally:
            process.stdin.close()
            process.wait()
