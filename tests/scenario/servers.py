# SPDX-License-Identifier: Apache-2.0
"""Database servers of a test's own, for what can't be done to those that tools/servers shares: other settings,
certificates, replicas, deaths. Each listens on loopback and ends with the test."""

import os
import pathlib
import pwd
import shutil
import signal
import subprocess

import pytest

from conftest import free_port, open_folder, wait_for

ENVIRONMENT = {"LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]}
PASSWORD = "given-to-the-tests"
SERVERS_RUN = "run by tools/servers"


class Own:
    """One server. As root it runs as its package's user, to whom `folder` belongs."""

    engine, user, install = "", None, ""

    def __init__(self, folder, name):
        self.data, self.port, self.process = folder / name, free_port(), None
        self.settings = []
        self.owner = {"user": self.user, "group": self.user, "extra_groups": []} \
            if os.geteuid() == 0 and self.user else {}

    @classmethod
    def folder(cls):
        """A new one, or the test is skipped, loudly."""
        if not cls.program():
            pytest.skip(f"{cls.engine.upper()} IS NOT INSTALLED: {cls.install}")
        folder = open_folder()
        if os.geteuid() == 0 and cls.user:
            owner = pwd.getpwnam(cls.user)
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        return folder

    def own(self, path, mode=0o600):
        """A file that the server reads."""
        path.chmod(mode)
        if self.owner:
            shutil.chown(path, self.user, self.user)

    def run(self, *words, words_in=None):
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True, cwd="/", env=ENVIRONMENT,
                              input=words_in, check=False, **self.owner)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def log(self):
        return self.data.with_suffix(".log")

    def begin(self, *words):
        with open(self.log(), "ab") as log:
            self.process = subprocess.Popen([str(word) for word in words], stdout=log, stderr=log, cwd="/",
                                            env=ENVIRONMENT, **self.owner)
        wait_for(f"{self.engine} answers", self.is_up)

    def is_up(self):
        assert self.process.poll() is None, self.log().read_text()
        return self.answers()

    def stop(self, number=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(120)


class Postgres(Own):
    engine, user, install = "postgresql", "postgres", "apt-get install postgresql"

    @classmethod
    def program(cls):
        return next(iter(sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)

    def make(self):
        self.run(self.program() / "initdb", "-D", self.data, "-U", "admin", "-A", "trust", "--no-sync", "-E", "UTF8",
                 "--locale=C")
        self.admit("host all all all scram-sha-256")
        return self

    def admit(self, line):
        """Its administrator and replicas without a password, all others as the line says."""
        (self.data / "pg_hba.conf").write_text(f"local all all trust\nhost replication all 127.0.0.1/32 trust\n{line}\n")

    def start(self):
        self.begin(self.program() / "postgres", "-D", self.data, "-p", self.port, "-c", "listen_addresses=127.0.0.1",
                   "-c", f"unix_socket_directories={self.data}", "-c", "hot_standby=on",
                   "-c", "wal_receiver_status_interval=1", *self.settings)
        return self

    def answers(self):
        return not subprocess.run([self.program() / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)],
                                  check=False).returncode

    def sql(self, statement):
        return self.run(self.program() / "psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-h", self.data, "-p",
                        self.port, "-U", "admin", "-d", "postgres", "-c", statement)

    def make_store(self):
        """A database and its user, shop; and an administrator."""
        self.sql(f"CREATE ROLE shop LOGIN PASSWORD '{PASSWORD}'")
        self.sql(f"CREATE ROLE maker LOGIN CREATEDB CREATEROLE PASSWORD '{PASSWORD}'")
        self.sql("CREATE DATABASE shop OWNER shop")

    def replica(self, folder):
        """Another one, which follows; not started."""
        other = Postgres(folder, "replica")
        self.run(self.program() / "pg_basebackup", "-h", "127.0.0.1", "-p", self.port, "-U", "admin", "-D", other.data,
                 "-R", "-c", "fast", "-X", "stream", "--no-sync")
        return other

    def kill(self):
        self.stop(signal.SIGQUIT)  # at once, nothing flushed

    # As a replica.

    def follow(self):
        """It follows already, as created."""

    def pause(self):
        self.sql("SELECT pg_wal_replay_pause()")
        wait_for("it is paused", lambda: "paused" in self.sql("SELECT pg_get_wal_replay_pause_state()"))

    def resume(self):
        self.sql("SELECT pg_wal_replay_resume()")

    # With certificates, from its next start on; `clients`: it demands theirs, too.

    def use_tls(self, certificate, key, ca, clients):
        if clients:
            self.admit("hostssl all all all scram-sha-256 clientcert=verify-ca")
        self.settings = ["-c", "ssl=on", "-c", f"ssl_cert_file={certificate}", "-c", f"ssl_key_file={key}", "-c",
                         f"ssl_ca_file={ca}"]


class Maria(Own):
    engine, user, install = "mariadb", "mysql", "apt-get install mariadb-server"
    number = 0

    @classmethod
    def program(cls):
        return shutil.which("mariadbd", path="/usr/sbin:/usr/bin")

    def make(self):
        self.run("/usr/bin/mariadb-install-db", "--no-defaults", f"--datadir={self.data}", "--skip-test-db",
                 "--auth-root-authentication-method=normal")
        return self

    def start(self):
        Maria.number += 1
        self.begin(self.program(), "--no-defaults", f"--datadir={self.data}", f"--port={self.port}",
                   f"--socket={self.data}/socket", "--bind-address=127.0.0.1", f"--pid-file={self.data}/pid",
                   "--skip-name-resolve", "--innodb-buffer-pool-size=32M", "--innodb-log-file-size=16M",
                   "--performance-schema=OFF", f"--server-id={Maria.number}", "--log-bin=bin", "--sync-binlog=1",
                   "--gtid-strict-mode=1", *self.settings)
        return self

    def answers(self):
        return not subprocess.run(["/usr/bin/mariadb-admin", "--no-defaults", f"--socket={self.data}/socket", "-u", "root",
                                   "ping"], capture_output=True, check=False).returncode

    def sql(self, statement):
        return self.run("/usr/bin/mariadb", "--no-defaults", f"--socket={self.data}/socket", "-u", "root", "-N", "-B",
                        words_in=statement)

    def make_store(self):
        self.sql(f"CREATE DATABASE shop; CREATE USER shop@'%' IDENTIFIED BY '{PASSWORD}'; GRANT ALL ON shop.* TO shop@'%'; "
                 f"CREATE USER maker@'%' IDENTIFIED BY '{PASSWORD}'; GRANT ALL ON *.* TO maker@'%' WITH GRANT OPTION")

    def replica(self, folder):
        """Another one that follows by GTID from the beginning; not started."""
        other = Maria(folder, "replica").make()
        self.sql("CREATE USER IF NOT EXISTS follower@'%' IDENTIFIED BY 'follows'; GRANT REPLICATION SLAVE ON *.* TO follower@'%'")
        # What it loses in a power failure it gets again, so it need not sync.
        other.settings = ["--read-only=1", "--slave-net-timeout=5", "--innodb-flush-log-at-trx-commit=2"]
        other.primary_port = self.port
        return other

    def follow(self):
        self.sql(f"CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={self.primary_port}, MASTER_USER='follower', "
                 "MASTER_PASSWORD='follows', MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1; START SLAVE")

    def kill(self):
        self.stop(signal.SIGKILL)

    # As a replica.

    def pause(self):
        self.sql("STOP SLAVE SQL_THREAD")

    def resume(self):
        self.sql("START SLAVE SQL_THREAD")

    # With certificates, from its next start on; `clients`: it demands theirs, too.

    def use_tls(self, certificate, key, ca, clients):
        if clients:
            self.sql("ALTER USER shop@'%' REQUIRE X509")
        self.settings = [f"--ssl-cert={certificate}", f"--ssl-key={key}", f"--ssl-ca={ca}"]


class Ferret(Own):
    engine, install = "mongodb", SERVERS_RUN

    @classmethod
    def program(cls):
        return shutil.which("ferretdb")

    def make(self):
        (self.data / "files").mkdir(parents=True)
        return self

    def start(self):
        where = "--listen-tls" if self.settings else "--listen-addr"
        self.begin(self.program(), "--handler=sqlite", f"--sqlite-url=file:{self.data}/files/", f"--state-dir={self.data}",
                   f"{where}=127.0.0.1:{self.port}", *(["--listen-addr="] if self.settings else []), "--debug-addr=-",
                   "--telemetry=disable", "--log-level=warn", *self.settings)
        return self

    def answers(self):
        return not subprocess.run(["/bin/bash", "-c", f"</dev/tcp/127.0.0.1/{self.port}"], capture_output=True,
                                  check=False).returncode

    def make_store(self):
        """It creates databases on demand, and has no users."""

    def use_tls(self, certificate, key, ca, clients):
        self.settings = [f"--listen-tls-cert-file={certificate}", f"--listen-tls-key-file={key}",
                         *([f"--listen-tls-ca-file={ca}"] if clients else [])]


class Redis(Own):
    engine, user, install = "redis", "redis", "apt-get install redis-server"

    @classmethod
    def program(cls):
        return shutil.which("redis-server")

    def make(self):
        self.data.mkdir()
        if self.owner:
            shutil.chown(self.data, self.user, self.user)
        users = "".join(f"user {name} on >{PASSWORD} ~* &* +@all\n" for name in ("shop", "maker"))
        (self.data / "conf").write_text(f"dir {self.data}\nbind 127.0.0.1\nsave \"\"\nappendonly yes\nappendfsync always\n"
                                        f"user default off resetpass ~* &* +@all\n{users}")
        self.own(self.data / "conf")  # which it rewrites when it saves its users
        return self

    def start(self):
        self.begin(self.program(), self.data / "conf", *(self.settings or ["--port", self.port]))
        return self

    def answers(self):
        return not subprocess.run(["/bin/bash", "-c", f"</dev/tcp/127.0.0.1/{self.port}"], capture_output=True,
                                  check=False).returncode

    def make_store(self):
        """Its users are in its settings."""

    def use_tls(self, certificate, key, ca, clients):
        self.settings = ["--port", 0, "--tls-port", self.port, "--tls-cert-file", certificate, "--tls-key-file", key,
                         "--tls-ca-cert-file", ca, "--tls-auth-clients", "yes" if clients else "no"]
