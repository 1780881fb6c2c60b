# SPDX-License-Identifier: Apache-2.0
"""Systems whose events travel by a private broker: that they do, that nobody but who is concerned gets to it, and that
nothing is lost or doubled whatever becomes of the broker. What the broker lets whom do is asked with a client of its own
(nats.py); what was lost is judged by the shop's books."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
from buses import (ROOT, bus, carried, check_says_which_topics_travel_how, events_arrive, held_up_broker_holds_up_nobody,
                   killed_broker_is_used_again, make_order, no_service_reaches_the_brokers_files, nothing_is_lost_or_doubled,
                   only_who_is_concerned_is_told, rename, rename_until)
from conftest import FREEHOLD, SHOP_FILE, System, named, open_folder, wait_for, with_programs
from nats import Nats, Refused
from outsiders import LATE_READERS, READERS, events_of
from test_confinement import LANDLOCK


@pytest.fixture(scope="module")
def shop(start):
    return start(SHOP_FILE, named("nats"))


# ---- That they do ----------------------------------------------------------------------------

def test_events_arrive_by_the_broker_and_it_is_said(shop):
    before = events_arrive(shop, "NATS JetStream")
    # The server itself says to whom it has delivered how many.
    client = Nats(bus(shop, "orders", "users"))
    told = client.request("$JS.API.CONSUMER.INFO.freehold-shop-users.orders-0-1")
    assert told["delivered"]["consumer_seq"] >= before + 3, told
    client.close()


def test_the_check_says_which_topics_travel_how(shop):
    check_says_which_topics_travel_how(shop)


# ---- Who gets to it --------------------------------------------------------------------------

def test_only_who_is_concerned_is_told_of_the_broker(shop):
    only_who_is_concerned_is_told(shop)


@pytest.mark.skipif(LANDLOCK < 1, reason="THIS KERNEL HAS NO LANDLOCK: NOTHING WAS PROVED")
def test_no_service_reaches_the_brokers_files_nor_anothers_credentials(shop):
    no_service_reaches_the_brokers_files(shop)


API = "$JS.API"
HIS, OTHERS = "freehold-shop-products", "freehold-shop-users"


@pytest.mark.parametrize("subject", [
    "freehold.shop-products.0", "freehold.shop-users.0", "anything", "_INBOX.test.1",
    *(f"{API}.STREAM.{verb}.{stream}" for verb in ("DELETE", "PURGE", "UPDATE", "CREATE", "INFO", "MSG.GET", "MSG.DELETE",
                                                   "SNAPSHOT", "RESTORE") for stream in (HIS, OTHERS)),
    f"{API}.STREAM.NAMES", f"{API}.STREAM.LIST", f"{API}.INFO", f"{API}.CONSUMER.NAMES.{HIS}",
    *(f"{API}.CONSUMER.{verb}.{HIS}.search-0-1" for verb in ("DELETE", "INFO", "DURABLE.CREATE", "MSG.NEXT")),
    f"{API}.CONSUMER.CREATE.{HIS}", f"{API}.CONSUMER.CREATE.{OTHERS}", f"{API}.DIRECT.GET.{HIS}",
    f"{API}.CONSUMER.DURABLE.CREATE.{OTHERS}.orders-0-1", f"$JS.ACK.{HIS}.search-0-1.1.1.1.1.0", "$SYS.REQ.SERVER.PING"])
def test_a_hostile_subscriber_can_only_read_its_topic(shop, subject):
    """As orders, which subscribes to products; what it may do with users' topic it may do as another user."""
    client = Nats(bus(shop, "orders", "products"))
    with pytest.raises(Refused, match="Permissions Violation for Publish"):
        client.publish(subject)
    client.close()


@pytest.mark.parametrize("subject", ["freehold.>", "freehold.shop-products.0", ">", "$JS.>", "$SYS.>"])
def test_it_listens_to_nothing_but_its_answers(shop, subject):
    for own in (bus(shop, "orders", "products"), bus(shop, "products")):
        client = Nats(own)
        with pytest.raises(Refused, match="Permissions Violation for Subscription"):
            client.subscribe(subject)
        client.close()


@pytest.mark.parametrize("subject", [
    *(f"{API}.STREAM.{verb}.{HIS}" for verb in ("DELETE", "PURGE", "UPDATE", "MSG.GET", "MSG.DELETE", "SNAPSHOT")),
    f"{API}.CONSUMER.DURABLE.CREATE.{HIS}.orders-0-1", f"{API}.CONSUMER.DELETE.{HIS}.orders-0-1",
    "freehold.shop-users.0", f"{API}.STREAM.CREATE.more"])
def test_a_hostile_publisher_can_only_publish_to_its_topic(shop, subject):
    client = Nats(bus(shop, "products"))
    with pytest.raises(Refused, match="Permissions Violation for Publish"):
        client.publish(subject)
    client.close()


def test_accounts_see_no_streams_of_each_other(shop):
    """Where a user may ask, the stream of another topic is not there for it."""
    client = Nats(bus(shop, "users"))
    assert client.request(f"{API}.STREAM.INFO.{OTHERS}")["config"]["name"] == OTHERS
    with pytest.raises(Refused):
        client.request(f"{API}.STREAM.INFO.{HIS}")
    client.close()


@pytest.mark.parametrize("user, password", [("", ""), ("orders", "wrong"), ("nobody", "x"), ("freehold", "x")])
def test_strangers_are_not_let_in(shop, user, password):
    with pytest.raises((Refused, ConnectionError), match="Authorization Violation|closed|reset"):
        Nats(bus(shop, "orders"), user, password)


# ---- One that is there, and what is wrong with a file ----------------------------------------

EXISTING = ("events: {{ broker: {kind}, host: 127.0.0.1, port: {port}, user: {user}, password: {password}, "
            "tls: {{ mode: off }}, options: {{ keep_s: 3600 }} }}")
HELD_S = 3 * 86400  # for readers outside; longer than keep_s


@contextlib.contextmanager
def existing(kind):
    """Where one of this kind listens, which is nobody's private server."""
    program = ("import os, sys; print(os.environ.get(sys.argv[1], '')); print(os.environ['FREEHOLD_TEST_MISSING'], flush=True); "
               "sys.stdin.read()")
    with subprocess.Popen([ROOT / "tools" / "servers", "run", sys.executable, "-c", program, f"FREEHOLD_TEST_{kind.upper()}"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          env={**os.environ, "TOOLS_SERVERS_ONLY": kind, "TOOLS_SERVERS_BUT": ""}) as server:
        try:
            there, missing = server.stdout.readline().strip(), server.stdout.readline().strip()
            if not there:
                pytest.skip(f"NOT RUN WITH {kind}, WHICH IS NOT THERE: {missing}")
            yield json.loads(there)
        finally:
            server.stdin.close()


def an_ordinary_client_reads_events(shop, kind, broker, folder, user):
    """With nothing of ours in it: each name that the user is given from now on, in the order in which it was given."""
    client, names = READERS[kind](broker, "shop-users", folder), [f"Known Outside {number}" for number in range(5)]
    try:
        for name in names:
            rename(shop, user, name)

        def read():
            told = [event for event in events_of(client.read(), "/users") if event["subject"] == str(user)]
            latest = {event["id"]: event for event in told if event["data"].get("name") in names}  # one may come again
            return len(latest) == len(names) and list(latest.values())
        found = wait_for("it has them all", read)
        assert [event["data"]["name"] for event in found] == names
        assert {event["type"] for event in found} == {"UserUpdated"}
    finally:
        client.close()


def held_for_who_comes_late(shop, kind, broker, folder, user):
    """Whoever was not there when they were published gets the events all the same, within the time; and that is said."""
    check = json.loads(shop.command("check", shop.file, "--profile", "nats", "--json").stdout)
    held = {one["service"]: one["outside"] for one in check["topics"]}
    assert held["users"] == {"topic_s": HELD_S, "outbox_s": 7200} and held["shipping"] == {"topic_s": 0, "outbox_s": 0}, held
    printed = shop.command("check", shop.file, "--profile", "nats").stdout
    assert re.search(r"users .* 3d on the topic, 2h in the outbox", printed), printed
    client = LATE_READERS[kind](broker, "shop-users", folder)
    try:
        def read():
            told = [event["data"].get("name") for event in events_of(client.read(), "/users") if event["subject"] == str(user)]
            return "Known Outside 4" in told and told
        assert "Known Outside 0" in wait_for("it has what was published before it came", read)
    finally:
        client.close()
    assert shop.state_of("users")["bus"]["outside_kept_s"] == HELD_S
    assert not shop.state_of("users")["bus"]["outside_overflows"]
    wait_for("its outbox was looked at", lambda: shop.state_of("users").get("outside") == {"kept_ms": 7200_000, "cut": 0})
    assert "3d on the topic, 2h in the outbox" in shop.command("status", "--state", shop.state).stdout


@pytest.mark.parametrize("kind", ["nats", "rabbitmq", "kafka"])
def test_an_existing_broker_is_used_as_it_is(kind):
    named("nats")
    with existing(kind) as broker:
        folder = open_folder()
        file = folder / "freehold.yaml"
        text = with_programs(SHOP_FILE.read_text()).replace("events: { broker: nats }", EXISTING.format(kind=kind, **broker))
        text = text.replace("bus: { server: events, ", f"bus: {{ server: events, outside_kept_s: {HELD_S}, ")
        text = text.replace("  users: { program", "  users: { retention: { outside_kept_s: 7200 }, program")
        file.write_text(text.replace(", tls: { mode: off }", ""))
        for service in SHOP_FILE.parent.iterdir():
            if (service / "migrations").is_dir():
                (folder / service.name).symlink_to(service)
        shop = System(file, folder / "s", "nats")
        assert "any process that takes the port" in shop.command("check", file, "--profile", "nats", check=False).stderr
        file.write_text(text)
        try:
            found = json.loads(shop.command("check", file, "--profile", "nats", "--json").stdout)
            assert any("all services are the same user there" in one["message"] for one in found["warnings"]), found
            shop.up()
            assert [one["name"] for one in shop.status()["servers"]] == []
            user, order = make_order(shop)
            rename_until(shop, user, order, "names come by the broker", lambda: carried(shop, "orders", "users")["carried"] >= 3)
            wait_for("others than the system's services may read it there",
                     lambda: (told := shop.state_of("payments")["bus"])["connected"] and told["position"] > 0)
            an_ordinary_client_reads_events(shop, kind, broker, folder, user)
            held_for_who_comes_late(shop, kind, broker, folder, user)
        finally:
            shop.stop(check=False)
            shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("servers, bus, said", [
    ("events: { broker: natz }", "events", "3:21: error: servers.events.broker: there is no broker of this name; this freehold "
                                           "has "),
    ("events: { broker: nats }", "evens", "bus: the file has no server 'evens'; did you mean 'events'?"),
    ("events: { engine: postgresql }", "events", "a bus is a broker"),
    ("events: { broker: nats, engine: postgresql }", "events", "has an engine and a broker: expected one of them"),
    ("events: { host: 127.0.0.1 }", "events", "is missing engine (for stores), broker (for events) or derived (for what "),
    ("feed: { broker: nats }", "feed", "a broker can't be called 'feed'"),
    ("events: { broker: nats, user: me }", "events", "without a host it is a private server"),
    ("events: { broker: nats, partitions: 12 }", "events", "expected a power of two up to 256"),
    ("events: { broker: nats, options: { keep: 1 } }", "events", "has no option 'keep'; expected one of: token keep_s"),
    ("events: { broker: nats, options: { keep_s: none } }", "events", '"keep_s" of the bus must be a number from 1'),
    ("events: { broker: nats, settings: { a: 1 } }", "events", "settings and layout are a database server's"),
    ("events: { broker: nats, host: a.example, user: me }", "events", "who needs a password or password_file"),
    ("events: { broker: nats, host: a.example, token: t, user: me, password: x }", "events", "NATS takes one of them"),
    ("events: { broker: nats, host: /run/nats }", "events", "a broker is reached by a name or an address"),
])
def test_what_is_wrong_is_told_with_its_place(tmp_path, servers, bus, said):
    named("nats")
    (tmp_path / "freehold.yaml").write_text(
        f"system: wrong\nservers:\n  {servers}\nbus: {bus}\nservices: {{ users: {{ program: "
        f"{pathlib.Path(FREEHOLD).parent}/examples/shop/users, migrations: {SHOP_FILE.parent}/users/migrations }} }}\n")
    done = subprocess.run([FREEHOLD, "check", tmp_path / "freehold.yaml"], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and said in done.stderr and re.search(r"freehold.yaml:[34]:\d+: error", done.stderr), done


# ---- What becomes of it ----------------------------------------------------------------------

def test_a_broker_that_is_held_up_holds_up_nobody_and_is_said(shop):
    held_up_broker_holds_up_nobody(shop, "NATS JetStream")


def test_a_killed_broker_is_started_again_and_used_again(shop):
    killed_broker_is_used_again(shop)


def test_nothing_is_lost_or_doubled_while_the_bus_changes_and_its_broker_suffers():
    nothing_is_lost_or_doubled("nats", "jetstream")
