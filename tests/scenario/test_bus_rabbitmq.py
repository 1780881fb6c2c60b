# SPDX-License-Identifier: Apache-2.0
"""As test_bus.py, by a private RabbitMQ. What it lets whom do is asked with a client of its own (amqp.py)."""

import json
import os
import pathlib
import re
import stat
import subprocess

import pytest
from amqp import Amqp, Refused
from buses import (MINUTES_SANITIZED, broker_name, broker_pid, bus, check_says_which_topics_travel_how,
                   check_says_who_could_do_what, events_arrive, held_up_broker_holds_up_nobody, kill_broker,
                   killed_broker_is_used_again, no_service_reaches_the_brokers_files, nothing_is_lost_or_doubled,
                   only_who_is_concerned_is_told, restarted)
from conftest import SHOP_FILE, named, wait_for
from shop_part import *  # noqa: F401,F403 the shop's own tests
from test_confinement import LANDLOCK


@pytest.fixture(scope="module")
def shop(start):
    """Its status says that it is ready once it answers; `up` does not wait for a broker."""
    shop = start(SHOP_FILE, named("rabbitmq"))
    broker_pid(shop)
    return shop


def folder(shop):
    return pathlib.Path(shop.state) / ".servers" / broker_name(shop)


# ---- That they do ----------------------------------------------------------------------------

def test_topics_are_there_before_there_are_events(shop):
    """The broker starts more slowly than a publisher waits for it; subscribers find the topic all the same."""
    wait_for("all subscribers take events from the bus", lambda: all(
        one["connected"] for service in ("search", "orders", "users") for one in shop.state_of(service)["buses"]))


def test_events_arrive_by_the_broker_and_it_is_said(shop):
    events_arrive(shop, "RabbitMQ")


def test_the_check_says_which_topics_travel_how(shop):
    check_says_which_topics_travel_how(shop)


# ---- Who gets to it --------------------------------------------------------------------------

def test_only_who_is_concerned_is_told_of_the_broker(shop):
    only_who_is_concerned_is_told(shop)


@pytest.mark.skipif(LANDLOCK < 1, reason="THIS KERNEL HAS NO LANDLOCK: NOTHING WAS PROVED")
def test_no_service_reaches_the_brokers_files_nor_anothers_credentials(shop):
    no_service_reaches_the_brokers_files(shop)


def test_it_listens_on_its_port_alone_and_keeps_no_secrets_about(shop):
    pid = broker_pid(shop)
    sockets = {os.readlink(one) for one in pathlib.Path(f"/proc/{pid}/fd").iterdir()
               if os.path.lexists(one) and os.readlink(one).startswith("socket:")}
    inodes = {one[len("socket:["):-1] for one in sockets}
    listening = [line.split()[1] for table in ("tcp", "tcp6") for line in
                 pathlib.Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
                 if line.split()[3] == "0A" and line.split()[9] in inodes]
    assert listening == [f"0100007F:{bus(shop, 'users')['port']:04X}"]
    cookie = folder(shop) / "data" / ".erlang.cookie"
    assert stat.S_IMODE(cookie.stat().st_mode) == 0o600
    assert not (folder(shop) / "secret").exists()
    secrets = {bus(shop, service)["password"] for service in ("users", "products", "orders")} | {cookie.read_text()}
    shown = subprocess.run(["ps", "axeww", "-o", "args"], capture_output=True, text=True, check=True).stdout + shop.logs()
    for path in folder(shop).iterdir():
        if path.is_file() and path.name != "server.json":
            shown += path.read_text(errors="replace")
    assert not [secret for secret in secrets if secret in shown]


OWN, ITS, OTHERS = "freehold.shop-orders", "freehold.shop-products", "freehold.shop-users"
ORDERS, SEARCH = f"{ITS}.0.orders-0-1", f"{ITS}.0.search-0-1"


@pytest.mark.parametrize("attempt", [
    *(("publish", name) for name in (ITS, OTHERS, OWN, "", "amq.direct", "amq.fanout")),
    *(("declare_exchange", name) for name in (ITS, f"{ITS}.8", OTHERS, "anything")),
    *(("delete_exchange", name) for name in (ITS, f"{ITS}.8", OTHERS, "amq.direct")),
    *((verb, name) for verb in ("declare_queue", "delete_queue", "purge", "get")
      for name in (SEARCH, f"{OTHERS}.0.orders-0-1", f"{ITS}.0.orders", "anything", f"{ORDERS}x", f"x{ORDERS}")),
    ("bind_queue", ORDERS, OTHERS), ("bind_queue", ORDERS, f"{ITS}.8"), ("bind_queue", SEARCH, ITS),
    ("bind_queue", ORDERS, "amq.rabbitmq.event"), ("bind_exchange", "amq.direct", ITS), ("bind_exchange", OTHERS, ITS)],
    ids="-".join)
def test_a_hostile_subscriber_can_only_read_its_topic(shop, attempt):
    """As orders, which subscribes to products; what it may do with users' topic it may do as another user."""
    client = Amqp(bus(shop, "orders", "products"))
    with pytest.raises(Refused, match="^403 ACCESS_REFUSED"):
        getattr(client, attempt[0])(*attempt[1:])
    client.close()


@pytest.mark.parametrize("attempt", [
    *(("publish", name) for name in (OTHERS, "", "amq.direct")), ("declare_exchange", OTHERS), ("delete_exchange", OTHERS),
    *((verb, name) for verb in ("declare_queue", "delete_queue", "purge", "get") for name in (SEARCH, ORDERS, "anything")),
    ("bind_queue", ORDERS, ITS), ("bind_exchange", ITS, OTHERS)], ids="-".join)
def test_a_hostile_publisher_can_only_publish_to_its_topic(shop, attempt):
    client = Amqp(bus(shop, "products"))
    with pytest.raises(Refused, match="^403 ACCESS_REFUSED"):
        getattr(client, attempt[0])(*attempt[1:])
    client.close()


def binds(told):
    client = Amqp(told)
    try:
        client.bind_queue(ORDERS, ITS)
    except Refused as refused:  # its subscription has yet to make it
        assert "404 NOT_FOUND" in str(refused), refused
        return False
    finally:
        client.close()
    return True


def test_what_its_part_takes_it_may_do(shop):
    publisher, subscriber = Amqp(bus(shop, "products")), Amqp(bus(shop, "orders", "products"))
    publisher.publish(ITS, "nowhere")
    subscriber.declare_exchange(ITS, passive=True)
    subscriber.close()
    publisher.close()
    wait_for("it binds its queue", lambda: binds(bus(shop, "orders", "products")))


@pytest.mark.parametrize("user, password", [("guest", "guest"), ("", ""), ("orders", "wrong"), ("orders", ""),
                                            ("freehold", "x")])
def test_strangers_are_not_let_in(shop, user, password):
    with pytest.raises((Refused, ConnectionError), match="403|closed|reset"):
        Amqp(bus(shop, "orders"), user, password)


def test_check_says_who_could_do_what(shop):
    check_says_who_could_do_what(shop, "rabbitmq", "publish to it, remove it, read it")


# ---- What becomes of it ----------------------------------------------------------------------

def test_a_broker_that_is_held_up_holds_up_nobody_and_is_said(shop):
    held_up_broker_holds_up_nobody(shop, "RabbitMQ")


def test_a_killed_broker_is_started_again_and_used_again(shop):
    killed_broker_is_used_again(shop)


def test_who_is_no_longer_a_user_is_not_let_in(shop):
    """`up` makes a service's password anew when its subscription is gone; here the former one is still known."""
    users = json.loads((folder(shop) / "data" / "users.json").read_text())
    assert {"orders", "orders@users", "products"} <= set(users)
    config, former = folder(shop) / "server.json", dict(bus(shop, "orders", "users"))
    told = json.loads(config.read_text())
    for topic in told["stores"]:
        topic["subscribers"] = [one for one in topic["subscribers"] if one["user"] != "orders@users"]
    kept = config.read_text()
    config.write_text(json.dumps(told))
    try:
        restarted(shop, kill_broker(shop))
        with pytest.raises(Refused, match="403|closed"):
            Amqp(former)
        assert "orders@users" in json.loads((folder(shop) / "data" / "users.json").read_text())
    finally:
        config.write_text(kept)


def test_what_a_hostile_broker_leaves_instead_of_its_list_of_users_keeps_it_from_nothing(shop):
    users = folder(shop) / "data" / "users.json"
    users.unlink()
    os.mkfifo(users)  # whoever just opens it waits for ever
    restarted(shop, kill_broker(shop))
    assert users.is_file() and "orders" in json.loads(users.read_text())


@MINUTES_SANITIZED
def test_nothing_is_lost_or_doubled_while_the_bus_changes_and_its_broker_suffers():
    nothing_is_lost_or_doubled("rabbitmq", "freehold@localhost")
