# SPDX-License-Identifier: Apache-2.0
"""A store with a read replica: GETs go there while it is fresh, to the primary while it is not, and continue there,
marked, when the primary is gone."""

import os
import pathlib
import re
import shutil

import pytest

from conftest import free_port, wait_for
from servers import PASSWORD, Maria, Postgres
from test_identity import shop_with

STALENESS_MS = 1500


@pytest.fixture(scope="module", params=[Postgres, Maria], ids=lambda kind: kind.engine)
def pair(request):
    folder = request.param.folder()
    primary = request.param(folder, "primary").make().start()
    replica = primary.replica(folder)
    primary.make_store()
    replica.start().follow()
    yield primary, replica
    replica.stop()
    primary.stop()
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def shop(pair, tmp_path_factory):
    primary, replica = pair
    os.environ["TEST_GIVEN_PASSWORD"] = PASSWORD
    store = {"host": "127.0.0.1", "port": primary.port, "user": "shop", "password": "${TEST_GIVEN_PASSWORD}",
             "database": "shop", "replicas": [{"host": "127.0.0.1", "port": replica.port}], "staleness_ms": STALENESS_MS}
    system = shop_with(tmp_path_factory.mktemp("replicas"), users={"engine": primary.engine, "store": store}).up()
    yield system
    system.stop(check=False)


def number(system, name):
    text = system.call("users", "GET", "/metrics").body
    found = re.search(rf"^{name} (\d+)$", text, re.MULTILINE)
    assert found, text
    return int(found[1])


def add(system, name):
    return system.http("POST", "/api/users", {"name": name, "email": f"{name}@example.org"}, {"Idempotency-Key": name})


def get(system, user, **headers):
    return system.http("GET", f"/api/users/{user}", headers=headers)


def seen(system, user, name):
    answer = get(system, user)
    return answer.status == 200 and answer.body["name"] == name and answer


def test_reads_go_to_a_fresh_replica_and_writes_to_the_primary(shop):
    assert add(shop, "ann").status == 201
    wait_for("a read is the replica's", lambda: seen(shop, 1, "ann") and number(shop, "freehold_replica_reads_total") > 0)
    assert "age" not in get(shop, 1).headers
    before = number(shop, "freehold_replica_reads_total")
    wait_for("others are too", lambda: get(shop, 1).status == 200 and
             number(shop, "freehold_replica_reads_total") > before + 10)


def test_whoever_wants_the_newest_queries_the_owner(shop):
    for i in range(10):
        name = f"name-{i}"
        assert shop.http("PATCH", "/api/users/1", {"name": name}, {"Idempotency-Key": name}).status == 200
        assert get(shop, 1, **{"Cache-Control": "no-cache"}).body["name"] == name


def test_a_replica_that_lags_is_not_read(shop, pair):
    _, replica = pair
    replica.pause()
    assert shop.http("PATCH", "/api/users/1", {"name": "late"}, {"Idempotency-Key": "late"}).status == 200
    wait_for("the newest is read", lambda: seen(shop, 1, "late"))
    reads = number(shop, "freehold_replica_reads_total")
    for _ in range(20):  # the replica lags behind, and is not queried
        answer = get(shop, 1)
        assert answer.body["name"] == "late" and "age" not in answer.headers
    assert number(shop, "freehold_replica_reads_total") == reads
    replica.resume()
    wait_for("it is read again", lambda: get(shop, 1).status == 200 and
             number(shop, "freehold_replica_reads_total") > reads)


def test_without_the_primary_reads_go_on_marked_and_writes_get_a_retry_after(shop, pair):
    primary, _ = pair
    wait_for("the replica is fresh", lambda: get(shop, 1).status == 200 and number(shop, "freehold_replicas_fresh") == 1)
    primary.kill()
    marked = wait_for("an answer is marked", lambda: (a := get(shop, 1)).status == 200 and "age" in a.headers and a)
    assert marked.body["name"] == "late" and int(marked.headers["age"]) >= 1
    refused = add(shop, "bert")
    assert refused.status == 503 and "retry-after" in refused.headers, refused
    for _ in range(20):
        answer = get(shop, 1)
        assert answer.status == 200 and answer.body["name"] == "late"
    primary.start()
    bert = wait_for("writes are taken again", lambda: (a := add(shop, "bert")).status == 201 and a.body["id"])
    wait_for("answers are unmarked", lambda: (a := get(shop, 1)).status == 200 and "age" not in a.headers)
    wait_for("what was written is read", lambda: seen(shop, bert, "bert"))


def test_a_wrong_replica_is_named_with_its_place(shop):
    text = pathlib.Path(shop.file).read_text()
    file = pathlib.Path(shop.file).parent / "other.yaml"
    file.write_text(re.sub(r'"staleness_ms": \d+', '"staleness_ms": 0', text))
    done = shop.command("check", str(file), check=False)
    assert done.returncode == 1 and "staleness_ms" in done.stderr
    file.write_text(re.sub(r'"replicas": \[\{[^}]*\}\]', '"replicas": [{"port": %d}]' % free_port(), text))
    done = shop.command("check", str(file), check=False)
    assert done.returncode == 1 and "host" in done.stderr


def test_a_primary_that_reports_no_position_has_no_fresh_replica(shop, pair):
    primary, _ = pair
    if primary.engine != "mariadb":
        pytest.skip("PostgreSQL always has a log that others can follow")
    primary.stop()
    primary.settings = ["--skip-log-bin"]
    primary.start()
    log = pathlib.Path(shop.state) / "users" / "log"
    wait_for("it is said", lambda: get(shop, 1).status == 200 and "log_bin is off" in log.read_text())
    wait_for("no replica is fresh", lambda: get(shop, 1).status == 200 and number(shop, "freehold_replicas_fresh") == 0)

    def is_the_primarys():
        before = number(shop, "freehold_replica_reads_total")
        answer = get(shop, 1)
        return answer.status == 200 and "age" not in answer.headers and \
            number(shop, "freehold_replica_reads_total") == before

    wait_for("a read is the primary's", is_the_primarys)
