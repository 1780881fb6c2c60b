# SPDX-License-Identifier: Apache-2.0
"""Systems whose events travel by a private broker: that they do, that nobody but who is concerned gets to it, and that
nothing is lost or doubled whatever becomes of the broker. What the broker lets whom do is asked with a client of its own
(nats.py); what was lost is judged by the shop's books."""

import asyncio
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

import pytest
from conftest import FREEHOLD, SHOP_FILE, System, free_port, named, open_folder, wait_for, with_programs
from nats import Nats, Refused
from test_confinement import LANDLOCK, tried

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests" / "crash")]
from books import Load  # noqa: E402
from client import Shop  # noqa: E402
from issuer import Issuer  # noqa: E402

BROKER = "events-nats"
CLIENTS = 4
TOPICS = {"users": ("orders",), "products": ("inventory", "search", "orders"), "inventory": ("products",),
          "orders": ("users", "notifications")}


@pytest.fixture(scope="module")
def shop(start):
    return start(SHOP_FILE, named("nats"))


def config(shop, service):
    return json.loads((pathlib.Path(shop.state) / service / "service.json").read_text())


def bus(shop, service, publisher=None):
    """A service's configuration of its own bus, or of the one by which it subscribes to a publisher."""
    return config(shop, service)["buses"][publisher] if publisher else config(shop, service)["bus"]


def broker_pid(shop):
    """That of nats-server: the supervisor's child."""
    def look():
        found = [one for one in shop.status()["servers"] if one["name"] == BROKER and one["ready"]]
        children = pathlib.Path(f"/proc/{found[0]['pid']}/task/{found[0]['pid']}/children") if found else None
        return int(children.read_text().split()[0]) if children and children.exists() and children.read_text() else None
    return wait_for("the broker runs", look)


def carried(shop, service, publisher):
    return next(one for one in shop.state_of(service)["buses"] if one["source"] == publisher)


def rename(shop, user, name):
    assert shop.http("PATCH", f"/api/users/{user}", {"name": name}).status == 200


def make_order(shop):
    user = shop.http("POST", "/api/users", {"name": "Ada", "email": "ada@example.org", "address": "1 Street"}).body["id"]
    product = shop.http("POST", "/api/products", {"name": "Lamp", "price": 100}).body["id"]
    assert shop.http("PUT", f"/api/products/{product}/stock", {"quantity": 10}).status == 200
    body = {"user_id": user, "payment_token": "tok_visa", "items": [{"product_id": product, "quantity": 1}]}
    order = shop.http("POST", "/api/orders", body).body["id"]
    wait_for("it is confirmed", lambda: shop.http("GET", f"/api/orders/{order}").body["status"] == "CONFIRMED")
    return user, order


def shows(shop, order, name):
    return shop.http("GET", f"/api/orders/{order}").body["user_name"] == name


def rename_until(shop, user, order, what, condition):
    """Renames the user and sees the new name at the order, again and again until the condition holds."""
    def again():
        rename_until.number += 1
        name = f"Name {rename_until.number}"
        rename(shop, user, name)
        wait_for("the new name is shown", lambda: shows(shop, order, name))
        return condition()
    return wait_for(what, again)


rename_until.number = 0


# ---- That they do ----------------------------------------------------------------------------

def test_events_arrive_by_the_broker_and_it_is_said(shop):
    user, order = make_order(shop)
    before = carried(shop, "orders", "users")["carried"]
    rename_until(shop, user, order, "names come by the broker",
                 lambda: carried(shop, "orders", "users")["carried"] >= before + 3)
    said = shop.command("status", "--state", shop.state).stdout
    for publisher in TOPICS:
        assert re.search(rf"^{publisher} +NATS JetStream +\d.* relaying$", said, re.MULTILINE), said
    assert re.search(rf"^{BROKER} +ready", said, re.MULTILINE), said
    text = shop.command("call", "orders", "GET", "/metrics", "--state", shop.state).stdout
    assert int(re.search(r"^freehold_events_carried_total (\d+)", text, re.MULTILINE).group(1)) >= before + 3, text
    assert re.search(r"^freehold_events_fed_total \d+", text, re.MULTILINE), text
    text = shop.command("call", "users", "GET", "/metrics", "--state", shop.state).stdout
    for name in ("freehold_relay_connected 1", r"freehold_relay_depth \d", r"freehold_relay_age_seconds \d"):
        assert re.search(f"^{name}", text, re.MULTILINE), text
    # The server itself says to whom it has delivered how many.
    client = Nats(bus(shop, "orders", "users"))
    told = client.request("$JS.API.CONSUMER.INFO.freehold-shop-users.orders-0-1")
    assert told["delivered"]["consumer_seq"] >= before + 3, told
    client.close()


def test_the_check_says_which_topics_travel_how(shop):
    found = json.loads(shop.command("check", shop.file, "--profile", "nats", "--json").stdout)
    by = {one["service"]: one for one in found["topics"]}
    assert {name: one["by"] for name, one in by.items()} == {**dict.fromkeys(TOPICS, "nats"), "payments": "feed",
                                                             "shipping": "feed"}
    for publisher, subscribers in TOPICS.items():
        assert by[publisher]["topic"] == f"shop-{publisher}" and by[publisher]["server"] == "events"
        assert sorted(by[publisher]["subscribers"]) == sorted(subscribers)
    assert all(one["by"] == "feed" for one in json.loads(
        shop.command("check", shop.file, "--json").stdout)["topics"])


# ---- Who gets to it --------------------------------------------------------------------------

def test_only_who_is_concerned_is_told_of_the_broker(shop):
    seen = {}
    for service in shop.services():
        told = config(shop, service)
        assert ("bus" in told) == (service in TOPICS), service
        assert set(told["buses"]) == {publisher for publisher, those in TOPICS.items() if service in those}, service
        for one in [*([told["bus"]] if "bus" in told else []), *told["buses"].values()]:
            seen.setdefault((one["user"], one["password"]), []).append(service)
    assert len(seen) == len(TOPICS) + sum(map(len, TOPICS.values())), "each a user of its own"
    assert len({password for _, password in seen}) == len(seen)


@pytest.mark.skipif(LANDLOCK < 1, reason="THIS KERNEL HAS NO LANDLOCK: NOTHING WAS PROVED")
def test_no_service_reaches_the_brokers_files_nor_anothers_credentials(shop):
    state = pathlib.Path(shop.state)
    paths = [state / ".servers" / BROKER, *(state / ".servers" / BROKER).iterdir(), state / ".tls", state / "servers.json"]
    assert {"tls-key.pem", "server.json", "data"} <= {path.name for path in paths}
    for service in ("carts", "users"):
        others = [state / other / name for other in shop.services() if other != service
                  for name in ("service.json", "bus-ca.pem")]
        found = tried(shop, service, *paths, *others)
        assert {error for pair in found.values() for error in pair} <= {"EACCES", "ENOENT", "EROFS"}, (service, found)
    assert errors_live(shop) == []


def errors_live(shop):
    done = shop.command("check", shop.file, "--profile", "nats", "--live", "--state", shop.state, "--json", check=False)
    return [error["message"] for error in json.loads(done.stdout)["errors"]]


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


@pytest.mark.parametrize("kind", ["nats", "rabbitmq", "kafka"])
def test_an_existing_broker_is_used_as_it_is(kind):
    named("nats")
    with existing(kind) as broker:
        folder = open_folder()
        file = folder / "freehold.yaml"
        text = with_programs(SHOP_FILE.read_text()).replace("events: { broker: nats }", EXISTING.format(kind=kind, **broker))
        text = text.replace("shipping: { ", "shipping: { bus: feed, ")  # its events are personal
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
            told = shop.state_of("payments")["bus"]  # others than the system's services may read it there
            assert told["connected"] and told["position"] > 0, told
        finally:
            shop.stop(check=False)
            shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("servers, bus, said", [
    ("events: { broker: natz }", "events", "3:21: error: servers.events.broker: there is no broker of this name; this freehold "
                                           "has "),
    ("events: { broker: nats }", "evens", "bus: the file has no server 'evens'; did you mean 'events'?"),
    ("events: { engine: postgresql }", "events", "a bus is a broker"),
    ("events: { broker: nats, engine: postgresql }", "events", "has an engine and a broker: expected one of them"),
    ("events: { host: 127.0.0.1 }", "events", "is missing engine (for stores) or broker (for events)"),
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
    user, order = make_order(shop)
    pid = broker_pid(shop)
    os.kill(pid, signal.SIGSTOP)
    try:
        rename(shop, user, "Meanwhile")
        wait_for("the name comes by the feed", lambda: shows(shop, order, "Meanwhile"))
        make_order(shop)  # whole units of work, with events of four publishers
        said = wait_for("status says so", lambda: re.search(
            r"^users +NATS JetStream +[1-9]\d*( \(\w+\))? +not now: ",
            shop.command("status", "--state", shop.state, check=False).stdout, re.MULTILINE))
        assert said
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_for("all is relayed", lambda: all(
        (told := shop.state_of(name)["bus"])["connected"] and told["depth"] == 0 for name in TOPICS))
    before = carried(shop, "orders", "users")["carried"]
    rename_until(shop, user, order, "names come by the broker again",
                 lambda: carried(shop, "orders", "users")["carried"] > before)


def test_a_killed_broker_is_started_again_and_used_again(shop):
    user, order = make_order(shop)
    before, pid = carried(shop, "orders", "users")["carried"], broker_pid(shop)
    os.kill(pid, signal.SIGKILL)
    rename(shop, user, "In between")
    wait_for("the name is shown", lambda: shows(shop, order, "In between"))
    assert wait_for("it runs again", lambda: (now := broker_pid(shop)) != pid and now)
    rename_until(shop, user, order, "names come by the broker again",
                 lambda: carried(shop, "orders", "users")["carried"] > before)


class Changing:
    """The shop under load, while its bus changes and its broker suffers."""

    def __init__(self, folder):
        file = folder / "shop" / "freehold.yaml"
        shutil.copytree(SHOP_FILE.parent, file.parent)
        file.write_text(with_programs(SHOP_FILE.read_text()))
        self.shop = System(file, folder / "state").up()
        self.load = Load(self.shop, None, 1, timeouts=False)
        self.data = pathlib.Path(self.shop.state) / ".servers" / BROKER / "data"

    async def more(self, count=8):
        wanted = len(self.load.orders) + count
        await asyncio.to_thread(wait_for, "orders are taken", lambda: len(self.load.orders) >= wanted)

    async def restart(self, profile, between=lambda: None):
        def change():
            self.shop.stop()
            between()
            self.shop.profile = ["--profile", profile] if profile else []
            self.shop.up()
        await asyncio.to_thread(change)
        await self.more()

    async def by_the_bus(self):
        def look():
            told = [carried(self.shop, "users", "orders"), carried(self.shop, "products", "inventory")]
            return all(one["connected"] and one["carried"] for one in told)
        await asyncio.to_thread(wait_for, "events come by the bus", look)

    def copy_aside(self):
        self.kept = self.data.with_name("kept")
        shutil.copytree(self.data, self.kept, symlinks=True)
        owner = self.data.stat()
        for path in (self.kept, *self.kept.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid)

    def bring_back(self):
        shutil.rmtree(self.data)
        self.kept.rename(self.data)

    async def suffer(self):
        await self.more()
        await self.restart("nats")
        await self.by_the_bus()
        os.kill(await asyncio.to_thread(broker_pid, self.shop), signal.SIGKILL)
        await self.more()
        pid = await asyncio.to_thread(broker_pid, self.shop)
        os.kill(pid, signal.SIGSTOP)
        await self.more()
        os.kill(pid, signal.SIGCONT)
        await self.by_the_bus()
        await self.restart("nats", self.copy_aside)
        await self.by_the_bus()
        await self.restart("nats", self.bring_back)  # it delivers again what was done, and lacks what it acknowledged
        await self.by_the_bus()
        await self.restart("nats", lambda: shutil.rmtree(self.data / "jetstream"))
        await self.by_the_bus()
        await self.restart(None)
        await self.restart("nats")
        await self.by_the_bus()
        await self.restart(None)

    async def run(self):
        load, port = self.load, self.shop.port
        async with Shop(f"http://127.0.0.1:{port}", CLIENTS * 2, patience_s=120, issuer=Issuer()) as shop:
            load.shop = shop
            await load.prepare(CLIENTS)
            async with asyncio.TaskGroup() as group:
                for _ in range(CLIENTS):
                    group.create_task(load.client())
                try:
                    await self.suffer()
                finally:
                    load.over = True
            await load.at_rest()
            (await load.read()).check(load)


def test_nothing_is_lost_or_doubled_while_the_bus_changes_and_its_broker_suffers():
    named("nats")
    folder = open_folder()
    changing = Changing(folder)
    try:
        asyncio.run(changing.run())
    except BaseException:
        print(changing.shop.logs())
        raise
    finally:
        changing.shop.stop(check=False)
        shutil.rmtree(folder, ignore_errors=True)
