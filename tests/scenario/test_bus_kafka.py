# SPDX-License-Identifier: Apache-2.0
"""As test_bus.py, by a private Kafka. What it lets whom do is asked with a client of its own (kafka_client.py) and with
kcat."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import threading

import pytest
from buses import (MINUTES_SANITIZED, TOPICS, broker_name, broker_pid, bus, check_says_which_topics_travel_how,
                   check_says_who_could_do_what, events_arrive, held_up_broker_holds_up_nobody,
                   kill_broker, killed_broker_is_used_again, make_order, no_service_reaches_the_brokers_files,
                   nothing_is_lost_or_doubled, only_who_is_concerned_is_told, rename, restarted)
from conftest import FREEHOLD, SHOP_FILE, named, wait_for
from kafka_client import GROUP, READ, TOPIC, WRITE, Kafka, Refused, kcat
from shop_part import *  # noqa: F401,F403 the shop's own tests
from test_confinement import LANDLOCK

ADMINISTRATOR = "@freehold"


@pytest.fixture(scope="module")
def shop(start):
    """Its status says that it is ready once users have their rights; `up` does not wait for a broker."""
    shop = start(SHOP_FILE, named("kafka"))
    broker_pid(shop)
    return shop


def folder(shop):
    return pathlib.Path(shop.state) / ".servers" / broker_name(shop)


def listening(pid):
    """The addresses at which a process listens, as /proc/net/tcp has them."""
    sockets = {os.readlink(one) for one in pathlib.Path(f"/proc/{pid}/fd").iterdir()
               if os.path.lexists(one) and os.readlink(one).startswith("socket:")}
    inodes = {one[len("socket:["):-1] for one in sockets}
    return [line.split()[1] for table in ("tcp", "tcp6") for line in
            pathlib.Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
            if line.split()[3] == "0A" and line.split()[9] in inodes]


def controller_port(shop):
    return next(port for port in (int(one.split(":")[1], 16) for one in listening(broker_pid(shop)))
                if port != bus(shop, "users")["port"])


def administrator(shop):
    return json.loads((folder(shop) / "server.json").read_text())["password"]


# ---- That they do ----------------------------------------------------------------------------

def test_topics_are_there_before_there_are_events(shop):
    """The broker starts more slowly than a publisher waits for it; subscribers find the topic all the same."""
    wait_for("all subscribers take events from the bus", lambda: all(
        one["connected"] for service in ("search", "orders", "users") for one in shop.state_of(service)["buses"]))
    assert "Fatal error" not in shop.logs()  # nor has one who only subscribes asked to publish


def test_events_arrive_by_the_broker_and_it_is_said(shop):
    events_arrive(shop, "Kafka")


def test_the_check_says_which_topics_travel_how(shop):
    check_says_which_topics_travel_how(shop)


@pytest.mark.skipif(not shutil.which("kcat"), reason="THERE IS NO kcat")
def test_another_client_reads_events_as_a_subscriber(shop, tmp_path):
    user, _ = make_order(shop)
    rename(shop, user, "Known Outside")
    said = wait_for("its event is there", lambda: [line for line in kcat(
        tmp_path, bus(shop, "orders", "users"), "-C", "-t", "freehold-shop-users", "-e", "-q", "-f", "%k %s\n").splitlines()
        if line.startswith(f"{user} ") and "UserUpdated" in line])
    assert json.loads(said[0].partition(" ")[2])["data"]["name"] == "Known Outside", said


# ---- Who gets to it --------------------------------------------------------------------------

def test_only_who_is_concerned_is_told_of_the_broker(shop):
    only_who_is_concerned_is_told(shop)


@pytest.mark.skipif(LANDLOCK < 1, reason="THIS KERNEL HAS NO LANDLOCK: NOTHING WAS PROVED")
def test_no_service_reaches_the_brokers_files_nor_anothers_credentials(shop):
    no_service_reaches_the_brokers_files(shop)


def test_it_listens_on_two_ports_of_loopback_and_keeps_no_secrets_about(shop):
    pid = broker_pid(shop)
    ports = listening(pid)
    assert len(ports) == 2 and f"0100007F:{bus(shop, 'users')['port']:04X}" in ports, ports
    assert all(one.startswith("0100007F:") for one in ports), ports
    assert not (folder(shop) / "secret").exists()
    assert stat.S_IMODE((folder(shop) / "server.json").stat().st_mode) == 0o600
    secrets = {bus(shop, service)["password"] for service in ("users", "products", "orders")} | {administrator(shop)}
    key = re.sub(r"-.*-|\s", "", (folder(shop) / "tls-key.pem").read_text())
    shown = subprocess.run(["ps", "axeww", "-o", "args"], capture_output=True, text=True, check=True).stdout + shop.logs()
    for path in folder(shop).rglob("*"):
        if path.is_file() and path.name not in ("server.json", "tls-key.pem") and not path.name.endswith("index"):
            shown += path.read_text(errors="replace")
    assert not [secret for secret in (*secrets, key[-40:]) if secret in shown]
    assert not list(pathlib.Path("/tmp").glob(f"hsperfdata_*/{pid}"))


ITS, OTHERS, OWN = "freehold-shop-products", "freehold-shop-users", "freehold-shop-orders"
ORDERS, SEARCH = "freehold-orders-0-1", "freehold-search-0-1"
ADMINISTRATION = (*((verb, name) for verb in ("delete_topic", "more_partitions", "change_topic", "replace_settings", "empty")
                    for name in (ITS, OTHERS)),
                  ("change_server", "1"), ("change_server", ""), ("create_topic", OTHERS), ("create_topic", "anything"),
                  ("create_topic", "__consumer_offsets"), ("settings_of", OTHERS), ("give_right", "orders@products"),
                  ("take_rights", "users"), ("rights", "users"), ("transact", "anything"), ("read", "__consumer_offsets"),
                  ("ends", OTHERS), ("read", OTHERS), ("place", SEARCH, ITS), ("move_place", SEARCH, ITS),
                  ("forget_place", SEARCH, ITS), ("join", SEARCH), ("find_coordinator", SEARCH), ("delete_group", SEARCH),
                  ("move_place", "anything", ITS), ("join", "anything"))


def refused(told, attempt):
    client = Kafka(told)
    try:
        with pytest.raises(Refused, match="AUTHORIZATION_FAILED"):
            getattr(client, attempt[0])(*attempt[1:])
    finally:
        client.close()


@pytest.mark.parametrize("attempt", [*ADMINISTRATION, ("create_topic", ITS), ("settings_of", ITS), ("delete_group", ORDERS),
                                     ("forget_place", ORDERS, ITS), ("move_place", ORDERS, OTHERS)], ids="-".join)
def test_a_hostile_subscriber_can_only_read_its_topic(shop, attempt):
    """As orders, which subscribes to products; what it may do with users' topic it may do as another user."""
    refused(bus(shop, "orders", "products"), attempt)


@pytest.mark.parametrize("attempt", [*ADMINISTRATION, ("read", ITS), ("join", ORDERS), ("place", ORDERS, ITS)], ids="-".join)
def test_a_hostile_publisher_can_only_publish_to_its_topic(shop, attempt):
    refused(bus(shop, "products"), attempt)


@pytest.mark.skipif(not shutil.which("kcat"), reason="THERE IS NO kcat")
def test_nobody_publishes_to_anothers_topic(shop, tmp_path):
    for told, topic in ((bus(shop, "orders", "products"), ITS), (bus(shop, "products"), OTHERS), (bus(shop, "products"), "any"),
                        (bus(shop, "products"), "__consumer_offsets")):
        with pytest.raises(Refused, match="authorization failed"):
            kcat(tmp_path, told, "-P", "-t", topic, "-p", "0", "-X", "message.timeout.ms=5000", given="forged\n")


def test_what_its_part_takes_it_may_do_and_nothing_else_is_seen(shop):
    publisher, subscriber = Kafka(bus(shop, "products")), Kafka(bus(shop, "orders", "products"))
    publisher.settings_of(ITS)
    publisher.ends(ITS)
    assert publisher.topics() == subscriber.topics() == {ITS}
    with pytest.raises(Refused, match="36"):  # it is there already
        publisher.create_topic(ITS)
    subscriber.read(ITS)
    subscriber.place(ORDERS, ITS)
    assert publisher.groups() == [] and {name for name, _ in subscriber.groups()} <= {ORDERS}
    publisher.close()
    subscriber.close()


@pytest.mark.parametrize("user, password", [("", ""), ("orders", "wrong"), ("orders", ""), ("admin", "admin"), ("freehold", "x"),
                                            (ADMINISTRATOR, "x"), ("ANONYMOUS", "")])
def test_strangers_are_not_let_in(shop, user, password):
    with pytest.raises((Refused, ConnectionError), match="SASL_AUTHENTICATION_FAILED|closed|reset"):
        Kafka(bus(shop, "orders"), user, password)


def test_a_service_is_not_let_in_at_the_controllers_port(shop):
    port = controller_port(shop)
    for told in (bus(shop, "users"), bus(shop, "orders", "users")):
        with pytest.raises((Refused, ConnectionError), match="SASL_AUTHENTICATION_FAILED|closed|reset"):
            Kafka(told, port=port)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as plain, contextlib.suppress(ConnectionResetError):
        plain.sendall(b"\0\0\0\x0b\0\x12\0\0\0\0\0\x01\0\x01x")  # without TLS it is not even listened to:
        assert plain.recv(1) in (b"", b"\x15")                     # closed, or an alert
    Kafka(bus(shop, "users"), ADMINISTRATOR, administrator(shop), port).close()


def test_check_says_who_could_do_what(shop):
    check_says_who_could_do_what(shop, "kafka", "see it, publish to it, make it")


def test_how_a_password_is_shown_to_it_is_not_the_files_choice(tmp_path):
    (tmp_path / "freehold.yaml").write_text(
        "system: wrong\nservers:\n  a: { broker: kafka, options: { mechanism: PLAIN } }\nbus: a\nservices: { users: { program: "
        f"{pathlib.Path(FREEHOLD).parent}/examples/shop/users, migrations: {SHOP_FILE.parent}/users/migrations }} }}\n")
    done = subprocess.run([FREEHOLD, "check", tmp_path / "freehold.yaml"], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and re.search(r"3:\d+: error: servers.a.options.mechanism: to a private", done.stderr), done


# ---- What becomes of it ----------------------------------------------------------------------

def test_a_broker_that_is_held_up_holds_up_nobody_and_is_said(shop):
    held_up_broker_holds_up_nobody(shop, "Kafka")


def test_a_killed_broker_is_started_again_and_used_again(shop):
    killed_broker_is_used_again(shop)


def stranger_at(port, folder):
    """A socket that listens at the port in the broker's place, with TLS and a certificate that says so."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
                    "-keyout", folder / "key", "-out", folder / "certificate", "-subj", "/CN=127.0.0.1", "-addext",
                    "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate", folder / "key")
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

    def listens():
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen(100)
        except OSError:
            return False
        return True
    return context, listener, listens


def test_who_takes_its_port_is_told_nothing(shop, tmp_path):
    """Neither by services nor by its supervisor, which looks whether it answers."""
    context, listener, listens = stranger_at(bus(shop, "users")["port"], tmp_path)
    log, seen, told = folder(shop) / "log", 0, b""
    before = log.read_text().count("[server-ended]")
    supervisor = kill_broker(shop)
    wait_for("the port is taken", listens)
    listener.settimeout(20)
    with listener:
        while seen < 20 or log.read_text().count("[server-ended]") == before:
            plain, _ = listener.accept()
            plain.settimeout(5)
            with contextlib.suppress(OSError), context.wrap_socket(plain, server_side=True) as connection:
                told += connection.recv(4096)
            plain.close()
            seen += 1
    assert told == b""
    restarted(shop, supervisor)
    wait_for("all is relayed", lambda: all(
        (told := shop.state_of(name)["bus"])["connected"] and told["depth"] == 0 for name in TOPICS))


def rights_of(shop, user):
    client = Kafka(bus(shop, "users"), ADMINISTRATOR, administrator(shop))
    try:
        return client.rights(user)
    finally:
        client.close()


def test_users_and_their_rights_are_those_that_there_are_now(shop):
    """`up` writes who they are; here it has written that one is no longer there, and somebody gave another one more."""
    theirs = {(TOPIC, OTHERS, READ), *((GROUP, f"freehold-orders-{index}-{of}", READ) for index, of in
                                       ((0, 1), *((i, 8) for i in range(8))))}
    assert rights_of(shop, "orders@users") == theirs
    former, file = dict(bus(shop, "orders", "users")), folder(shop) / "server.json"
    client = Kafka(bus(shop, "users"), ADMINISTRATOR, administrator(shop))
    client.give_right("products")
    client.close()
    kept = file.read_text()
    told = json.loads(kept)
    for topic in told["stores"]:
        topic["subscribers"] = [one for one in topic["subscribers"] if one["user"] != "orders@users"]
    try:
        file.write_text(json.dumps(told))
        restarted(shop, kill_broker(shop))
        with pytest.raises((Refused, ConnectionError), match="SASL_AUTHENTICATION_FAILED|closed|reset"):
            Kafka(former)
        assert not rights_of(shop, "orders@users")
        assert {(kind, name) for kind, name, _ in rights_of(shop, "products")} == {(TOPIC, ITS)}
        assert (TOPIC, ITS, WRITE) in rights_of(shop, "products")
    finally:
        file.write_text(kept)
    restarted(shop, kill_broker(shop))
    assert rights_of(shop, "orders@users") == theirs


def java_below(shop, main):
    """The Java process of the broker that runs this class, if there is one now."""
    state = str(shop.state).encode()
    for pid in (int(one.name) for one in pathlib.Path("/proc").iterdir() if one.name.isdigit()):
        try:
            words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if main.encode() in words and any(state in word for word in words) and b"-cp" in words:
            return pid
    return None


def test_a_server_that_is_killed_while_it_is_made_is_made_all_the_same(shop):
    """While it is formatted, and again at its first start, when a part of it is there."""
    shop.stop()
    shutil.rmtree(folder(shop) / "data")
    up = threading.Thread(target=shop.up)
    up.start()
    try:
        pid = wait_for("it is formatted", lambda: java_below(shop, "kafka.tools.StorageTool"))
        os.kill(pid, signal.SIGKILL)
        pid = wait_for("it is started", lambda: java_below(shop, "kafka.Kafka"))
        assert (folder(shop) / "unfinished").exists()
        os.kill(pid, signal.SIGKILL)
        wait_for("it is formatted anew", lambda: java_below(shop, "kafka.tools.StorageTool"))
    finally:
        up.join()
    broker_pid(shop)
    assert not (folder(shop) / "unfinished").exists()
    wait_for("all is relayed", lambda: all(
        (told := shop.state_of(name)["bus"])["connected"] and told["depth"] == 0 for name in TOPICS))


def test_nothing_is_left_of_it_when_the_system_is_stopped(shop):
    pid = broker_pid(shop)
    shop.stop()
    wait_for("it has ended", lambda: not pathlib.Path(f"/proc/{pid}").exists())
    assert not java_below(shop, "kafka.Kafka")
    names = {path.name for path in folder(shop).iterdir()}
    assert "secret" not in names and "data.new" not in names, names
    assert list((folder(shop) / "data" / "tmp").iterdir()) == []
    shop.up()
    broker_pid(shop)


@MINUTES_SANITIZED
def test_nothing_is_lost_or_doubled_while_the_bus_changes_and_its_broker_suffers():
    nothing_is_lost_or_doubled("kafka", "")
