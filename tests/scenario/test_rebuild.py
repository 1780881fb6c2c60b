# SPDX-License-Identifier: Apache-2.0
"""A search is made anew from its publisher's events while people search and products change: `freehold rebuild`."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import subprocess
import threading
import urllib.parse

import pytest
from conftest import FREEHOLD, ROOT, SHOP_FILE, SHOP_SERVICES, System, wait_for, with_programs

PRODUCTS = 60
MARK = "lamp"


class Shop(System):
    """The shop with its migrations, in a folder where they can be changed."""

    def __init__(self, folder, retention=None, programs=pathlib.Path(FREEHOLD).parent / "examples" / "shop",
                 freehold=FREEHOLD):
        for name in SHOP_SERVICES:
            migrations = ROOT / "examples" / "shop" / name / "migrations"
            if migrations.exists():
                shutil.copytree(migrations, folder / name / "migrations")
        text = with_programs(SHOP_FILE.read_text(), programs)
        if retention:
            text, count = re.subn(r"^(  products: \{ program: \S+) \}$", rf"\1, retention: {retention} }}", text,
                                  flags=re.MULTILINE)
            assert count == 1
        file = folder / "freehold.yaml"
        file.write_text(text)
        super().__init__(file, folder / "s", freehold=freehold)
        self.search, self.migrations = folder / "s" / "search", folder / "search" / "migrations"

    def fill(self):
        for number in range(PRODUCTS):
            made = self.http("POST", "/api/products", {"id": f"p{number:03}", "name": f"{MARK} {number}", "price": 7})
            assert made.status == 201, made
        wait_for("all are found", lambda: len(self.found()) == PRODUCTS)
        return self

    def rename(self, product, name):
        return self.http("PATCH", f"/api/products/{product}", {"name": name}).status

    def found(self, words=MARK):
        """All that the search knows, page by page: a dump of its store, sorted by ids."""
        dump, after = [], ""
        while True:
            query = urllib.parse.urlencode({"q": words, "sort": "id", "limit": 50, **({"after": after} if after else {})})
            page = self.http("GET", f"/api/search?{query}")
            assert page.status == 200, page
            dump += [(one["id"], one["name"], one["price"]) for one in page.body["hits"]]
            after = page.body["next"]
            if not after:
                return dump

    def there(self):
        """The same, as its owner has it."""
        dump = []
        for number in range(PRODUCTS):
            one = self.http("GET", f"/api/products/p{number:03}")
            if one.status == 200:
                dump.append((one.body["id"], one.body["name"], one.body["price"]))
        return dump

    def equals(self):
        assert wait_for("it shows what there is", lambda: self.found() == self.there())
        return True

    def rebuild(self, *more, service="search"):
        return self.command("rebuild", service, "--state", self.state, *more, check=False)

    def begin(self, *more):
        return subprocess.Popen([FREEHOLD, "rebuild", "search", "--state", self.state, *more], stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True)

    def filler(self):
        """The pid of the second process, if there is one now."""
        for one in pathlib.Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if one.name.isdigit() and f"{self.search}/rebuild.json".encode() in (one / "cmdline").read_bytes().split(b"\0"):
                    return int(one.name)
        return None

    def nothing_is_left(self):
        left = {"rebuild", "rebuild.json", "former.db"} & {one.name for one in self.search.iterdir()}
        assert not left, left
        assert not self.filler()
        assert not self.services()["search"]["rebuilding"]
        return True

    def incarnation(self):
        return json.loads((self.search / "store.json").read_text())["incarnation"]

    @contextlib.contextmanager
    def held(self, service):
        """It neither answers nor ends, for a moment: `up` would kill it after five seconds of that."""
        pid = self.pid(service)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)


def spoil(shop):
    """What its store shows is wrong from now on: it has refused two events, which an operator has dropped."""
    (shop.migrations / "0003_refuse_some.sql").write_text("".join(
        f"CREATE TRIGGER refuses_{what} BEFORE {what} ON products WHEN old.id = '{product}'"
        " BEGIN SELECT RAISE(ABORT, 'refused'); END;\n" for what, product in (("update", "p053"), ("delete", "p055"))))
    shop.command("upgrade", "search", "--state", shop.state)
    assert shop.http("PATCH", "/api/products/p053", {"price": 8}).status == 200
    assert shop.http("DELETE", "/api/products/p055").status == 204
    for product in ("p053", "p055"):
        wait_for("its event is dropped", lambda product=product: shop.command(
            "parked", "drop", "search", "products", product, "--yes", "--state", shop.state, check=False).returncode == 0)
    (shop.migrations / "0004_refuse_none.sql").write_text("DROP TRIGGER refuses_update;\nDROP TRIGGER refuses_delete;\n")
    shop.command("upgrade", "search", "--state", shop.state)
    assert len(shop.found()) == PRODUCTS and len(shop.there()) == PRODUCTS - 1


def damage_new_store(shop):
    """Before it is taken: the service must not end earlier."""
    wait_for("the new one is whole", lambda: (shop.search / "rebuild.log").exists()
             and "drained" in (shop.search / "rebuild.log").read_text())
    wait_for("its process has ended", lambda: not shop.filler())
    with open(shop.search / "rebuild" / "store.db", "r+b") as file:
        file.write(b"no database at all")


@pytest.fixture
def shop(tmp_path):
    shop = Shop(tmp_path).up()
    yield shop.fill()
    shop.stop(check=False)


def load(shop, ends, said):
    """One searches, one writes, without a pause; what goes wrong is in `said`."""
    def searches():
        while not ends.is_set():
            answer = shop.http("GET", f"/api/search?q={MARK}")
            if answer.status != 200:
                said.append(answer)

    def writes():
        turn = 0
        while not ends.is_set():
            turn += 1
            status = shop.rename(f"p{turn % (PRODUCTS - 10):03}", f"{MARK} {turn}")
            if status != 200:
                said.append(status)
    threads = [threading.Thread(target=one) for one in (searches, searches, writes)]
    for one in threads:
        one.start()
    return threads


@pytest.mark.parametrize("retention", [None, "{ events_kept_s: 1, events_max: 20 }"], ids=["events", "state"])
def test_a_view_that_is_wrong_is_rebuilt_while_it_is_asked_and_its_publisher_changes(tmp_path, retention):
    shop, ends, said = Shop(tmp_path, retention).up(), threading.Event(), []
    try:
        shop.fill()
        if retention:
            wait_for("events are trimmed", lambda: shop.state_of("products")["trimmed"] >= PRODUCTS - 20)
        spoil(shop)
        before, threads = shop.incarnation(), load(shop, ends, said)
        done = shop.rebuild("--json")
        ends.set()
        for one in threads:
            one.join()
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert told["service"] == "search" and told["events"] >= PRODUCTS - 10 and told["paused_ms"] > 0
        assert said == [] and shop.equals()
        assert shop.incarnation() != before and shop.nothing_is_left()
        log = (shop.search / "rebuild.log").read_text()
        assert ("resync-begun" in log) == bool(retention), log
        shop.stop()
        shop.up()
        assert shop.equals()
    finally:
        ends.set()
        shop.stop(check=False)


def test_what_it_says_at_a_terminal(shop):
    done = shop.rebuild()
    assert re.fullmatch(r"search was rebuilt in \d+\.\d s from \d\d+ events; its requests waited \d+\.\d s\.\n", done.stdout)
    done = shop.rebuild(service="orders")
    assert done.returncode == 1 and "orders takes commands, and the effects are in its own store alone" in done.stderr
    assert len(done.stderr.splitlines()) == 2, done.stderr
    done = shop.rebuild(service="serch")
    assert done.returncode == 1 and "did you mean 'search'?" in done.stderr
    done = shop.rebuild("--abandon")
    assert done.returncode == 1 and "search is not being rebuilt." in done.stderr
    shop.stop()
    assert shop.rebuild().returncode == 3


def test_a_new_store_can_be_looked_at_before_it_is_taken(shop):
    spoil(shop)
    before, pid, kept = shop.incarnation(), shop.pid("search"), shop.search / "rebuilt.db"
    done = shop.rebuild("--keep")
    assert re.fullmatch(rf"A new store of search was filled in \d+\.\d s from \d+ events: {kept}\n", done.stdout), done
    assert shop.incarnation() == before and shop.pid("search") == pid and shop.nothing_is_left()
    store = sqlite3.connect(f"file:{kept}?immutable=1", uri=True)
    assert sorted(store.execute("SELECT id, name, price FROM products")) == shop.there() != shop.found()
    store.close()
    assert shop.rebuild().returncode == 0 and shop.equals() and not kept.exists()


def test_it_waits_for_its_publisher_and_goes_on_where_it_was_killed(shop):
    publisher = shop.pid("products")
    os.kill(publisher, signal.SIGSTOP)
    rebuilding = shop.begin()
    try:
        first = wait_for("the second process is there", shop.filler)
        os.kill(first, signal.SIGKILL)
        wait_for("it is there again", lambda: shop.filler() not in (None, first))
        assert shop.services()["search"]["rebuilding"]
        for command, says in (("rebuild", "search is being rebuilt; wait for its end"),
                              ("upgrade", "freehold rebuild search --abandon")):
            done = shop.command(command, "search", "--state", shop.state, check=False)
            assert done.returncode == 1 and says in done.stderr, done
        assert shop.found()  # it serves meanwhile
    finally:
        os.kill(publisher, signal.SIGKILL)  # `up` starts it again
    said, _ = rebuilding.communicate(timeout=120)
    assert rebuilding.returncode == 0 and "search was rebuilt" in said, said
    assert shop.equals() and shop.nothing_is_left()


def test_who_asks_the_second_process_to_end_and_kills_the_service_does_not_end_it(shop):
    """A store that is not whole is not taken, and the command does not take another start of the service for its end."""
    publisher, served = shop.pid("products"), shop.pid("search")
    before = shop.incarnation()
    os.kill(publisher, signal.SIGSTOP)
    rebuilding = shop.begin()
    try:
        first = wait_for("the second process is there", shop.filler)
        wait_for("it has begun", lambda: (shop.search / "rebuild" / "store.db").exists())
        os.kill(first, signal.SIGTERM)
        wait_for("it is there again", lambda: shop.filler() not in (None, first))
        os.kill(served, signal.SIGKILL)
        wait_for("the service is ready again", lambda: (one := shop.services()["search"])["ready"] and one["pid"] != served)
        assert rebuilding.poll() is None and shop.incarnation() == before and len(shop.found()) == PRODUCTS
    finally:
        os.kill(publisher, signal.SIGKILL)
    said, _ = rebuilding.communicate(timeout=120)
    assert rebuilding.returncode == 0 and "search was rebuilt" in said, said
    assert shop.equals() and shop.nothing_is_left() and shop.incarnation() != before


def begin_held(shop):
    """One that can't end, since its publisher does not answer until that is killed."""
    pid = shop.pid("products")
    os.kill(pid, signal.SIGSTOP)
    rebuilding = shop.begin()
    wait_for("the second process is there", shop.filler)
    return pid, rebuilding


def test_it_can_be_given_up(shop):
    before = shop.incarnation()
    publisher, rebuilding = begin_held(shop)
    try:
        done = shop.rebuild("--abandon")
    finally:
        os.kill(publisher, signal.SIGKILL)
    assert done.returncode == 0 and "It was abandoned." in done.stdout, done
    said, _ = rebuilding.communicate(timeout=60)
    assert rebuilding.returncode == 1 and "It was abandoned." in said
    assert shop.nothing_is_left() and shop.incarnation() == before
    assert shop.rebuild().returncode == 0 and shop.equals()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_an_up_that_ends_leaves_nothing_of_it_to_the_next_one(shop, how):
    before, up = shop.incarnation(), shop.status()["up_pid"]
    publisher, rebuilding = begin_held(shop)
    os.kill(up, how)
    os.kill(publisher, signal.SIGKILL)
    assert rebuilding.wait(60) == 1
    rebuilding.stdout.close()
    wait_for("it has ended", lambda: not pathlib.Path(f"/proc/{up}").exists())
    shop.up()
    assert shop.nothing_is_left() and shop.incarnation() == before and shop.equals()


def test_events_that_the_new_store_does_not_take_keep_it_from_being_taken(shop):
    """Unless that is asked for. Here a migration of a former program refuses what its store has already."""
    (shop.migrations / "0003_refuse.sql").write_text(
        "CREATE TRIGGER refuses BEFORE INSERT ON products WHEN new.id = 'p007'"
        " BEGIN SELECT RAISE(ABORT, 'no such lamps'); END;\n")
    shop.command("upgrade", "search", "--state", shop.state)
    before = shop.incarnation()
    done = shop.rebuild()
    assert done.returncode == 1 and "An event of products could not be applied to the new store" in done.stderr, done
    assert shop.incarnation() == before and shop.equals() and shop.nothing_is_left()
    assert "no such lamps" in (shop.search / "rebuild.log").read_text()
    done = shop.rebuild("--force")
    assert done.returncode == 0, done.stderr
    assert "p007" not in [one[0] for one in shop.found()] and len(shop.found()) == PRODUCTS - 1


def test_a_row_of_a_state_that_the_new_store_does_not_take_is_said(tmp_path):
    shop = Shop(tmp_path, "{ events_kept_s: 1, events_max: 20 }").up()
    try:
        shop.fill()
        wait_for("events are trimmed", lambda: shop.state_of("products")["trimmed"] >= PRODUCTS - 20)
        (shop.migrations / "0003_refuse.sql").write_text(
            "CREATE TRIGGER refuses BEFORE INSERT ON products WHEN new.id = 'p007'"
            " BEGIN SELECT RAISE(ABORT, 'no such lamps'); END;\n")
        shop.command("upgrade", "search", "--state", shop.state)
        done = shop.rebuild()
        assert done.returncode == 1 and re.search(r"The subscription to products has stopped: .*key p007", done.stderr), done
        assert shop.equals() and shop.nothing_is_left()
    finally:
        shop.stop(check=False)


def test_it_is_not_rebuilt_with_migrations_that_its_store_does_not_have(shop):
    text = pathlib.Path(shop.file).read_text()
    pathlib.Path(shop.file).write_text(re.sub(r"^system:", "upgrade: by hand\nsystem:", text, flags=re.MULTILINE))
    shop.stop()
    shop.up()
    (shop.migrations / "0003_more.sql").write_text("CREATE TABLE more (id INTEGER PRIMARY KEY);\n")
    done = shop.rebuild()
    assert done.returncode == 1 and "upgrade it first" in done.stderr, done
    assert shop.nothing_is_left() and shop.equals()


def test_a_new_store_on_which_it_does_not_get_ready_is_given_back(shop):
    before = shop.incarnation()
    with shop.held("search"):
        rebuilding = shop.begin()
        damage_new_store(shop)
    said, _ = rebuilding.communicate(timeout=120)
    assert rebuilding.returncode == 1 and "search was not rebuilt, and keeps the store that it has" in said, said
    assert shop.incarnation() == before and shop.equals() and shop.nothing_is_left()
    assert shop.rebuild().returncode == 0 and shop.equals()


@pytest.fixture
def small_disk(tmp_path):
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m,mode=755", "none", str(tmp_path)],
                                           capture_output=True, check=False).returncode:
        pytest.skip("NOT TESTED: a full disk needs root, and the right to mount")
    yield tmp_path
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def fill_disk(folder, left):
    ballast = folder / "ballast"
    with open(ballast, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 65536)
    os.truncate(ballast, ballast.stat().st_size - left)
    return ballast


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_on_a_full_disk_the_former_store_stays(small_disk, when):
    """A service that was stopped there would not even get ready again on the store that it had."""
    shop = Shop(small_disk).up()
    try:
        before, ballast = shop.fill().incarnation(), None
        if when == "before":
            ballast = fill_disk(small_disk, 1_000_000)
            said = shop.rebuild().stderr
        else:
            with shop.held("products"):
                rebuilding = shop.begin()
                wait_for("the second process is there", shop.filler)
                ballast = fill_disk(small_disk, 2_000_000)
            said, _ = rebuilding.communicate(timeout=120)
        assert re.search(r"A rebuild of search takes \d+ MB, and its disk has [01] MB left", said), said
        assert shop.incarnation() == before and len(shop.found()) == PRODUCTS
        ballast.unlink()
        assert shop.nothing_is_left()
        assert shop.rebuild().returncode == 0 and shop.equals() and shop.incarnation() != before
    finally:
        shop.stop(check=False)


def test_a_hostile_service_can_have_nothing_else_renamed(shop, tmp_path):
    """It puts a link in the place of its new store's folder, to where another service's store is."""
    victim = tmp_path / "s" / "users"
    before = (victim / "store.db").stat().st_ino
    with shop.held("search"):
        rebuilding = shop.begin()
        wait_for("the new one is whole", lambda: "drained" in (shop.search / "rebuild.log").read_text()
                 if (shop.search / "rebuild.log").exists() else False)
        wait_for("its process has ended", lambda: not shop.filler())
        (shop.search / "rebuild").rename(shop.search / "elsewhere")
        (shop.search / "rebuild").symlink_to(victim)
    said, _ = rebuilding.communicate(timeout=120)
    assert rebuilding.returncode == 1 and "The new store's folder can't be opened" in said, said
    assert (victim / "store.db").stat().st_ino == before and shop.equals()
    shutil.rmtree(shop.search / "elsewhere")
