# SPDX-License-Identifier: Apache-2.0
"""Bulk loaders beside the carriers: each sends what a service has sent to a server, the same bytes in the same pages, to
the same server, and waits for the same answers. All of it is in memory before the first page goes out (bench/resend,
bench/resend_postgresql), so it has nothing else to do. Each load is into a place of its own, made as the service's was."""

import base64
import json
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import recorded
from common import Failed

LOAD_S_MAX = 300


def ask_server(url, body=None, method="POST", headers=None, text=True):
    """Of an HTTP server. Its answer."""
    request = urllib.request.Request(url, body, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=LOAD_S_MAX) as answer:
            return answer.read().decode() if text else answer.read()
    except urllib.error.HTTPError as error:
        raise Failed(f"{url.split('?')[0]}: {error.code} {error.read()[:300]}") from None


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=LOAD_S_MAX, check=False)
    if done.returncode:
        raise Failed(f"{command[0].name}: {done.stderr.strip()[-300:]}")
    return float(done.stdout)


class ByHttp:
    """`made`: the requests that make the place, `pages`: those that fill it; of those that were written down."""

    def __init__(self, build, folder, told, taken):
        self.build, self.told, self.file, self.number = build, told, folder / "pages", 0
        self.url = f"http://{told['host']}:{told['port']}"
        self.pages = [request for request in taken if self.is_page(request)]
        if not self.pages:
            raise Failed("no page was written down")
        self.learn(taken)

    def load(self, count, connections=1):
        """Values a second."""
        self.number += 1
        name = f"loader{self.number}"
        self.make(name)
        recorded.write_requests(self.file, self.pages, self.told["port"], lambda path: self.path_of(path, name))
        took = run(self.build / "bench" / "resend", str(self.told["port"]), self.file, str(connections))
        if (found := self.count(name)) != count:
            raise Failed(f"of {count:,} values the loader has left {found:,}")
        self.drop(name)
        return count / took


class OpenSearch(ByHttp):
    def is_page(self, request):
        return "/_bulk" in request.path

    def learn(self, taken):
        making = next(request for request in taken if request.method == "PUT")
        self.index, self.making = re.match(r"/([^/?]+)", making.path)[1], making.body.decode()

    def make(self, name):
        ask_server(f"{self.url}/{name}", self.making.replace(self.index, name).encode(), "PUT",
                   {"Content-Type": "application/json"})

    def path_of(self, path, name):
        return path.replace(self.index, name)

    def count(self, name):
        ask_server(f"{self.url}/{name}/_refresh")
        return json.loads(ask_server(f"{self.url}/{name}/_count?q=kind:value"))["count"]

    def drop(self, name):
        ask_server(f"{self.url}/{name}", method="DELETE")


class InfluxDB(ByHttp):
    def is_page(self, request):
        return request.path.startswith("/write?") and b"fh_from=" in request.body

    def learn(self, taken):
        page = next(page for page in self.pages if b"fh_p=" in page.body)  # the first may have a link alone
        self.measurement = page.body.partition(b",")[0].decode()
        self.database = urllib.parse.parse_qs(self.pages[0].path.partition("?")[2])["db"][0]

    def query(self, statement):
        user = base64.b64encode(f"{self.told['user']}:{self.told['password']}".encode()).decode()
        answer = ask_server(f"{self.url}/query", urllib.parse.urlencode({"q": statement}).encode(),
                            headers={"Authorization": f"Basic {user}"})
        return json.loads(answer)["results"][0]

    def make(self, name):
        self.query(f'CREATE DATABASE "{name}"')

    def path_of(self, path, name):
        return path.replace(f"db={self.database}", f"db={name}")

    def count(self, name):
        return self.query(f'SELECT count(fh_p) FROM "{name}".."{self.measurement}"')["series"][0]["values"][0][1]

    def drop(self, name):
        self.query(f'DROP DATABASE "{name}"')


class ClickHouse(ByHttp):
    def is_page(self, request):
        return "query=INSERT" in request.path

    def learn(self, taken):
        making = next(request.body.decode() for request in taken if request.body.startswith(b"CREATE TABLE"))
        self.table, self.making = re.search(r"`\.`([^`]+)`", making)[1], making
        self.database = re.search(r"`([^`]+)`\.`", making)[1]

    def query(self, statement):
        return ask_server(self.url + "/", statement.encode(), headers={
            "X-ClickHouse-User": self.told["user"], "X-ClickHouse-Key": self.told["password"]})

    def make(self, name):
        self.query(self.making.replace(self.table, name))

    def path_of(self, path, name):
        return path.replace(self.table, name)

    def count(self, name):
        return int(self.query(f"SELECT count() FROM `{self.database}`.`{name}` WHERE fh_kind = 1"))

    def drop(self, name):
        self.query(f"DROP TABLE `{self.database}`.`{name}`")


class PostgreSQL:
    """Its pages are transactions, and all of a page is sent at once; what makes the tables is sent before them."""

    def __init__(self, build, folder, server, taken):
        """`server`: of bench/postgresql.py."""
        self.build, self.server, self.file, self.number = build, server, folder / "pages", 0
        parts = recorded.transactions(taken)
        texts = [b"".join(message.bytes for message in part) for part in parts]
        making, made = next((part, found) for part, text in zip(parts, texts)
                            if (found := re.search(rb'CREATE SCHEMA "([^"]+)"', text)))
        self.schema = made[1].decode()
        point = f'INSERT INTO "{self.schema}".point'.encode()
        pages = [part for part, text in zip(parts, texts) if point in text]
        recorded.write_transactions(self.file, [making, *pages], lambda part: part is not making)

    def load(self, count, _connections=1):
        """Points a second."""
        self.number += 1
        database = f"bench_loader{self.number}"
        self.server.sql(f"DROP DATABASE IF EXISTS {database}")
        self.server.sql(f"CREATE DATABASE {database}")
        at = self.server
        took = run(self.build / "bench" / "resend_postgresql",
                   f"host={at.host} port={at.port} user={at.user} password={at.password} dbname={database}", self.file)
        found = int(self.server.sql(f'SELECT count(*) FROM "{self.schema}".point', database))
        if found != count:
            raise Failed(f"of {count:,} points the loader has left {found:,}")
        self.server.sql(f"DROP DATABASE {database}")
        return count / took
