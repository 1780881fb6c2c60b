# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL behind PgBouncer, as many people run it: in session mode everything that is true of the engine without it
is true; in transaction mode the store is refused, with the reason."""

import json
import os
import pathlib
import pwd
import shutil
import socket
import subprocess

import pytest

from conftest import FREEHOLD, folder_for, free_port, wait_for

SERVER = json.loads(os.environ.get("FREEHOLD_TEST_POSTGRESQL", "null"))
SUITES = pathlib.Path(FREEHOLD).parent / "tests" / "conformance"
SUITE_S_MAX = 280

CONFIGURATION = """[databases]
* = host={host} port={port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own_port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {folder}/users
pool_mode = {mode}
default_pool_size = 100
max_client_conn = 400
"""


@pytest.fixture(params=["session", "transaction"])
def pooler(request):
    program = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")
    if not SERVER:
        pytest.skip("FREEHOLD_TEST_POSTGRESQL names no server (tools/servers run ...)")
    if not program:
        pytest.skip("pgbouncer is not installed (apt-get install pgbouncer)")
    folder = folder_for(request)
    port = free_port()
    files = {"users": f'"{SERVER["user"]}" "{SERVER["password"]}"\n',
             "pgbouncer.ini": CONFIGURATION.format(**SERVER, own_port=port, folder=folder,
                                                   mode=request.param)}
    command = [program, str(folder / "pgbouncer.ini")]
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(0o600)
    if os.getuid() == 0:  # which it refuses to run as
        user = pwd.getpwnam("postgres")
        for path in (folder, *folder.iterdir()):
            os.chown(path, user.pw_uid, user.pw_gid)
        command += ["--user", "postgres"]
    with open(folder / "log", "w", encoding="utf-8") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def answers():
        assert process.poll() is None, (folder / "log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_for("PgBouncer answers", answers)
    yield request.param, port
    process.terminate()
    process.wait()


def run(suite, port):
    """Its last lines and what it returned, with PgBouncer in place of the server."""
    told = {**SERVER, "host": "127.0.0.1", "port": port}
    done = subprocess.run([SUITES / f"{suite}_conformance"], capture_output=True, text=True, check=False,
                          timeout=SUITE_S_MAX,
                          env={**os.environ, "FREEHOLD_TEST_POSTGRESQL": json.dumps(told),
                               "FREEHOLD_TEST_MARIADB": "", "CMOCKA_MESSAGE_OUTPUT": "TAP",
                               "CMOCKA_TEST_FILTER": "postgresql:*"})
    return done.returncode, done.stdout + done.stderr


def test_in_session_mode_postgresqls_own_suite_holds_and_in_transaction_mode_it_is_refused(pooler):
    mode, port = pooler
    failed, output = run("postgresql", port)
    if mode == "session":
        assert failed == 0, output[-4000:]
        assert "ok 1 " in output
    else:
        assert failed != 0
        assert "pool_mode=session" in output, output[-4000:]
