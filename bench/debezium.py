# SPDX-License-Identifier: Apache-2.0
"""The feed on PostgreSQL beside Debezium's: rows of an outbox, decoded from the server's log by Debezium's embedded
engine and applied once in another database (bench/peer/debezium), in turn with Freehold's feed on the same server.
That is one of its own with wal_level=logical, which Debezium needs, and otherwise as all others are. Debezium begins
each round with a copy of a replication slot that is older than the outbox's rows; its first third is not counted,
since the JVM is compiling, where all of Freehold's are, its start included."""

import contextlib
import importlib.machinery
import importlib.util
import os
import pathlib
import shutil
import subprocess
import tempfile

import bars
from common import HERE, ORDER, Failed, not_measured, title
from feeds import Feed, Numbered, on_postgresql
from peers import Peer, built
from postgresql import Server
from turns import OURS, in_turn, show_turns

BAR = 2.5
EVENTS = 200_000
ROWS_A_COMMIT = 60  # about what a group of units of work commits
APPLIED_S_MAX = 300
STALLED_S_MAX = 60  # without any row, its start included
JAVA = ("-Xms1g", "-Xmx1g", "-XX:+UseParallelGC")
WHAT = "feed to applied once, PostgreSQL with wal_level=logical"
SOURCE, TARGET = "bench_debezium", "bench_debezium_to"

# As a service's events are, in a table of Debezium's own: no row of that is written twice.
OUTBOX = """CREATE TABLE outbox (position BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, event_id TEXT NOT NULL,
    type TEXT NOT NULL, version BIGINT NOT NULL, key TEXT NOT NULL, time_ms BIGINT NOT NULL, data TEXT NOT NULL)"""
FILL = f"""DO $$ BEGIN
    FOR part IN 0 .. {(EVENTS - 1) // ROWS_A_COMMIT} LOOP
        INSERT INTO outbox (event_id, type, version, key, time_ms, data)
            SELECT gen_random_uuid(), 'OrderCreated', 1, n, 1764115200000 + n, json_build_object('id', n, 'user_id', 7,
                   'product_id', 'p-1', 'quantity', 2, 'total', 5998, 'status', 'PLACED')
            FROM generate_series(part * {ROWS_A_COMMIT} + 1, least((part + 1) * {ROWS_A_COMMIT}, {EVENTS})) AS n;
        COMMIT;
    END LOOP;
END $$"""


class Debezium(Peer):
    """Its jars by Maven, pinned in pom.xml, and one file of Java."""

    tools = {"java": ("--version", (17, 0)), "javac": ("--version", (17, 0)), "mvn": ("--version", (3, 6))}

    def __init__(self, build):
        super().__init__(build, "Feed", {})
        self.place = self.build / "debezium"

    def make(self):
        self.place.mkdir(exist_ok=True)
        pinned, wanted = self.place / "pinned", (HERE / "peer" / "debezium" / "pom.xml").read_text()
        if not pinned.exists() or pinned.read_text() != wanted:
            (self.place / "pom.xml").write_text(wanted)
            shutil.rmtree(self.place / "lib", ignore_errors=True)
            wrong = built(["mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib"], self.place)
            if wrong:
                return wrong
            pinned.write_text(wanted)
        source = HERE / "peer" / "debezium" / "Feed.java"
        return built(["javac", "-cp", "lib/*", "-d", "classes", str(source)], self.place)

    def run(self, server, slot):
        """Events a second of those behind the first third."""
        server.sql(f"DROP DATABASE IF EXISTS {TARGET}")
        server.sql(f"CREATE DATABASE {TARGET}")
        server.sql(f"SELECT pg_copy_logical_replication_slot('bench', '{slot}')", SOURCE)
        try:
            return self.applied(server, slot)
        finally:  # while it is there the server keeps its log
            server.sql(f"SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '{slot}'", SOURCE)
            server.sql(f"SELECT pg_drop_replication_slot('{slot}') FROM pg_sleep(0.5)", SOURCE)

    def applied(self, server, slot):
        done = subprocess.run(
            ["java", *JAVA, "-cp", "classes:lib/*", "Feed", server.host, str(server.port), server.user, server.password,
             SOURCE, TARGET, slot, str(EVENTS), str(EVENTS // 3), str(STALLED_S_MAX)],
            cwd=self.place, capture_output=True, text=True, timeout=APPLIED_S_MAX)
        found = [line.split() for line in done.stdout.splitlines() if line.startswith("APPLIED ")]
        if done.returncode or not found:
            thrown = [line for line in done.stderr.splitlines() if line.startswith(("java.", "org.", "io."))]
            raise Failed(f"Debezium: {(thrown or ['it did not say why'])[0]}\n{done.stderr[-2000:]}{done.stdout[-2000:]}")
        rows = server.sql("SELECT count(*) FROM heard", TARGET)
        if int(rows) != EVENTS:
            raise Failed(f"of {EVENTS:,} rows Debezium has applied {rows}")
        events, us = map(int, found[0][1:])
        return events / us * 1e6


def fill(server):
    """The outbox, behind a slot that is older than each of its rows; Debezium waits for all of them, so all must be there."""
    server.sql(f"CREATE DATABASE {SOURCE}")
    for statement in (OUTBOX, "CREATE PUBLICATION bench FOR TABLE outbox",
                      "SELECT pg_create_logical_replication_slot('bench', 'pgoutput')", FILL):
        server.sql(statement, SOURCE, timeout_s=APPLIED_S_MAX)
    rows = server.sql("SELECT count(*) FROM outbox", SOURCE)
    if int(rows) != EVENTS:
        raise Failed(f"Debezium's outbox was filled with {int(rows):,} rows, not {EVENTS:,}")


@contextlib.contextmanager
def logical_server():
    """As tools/servers starts one, but that its log can be decoded. It ends with this program."""
    loader = importlib.machinery.SourceFileLoader("servers", str(HERE.parent / "tools" / "servers"))
    servers = importlib.util.module_from_spec(importlib.util.spec_from_loader("servers", loader))
    loader.exec_module(servers)

    class Logical(servers.PostgreSQL):
        def command(self):
            return [*super().command(), "-c", "wal_level=logical"]

    with tempfile.TemporaryDirectory(prefix="freehold-bench-") as folder:
        os.chmod(folder, 0o711)
        server = Logical(os.path.join(folder, "postgresql"))
        try:
            try:
                servers.start_all([server])
            except SystemExit as why:  # how that program says it
                raise Failed(f"no server of its own: {why}") from None
            yield Server(server.settings())
        finally:
            servers.stop_all([server])


def measure_beside(build, place, debezium):
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(logical_server())
        feed = Feed(stack, on_postgresql(build, Numbered(place), server))
        feed.publisher.ask("POST", "/orders", ORDER)
        server.fill(feed.publisher, EVENTS)
        fill(server)
        slots = iter(range(100))
        title(f"Events: {EVENTS:,} from the outbox to applied once in another store, PostgreSQL with wal_level=logical")
        rates = in_turn({OURS: feed.ours, "Debezium": lambda: debezium.run(server, f"bench_{next(slots)}")})
        show_turns(WHAT, rates, "events/s", {"Debezium": BAR})


@bars.part("debezium", f"{WHAT}, times Debezium")
def measure(build, folder):
    place = pathlib.Path(folder) / "debezium"
    place.mkdir()
    debezium = Debezium(build)
    if os.environ.get("FREEHOLD_TEST_POSTGRESQL") is None:
        bars.all_missing("no server: run it as `tools/servers run bench/run BUILD`")
    elif missing := debezium.missing():
        not_measured("Debezium", missing)
        bars.all_missing("it could not be run here, as is said above")
    else:
        measure_beside(build, place, debezium)
