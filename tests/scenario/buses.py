# SPDX-License-Identifier: Apache-2.0
"""What the tests of systems with a private broker share, whichever broker it is."""

import asyncio
import json
import os
import pathlib
import re
import shutil
import signal
import sys

import pytest
from conftest import EVERY_BUS, SANITIZED, SHOP_FILE, System, named, open_folder, wait_for, with_programs
from test_confinement import tried

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests" / "crash")]
from books import Load  # noqa: E402
from client import Shop  # noqa: E402
from issuer import Issuer  # noqa: E402

CLIENTS = 4
MINUTES_SANITIZED = pytest.mark.skipif(
    SANITIZED and not EVERY_BUS, reason="IT TAKES MINUTES SANITIZED: there only NATS is tried; FREEHOLD_EVERY_BUS=1 tries all")
NAMES = {"nats": "events-nats", "rabbitmq": "queues-rabbitmq", "kafka": "streams-kafka"}  # of the private brokers
TOPICS = {"users": ("orders", "views"), "products": ("inventory", "search", "orders", "views", "reports"),
          "inventory": ("products",), "payments": ("views",), "orders": ("users", "notifications", "views", "reports")}


def profile_of(shop):
    """nats, rabbitmq or kafka: the profile, and the broker."""
    return shop.profile[1]


def broker_name(shop):
    return NAMES[profile_of(shop)]


def config(shop, service):
    return json.loads((pathlib.Path(shop.state) / service / "service.json").read_text())


def bus(shop, service, publisher=None):
    """A service's configuration of its own bus, or of the one by which it subscribes to a publisher."""
    return config(shop, service)["buses"][publisher] if publisher else config(shop, service)["bus"]


def ready_server(shop):
    """What `up` says of the broker while it is ready."""
    return next((one for one in shop.status()["servers"] if one["name"] == broker_name(shop) and one["ready"]), None)


def broker_pid(shop):
    """That of the broker: the supervisor's child."""
    def look():
        found = ready_server(shop)
        children = pathlib.Path(f"/proc/{found['pid']}/task/{found['pid']}/children") if found else None
        return int(children.read_text().split()[0]) if children and children.exists() and children.read_text() else None
    return wait_for("the broker runs", look)


def kill_broker(shop):
    """Returns its supervisor's pid, for restarted()."""
    supervisor = wait_for("the broker runs", lambda: ready_server(shop))["pid"]
    os.kill(broker_pid(shop), signal.SIGKILL)
    return supervisor


def restarted(shop, supervisor):
    """Its supervisor ends with it; at its end one with sanitizers has another child, which is no broker."""
    return wait_for("it runs again", lambda: (now := ready_server(shop)) and now["pid"] != supervisor)


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


def errors_live(shop):
    done = shop.command("check", shop.file, "--profile", profile_of(shop), "--live", "--state", shop.state, "--json", check=False)
    return [error["message"] for error in json.loads(done.stdout)["errors"]]


def events_arrive(shop, title):
    """Returns how many had come before at least three more came."""
    user, order = make_order(shop)
    before = carried(shop, "orders", "users")["carried"]
    rename_until(shop, user, order, "names come by the broker",
                 lambda: carried(shop, "orders", "users")["carried"] >= before + 3)
    said = shop.command("status", "--state", shop.state).stdout
    for publisher in TOPICS:
        assert re.search(rf"^{publisher} +{title} +\d.* relaying$", said, re.MULTILINE), said
    assert re.search(rf"^{broker_name(shop)} +ready", said, re.MULTILINE), said
    text = shop.command("call", "orders", "GET", "/metrics", "--state", shop.state).stdout
    assert int(re.search(r"^freehold_events_carried_total (\d+)", text, re.MULTILINE).group(1)) >= before + 3, text
    assert re.search(r"^freehold_events_fed_total \d+", text, re.MULTILINE), text
    text = shop.command("call", "users", "GET", "/metrics", "--state", shop.state).stdout
    for name in ("freehold_relay_connected 1", r"freehold_relay_depth \d", r"freehold_relay_age_seconds \d"):
        assert re.search(f"^{name}", text, re.MULTILINE), text
    return before


def check_says_who_could_do_what(shop, profile, what):
    """With the rights of the publisher in the configuration of a stranger."""
    path = pathlib.Path(shop.state) / "notifications" / "service.json"
    kept = path.read_text()
    told = json.loads(kept)
    told["buses"]["orders"].update({name: bus(shop, "users")[name] for name in ("user", "password")})
    path.write_text(json.dumps(told))
    said = f"notifications can, on the broker of users and in its topic, {what}, which is not for it"
    try:
        wait_for("who could do what is said, once the broker is there", lambda: said in shop.command(
            "check", shop.file, "--profile", profile, "--live", "--state", shop.state, check=False).stderr)
    finally:
        path.write_text(kept)


def check_says_which_topics_travel_how(shop):
    found = json.loads(shop.command("check", shop.file, "--profile", profile_of(shop), "--json").stdout)
    by = {one["service"]: one for one in found["topics"]}
    assert {name: one["by"] for name, one in by.items()} == {**dict.fromkeys(TOPICS, profile_of(shop)), "shipping": "feed"}
    for publisher, subscribers in TOPICS.items():
        assert by[publisher]["topic"] == f"shop-{publisher}" and by[publisher]["server"] == broker_name(shop).split("-")[0]
        assert sorted(by[publisher]["subscribers"]) == sorted(subscribers)
    assert all(one["by"] == "feed" for one in json.loads(
        shop.command("check", shop.file, "--json").stdout)["topics"])


def only_who_is_concerned_is_told(shop):
    seen = {}
    for service in shop.services():
        told = config(shop, service)
        assert ("bus" in told) == (service in TOPICS), service
        assert set(told["buses"]) == {publisher for publisher, those in TOPICS.items() if service in those}, service
        for one in [*([told["bus"]] if "bus" in told else []), *told["buses"].values()]:
            seen.setdefault((one["user"], one["password"]), []).append(service)
    assert len(seen) == len(TOPICS) + sum(map(len, TOPICS.values())), "each a user of its own"
    assert len({password for _, password in seen}) == len(seen)


def no_service_reaches_the_brokers_files(shop):
    state = pathlib.Path(shop.state)
    broker = state / ".servers" / broker_name(shop)
    paths = [broker, *broker.iterdir(), state / ".tls", state / "servers.json"]
    assert {"tls-key.pem", "server.json", "data"} <= {path.name for path in paths}
    for service in ("carts", "users"):
        others = [state / other / name for other in shop.services() if other != service
                  for name in ("service.json", "bus-ca.pem")]
        found = tried(shop, service, *paths, *others)
        assert {error for pair in found.values() for error in pair} <= {"EACCES", "ENOENT", "EROFS"}, (service, found)
    assert errors_live(shop) == []


def held_up_broker_holds_up_nobody(shop, title):
    user, order = make_order(shop)
    pid = broker_pid(shop)
    os.kill(pid, signal.SIGSTOP)
    try:
        rename(shop, user, "Meanwhile")
        wait_for("the name comes by the feed", lambda: shows(shop, order, "Meanwhile"))
        make_order(shop)  # whole units of work, with events of four publishers
        said = wait_for("status says so", lambda: re.search(
            rf"^users +{title} +[1-9]\d*( \(\w+\))? +(-|\S.*) +not now: ",
            shop.command("status", "--state", shop.state, check=False).stdout, re.MULTILINE))
        assert said
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_for("all is relayed", lambda: all(
        (told := shop.state_of(name)["bus"])["connected"] and told["depth"] == 0 for name in TOPICS))
    before = carried(shop, "orders", "users")["carried"]
    rename_until(shop, user, order, "names come by the broker again",
                 lambda: carried(shop, "orders", "users")["carried"] > before)


def killed_broker_is_used_again(shop):
    user, order = make_order(shop)
    before, supervisor = carried(shop, "orders", "users")["carried"], kill_broker(shop)
    rename(shop, user, "In between")
    wait_for("the name is shown", lambda: shows(shop, order, "In between"))
    restarted(shop, supervisor)
    rename_until(shop, user, order, "names come by the broker again",
                 lambda: carried(shop, "orders", "users")["carried"] > before)


class Changing:
    """The shop under load, while its bus changes and its broker suffers."""

    def __init__(self, folder, profile, lost):
        file = folder / "shop" / "freehold.yaml"
        shutil.copytree(SHOP_FILE.parent, file.parent)
        file.write_text(with_programs(SHOP_FILE.read_text()))
        self.shop = System(file, folder / "state").up()
        self.load = Load(self.shop, None, 1, timeouts=False)
        self.profile, self.lost = profile, lost
        self.data = pathlib.Path(self.shop.state) / ".servers" / NAMES[profile] / "data"

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
        await asyncio.to_thread(wait_for, "events come by the bus", look, 300)  # a server may take long to start

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
        await self.restart(self.profile)
        await self.by_the_bus()
        os.kill(await asyncio.to_thread(broker_pid, self.shop), signal.SIGKILL)
        await self.more()
        pid = await asyncio.to_thread(broker_pid, self.shop)
        os.kill(pid, signal.SIGSTOP)
        await self.more()
        os.kill(pid, signal.SIGCONT)
        await self.by_the_bus()
        await self.restart(self.profile, self.copy_aside)
        await self.by_the_bus()
        await self.restart(self.profile, self.bring_back)  # it delivers again what was done, and lacks what it acknowledged
        await self.by_the_bus()
        await self.restart(self.profile, lambda: shutil.rmtree(self.data / self.lost))
        await self.by_the_bus()
        await self.restart(None)
        await self.restart(self.profile)
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


def nothing_is_lost_or_doubled(profile, lost):
    """`lost`: the folder of its data without which the broker has lost all; "": all of them."""
    named(profile)
    folder = open_folder()
    changing = Changing(folder, profile, lost)
    try:
        asyncio.run(changing.run())
    except BaseException:
        print(changing.shop.logs())
        raise
    finally:
        changing.shop.stop(check=False)
        shutil.rmtree(folder, ignore_errors=True)
