# SPDX-License-Identifier: Apache-2.0
"""Documents: a snapshot of a catalog of them, taken over by another service with an embedded store of its own, and
the events of such a catalog, applied one by one by another; and on a server that speaks MongoDB's protocol, documents
read and added beside Fastify with MongoDB's driver."""

import contextlib
import json
import os
import pathlib
import shutil
import sqlite3
import subprocess
import tempfile
import time

import bars
from common import CATCH_UP_S_MAX, CONSTANT, Failed, Service, fdatasync_us, load, measure_events, not_measured, show, times, title
from feeds import Feed, Numbered, embedded
from filling import FILL_S_MAX
from peers import Node
from relational import CONNECTIONS
from turns import OURS, in_turn, show_figures

BAR = 0.3              # times SQLite's own copy
FEED_BAR = 10_000      # events a second, where CONSTANT answers are given
FILL_S = 5
SNAPSHOT = "a snapshot of documents, times SQLite copying them alone"
FEED = f"feed of documents, times {FEED_BAR:,}/s where {CONSTANT:,} constant answers/s are"
ROWS_A_COMMIT = 240    # as a round has them
NAMES = {"catalog": "bench_catalog", "mirror": "bench_mirror"}


class Documents(Service):
    """Of a model that has no migrations."""

    def config(self):
        return {name: value for name, value in super().config().items() if name != "migrations"}


def processor_us(service):
    fields = open(f"/proc/{service.process.pid}/stat").read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1_000_000 // os.sysconf("SC_CLK_TCK")


def copied_bare(build, store, count):
    """The same documents, read and written by SQLite alone, synced as often: documents a second. `store`: a folder
    with a copy, for the service's own is open."""
    path = store / "copied.db"
    done = subprocess.run([build / "bench" / "documents", "copy", store, path, str(ROWS_A_COMMIT)],
                          capture_output=True, text=True, check=True, timeout=FILL_S_MAX)
    documents, took_us = (int(word) for word in done.stdout.split())
    for file in store.glob(path.name + "*"):
        file.unlink()
    if documents != count:
        raise Failed(f"of {count:,} documents SQLite has copied {documents:,}")
    return documents / took_us * 1e6


class Snapshots:
    """Taken over by one new service after the other; what each round has cost the processor, in us a document."""

    def __init__(self, build, catalog, places, count):
        self.build, self.catalog, self.places, self.count = build, catalog, places, count
        self.publisher_us, self.subscriber_us = [], []

    def take_over(self):
        """Documents a second, until it follows, its start included."""
        mirror = Documents(self.build / "bench" / NAMES["mirror"], "mirror", self.places.next("mirror") / "store")
        mirror.peers = {"catalog": self.catalog.address}
        try:
            before_us, began = processor_us(self.catalog), time.monotonic()
            mirror.start()
            while (state := mirror.state()["subscriptions"][0])["state"] != "following":
                if time.monotonic() - began > CATCH_UP_S_MAX:
                    raise Failed(f"the snapshot was not taken over within {CATCH_UP_S_MAX} s: {state}")
                time.sleep(0.02)
            took = time.monotonic() - began
            self.publisher_us.append((processor_us(self.catalog) - before_us) / self.count)
            self.subscriber_us.append(processor_us(mirror) / self.count)
            mirror.stop()
            with contextlib.closing(sqlite3.connect(mirror.folder / "store.db")) as store:
                taken, = store.execute("SELECT count(*) FROM doc_products").fetchone()
            if taken != self.count:
                raise Failed(f"of {self.count:,} documents {taken:,} were taken over")
            return self.count / took
        finally:
            mirror.close()
            shutil.rmtree(mirror.folder)


@bars.part("documents, snapshot", SNAPSHOT)
def measure_snapshot(build, folder, count):
    places = Numbered(folder / "documents")
    catalog = Documents(build / "bench" / NAMES["catalog"], "catalog", places.next("catalog") / "store")
    try:
        title(f"A snapshot of {count:,} documents, from one embedded store into another over HTTP")
        fdatasync_us(build, folder)
        subprocess.run([build / "bench" / "documents", "fill", catalog.folder, str(count)], check=True, timeout=FILL_S_MAX)
        source = shutil.copytree(catalog.folder, places.next("source") / "store")
        catalog.start()
        snapshots = Snapshots(build, catalog, places, count)
        rates = in_turn({"bare": lambda: copied_bare(build, source, count), OURS: snapshots.take_over})
        ratios = bars.Ratios(rates[OURS], rates["bare"])
        show_figures("copied by SQLite alone", rates["bare"], "docs/s", f"a commit for each {ROWS_A_COMMIT}")
        show_figures("taken over, that service's start included", rates[OURS], "docs/s",
                     f"{ratios.told()} SQLite alone",
                     bars.at_least(SNAPSHOT, ratios, BAR))
        show_figures("processor time, publisher's side", snapshots.publisher_us, "us/doc")
        show_figures("processor time, subscriber's side", snapshots.subscriber_us, "us/doc")
    finally:
        catalog.close()


@bars.part("documents, feed", FEED)
def measure_feed(build, folder, seconds):
    """Beside the same machine's constant answers in the same round: what the bar is for a machine as fast as that."""
    (folder / "documents" / "feed").mkdir()
    places = Numbered(folder / "documents" / "feed")
    with contextlib.ExitStack() as stack:
        feed = Feed(stack, embedded(build, places, NAMES, Documents), "catalog", "mirror")
        orders = embedded(build, places)("orders")
        stack.callback(orders.close)
        orders.start()
        load(feed.publisher.url + "/products", CONNECTIONS, FILL_S, "product")
        title(f"Events of documents: {feed.last():,} from the outbox to applied once in another store of documents, embedded")
        rates = in_turn({"constant": lambda: load(orders.url + "/constant", CONNECTIONS, max(1, seconds // 2)),
                         "feed": feed.ours})
        ratios = bars.Ratios(rates["feed"], [FEED_BAR * each / CONSTANT for each in rates["constant"]])
        show_figures("constant answer", rates["constant"], "requests/s")
        show_figures("Freehold", rates["feed"], "events/s",
                     f"{ratios.told()} {FEED_BAR:,}/s x answers / {CONSTANT:,}", bars.at_least(FEED, ratios, 1))


def measure_embedded(build, folder, count, seconds):
    (folder / "documents").mkdir()
    measure_snapshot(build, folder, count)
    measure_feed(build, folder, seconds)


# ---- On a server ---------------------------------------------------------------------------------

PRODUCT = {"name": "One of many", "price": 2999}


def measure_products(catalog, peer, build, seconds):
    """As fast as FerretDB lets both: it keeps its documents in SQLite's files."""
    title(f"MongoDB (FerretDB): a document and its event over HTTP, {CONNECTIONS} connections")
    fdatasync_us(build, tempfile.gettempdir())  # where tools/servers has the server's folder
    theirs = load(peer.url + "/products", CONNECTIONS, seconds, "product") if peer else None
    ours = load(catalog.url + "/products", CONNECTIONS, seconds, "product")
    if theirs:
        show("Fastify with MongoDB's driver, two writes", theirs, "works/s")
    show("Freehold", ours, "works/s", f"{times(ours / theirs)} Fastify" if theirs else "")
    title(f"MongoDB (FerretDB): one document read over HTTP, {CONNECTIONS} connections")
    theirs = load(peer.url + "/products/p-1", CONNECTIONS, seconds) if peer else None
    ours = load(f"{catalog.url}/products/{catalog.ask('POST', '/products', PRODUCT)['id']}", CONNECTIONS, seconds)
    if theirs:
        show("Fastify with MongoDB's driver", theirs, "requests/s")
    show("Freehold", ours, "requests/s", f"{times(ours / theirs)} Fastify" if theirs else "")


def measure(build, folder, seconds):
    told = json.loads(os.environ.get("FREEHOLD_TEST_MONGODB", "null"))
    if not told:
        not_measured("MongoDB", "no server: run it as `tools/servers run bench/run BUILD`")
        return
    place = pathlib.Path(folder) / "mongodb"
    place.mkdir()
    with contextlib.ExitStack() as stack:
        def service(name):
            store = {"host": told["host"], "port": told["port"], "database": NAMES[name]}
            made = Documents(build / "bench" / NAMES[name], name, place / name, {"engine": "mongodb", "store": store})
            stack.callback(made.close)
            return made

        catalog, mirror = service("catalog"), service("mirror")
        catalog.peers, mirror.peers = {"mirror": mirror.address}, {"catalog": catalog.address}
        catalog.start()
        peer = Node(build, "products.js", {"MONGODB": f"mongodb://{told['host']}:{told['port']}/"})
        stack.callback(peer.close)
        missing = peer.missing()
        if missing:
            not_measured("Fastify with MongoDB's driver", missing)
            peer = None
        else:
            peer.start("PUT", "/products/p-1", PRODUCT)
        measure_products(catalog, peer, build, seconds)
        if peer:
            peer.close()
        measure_events(catalog, mirror, "MongoDB (FerretDB): ", bar=1_000)
