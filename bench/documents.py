# SPDX-License-Identifier: Apache-2.0
"""Documents: a snapshot of a catalog of them, taken over by another service with an embedded store of its own; and
on a server that speaks MongoDB's protocol, read and added beside Fastify with MongoDB's driver."""

import contextlib
import json
import os
import pathlib
import subprocess
import tempfile
import time

from common import CATCH_UP_S_MAX, Failed, Service, fdatasync_us, load, measure_events, not_measured, show, times, title
from peers import Node
from relational import CONNECTIONS

BAR = 50_000           # documents a second
ROWS_A_COMMIT = 240    # as a round has them
NAMES = {"catalog": "bench_catalog", "mirror": "bench_mirror"}


class Documents(Service):
    """Of a model that has no migrations."""

    def config(self):
        return {name: value for name, value in super().config().items() if name != "migrations"}


def processor_us(service):
    fields = open(f"/proc/{service.process.pid}/stat").read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1_000_000 // os.sysconf("SC_CLK_TCK")


def copied_bare(build, catalog, path):
    """The same documents, read and written by SQLite alone, synced as often: documents a second."""
    done = subprocess.run([build / "bench" / "documents", "copy", catalog.folder, path, str(ROWS_A_COMMIT)],
                          capture_output=True, text=True, check=True)
    documents, took_us = (int(word) for word in done.stdout.split())
    return documents, documents / took_us * 1e6


def take_over(catalog, mirror):
    """Seconds until it follows, and both sides' processor time, starts included."""
    before_us = processor_us(catalog)
    began = time.monotonic()
    mirror.start()
    while (state := mirror.state()["subscriptions"][0])["state"] != "following":
        if time.monotonic() - began > CATCH_UP_S_MAX:
            raise Failed(f"the snapshot was not taken over within {CATCH_UP_S_MAX} s: {state}")
        time.sleep(0.02)
    return time.monotonic() - began, processor_us(catalog) - before_us, processor_us(mirror)


def measure_snapshot(build, folder, count):
    (folder / "documents").mkdir()
    catalog, mirror = (Documents(build / "bench" / NAMES[name], name, folder / "documents" / name)
                       for name in ("catalog", "mirror"))
    catalog.peers, mirror.peers = {"mirror": mirror.address}, {"catalog": catalog.address}
    try:
        title("A snapshot of documents, from one embedded store into another over HTTP")
        fdatasync_us(build, folder)
        subprocess.run([build / "bench" / "documents", "fill", catalog.folder, str(count)], check=True)
        bare_documents, bare = copied_bare(build, catalog, folder / "documents" / "bare.db")
        show(f"{bare_documents:,} documents copied by SQLite alone", bare, "docs/s",
             f"a commit for each {ROWS_A_COMMIT}")
        catalog.start()
        took, catalog_us, mirror_us = take_over(catalog, mirror)
        show(f"{count:,} documents taken over, that service's start included", count / took, "docs/s",
             f"{times(count / took / bare)} SQLite alone (bar: {BAR:,}/s)")
        show("processor time, publisher's side", catalog_us / count, "us/doc")
        show("processor time, subscriber's side", mirror_us / count, "us/doc")
        mirror.stop()
        taken, _ = copied_bare(build, mirror, folder / "documents" / "taken.db")
        if not taken == bare_documents == count:
            raise Failed(f"of {count:,} documents {taken:,} were taken over")
    finally:
        mirror.close()
        catalog.close()


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
