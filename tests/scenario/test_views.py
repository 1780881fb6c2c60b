# SPDX-License-Identifier: Apache-2.0
"""Answers of the search, which shows what products has published: as of when they are, and who waits for an event is
told that it is there only if it is. docs/guide/views.md (of several instances: test_replay)"""

import contextlib
import http.client
import itertools
import os
import re
import signal
import threading

import pytest

from conftest import CONDITION_S_MAX, SHOP_FILE, Answer, wait_for

numbers = itertools.count(1)


def publish(system):
    """A new product, whose name has a word of its own: (the word, Freehold-At)."""
    word = f"word{next(numbers)}x"
    made = system.http("POST", "/api/products", {"id": word, "name": word, "price": 7}, headers={"Idempotency-Key": word})
    assert made.status == 201, made
    again = system.http("POST", "/api/products", {"id": word, "name": word, "price": 7}, headers={"Idempotency-Key": word})
    assert again.status == 201 and again.headers["freehold-at"], again
    return word, made.headers["freehold-at"]


def find(system, word, **headers):
    return system.http("GET", f"/api/search?q={word}", headers={name.replace("_", "-"): text for name, text in headers.items()},
                       nobody=True)


def found(answer):
    assert answer.status == 200, answer
    return [one["id"] for one in answer.body["hits"]]


def asked(system, service, method, path, headers):
    """By an operator, without the gateway."""
    host, port = system.services()[service]["address"].split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=CONDITION_S_MAX)
    with contextlib.closing(connection):
        connection.request(method, path, headers={"Freehold-Token": system.token("operator", service),
                                                  "Freehold-From": "operator", **headers})
        answer = connection.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read().decode())


def inside(system, word, headers):
    """The same, without the gateway."""
    return asked(system, "search", "GET", f"/api/search?q={word}", headers)


@pytest.fixture(scope="module")
def shop(start):
    return start(SHOP_FILE)


def test_what_a_command_has_published_is_waited_for(shop):
    tokens = set()
    for _ in range(10):
        word, at = publish(shop)
        seen = find(shop, word, Freehold_Wait=at)
        assert found(seen) == [word]
        tokens |= {at, seen.headers["freehold-as-of"]}
        assert found(find(shop, word, Freehold_Wait=f"{at}, {seen.headers['freehold-as-of']}")) == [word]
    assert len(tokens) == 20 and len({len(token) for token in tokens}) == 1  # they tell nothing
    assert all(re.fullmatch(r"[\w-]+", token) for token in tokens)
    wait_for("its age is known", lambda: "age" in find(shop, word).headers)
    assert int(find(shop, word).headers["age"]) >= 1


def test_only_what_this_system_gave_is_waited_for_and_only_where_it_can_come(shop):
    word, at = publish(shop)
    user = shop.http("POST", "/api/users", {"name": "Ann", "email": "ann@x.example"}, headers={"Idempotency-Key": "ann"})
    user = shop.http("PATCH", f"/api/users/{user.body['id']}", {"name": "Anna"})
    counted = f"/api/users/{user.body['id']}/orders/increment"
    for times in range(2):  # to be counted publishes nothing; of a repeat nobody knows any more
        done = asked(shop, "users", "POST", counted, {"Idempotency-Key": "counted"})
        assert done.status == 204 and ("freehold-at" in done.headers) == (times > 0), done
    for wrong in (at[:-2] + ("AA" if at[-2:] != "AA" else "BB"), "x", "products@0199aaaa-0000-7000-8000-000000000001,1",
                  f"{at},", "A" * 9000):
        refused = find(shop, word, Freehold_Wait=wrong)
        assert refused.status == 400 and refused.body["type"].endswith("request-malformed"), refused
        assert "Freehold-Wait" in refused.body["detail"]
    assert "8192 bytes" in refused.body["detail"]
    refused = find(shop, word, Freehold_Wait=user.headers["freehold-at"])
    assert refused.status == 400 and "send it only to that service's views" in refused.body["detail"], refused
    read = shop.http("GET", f"/api/products/{word}", headers={"Freehold-Wait": "x"})
    assert read.status == 200 and "freehold-as-of" not in read.headers  # it is no view


def test_what_does_not_come_in_time_is_told_from_what_is_there(shop):
    word, at = publish(shop)
    find(shop, word, Freehold_Wait=at)
    plain = inside(shop, word, {}).headers["freehold-as-of"]
    name, incarnation, position = re.fullmatch(r"(products)@([\w-]{36}),(\d+)", plain).groups()
    ahead = f"{name}@{incarnation},{int(position) + 1000}"
    late = inside(shop, word, {"Freehold-Wait": ahead, "Freehold-Deadline": "300"})
    assert late.status == 504 and late.body["type"].endswith("view-behind"), late
    assert re.fullmatch(rf"products@{incarnation},\d+", late.headers["freehold-as-of"])
    former = inside(shop, word, {"Freehold-Wait": f"products@00000000-0000-7000-8000-000000000000,{position}"})
    assert former.status == 409 and former.body["type"].endswith("position-replaced"), former
    malformed = inside(shop, word, {"Freehold-Wait": "products"})
    assert malformed.status == 400 and "is not a list of event positions" in malformed.body["detail"], malformed


def test_a_view_whose_publisher_is_away_grows_old_and_says_so(shop):
    word, at = publish(shop)
    assert found(find(shop, word, Freehold_Wait=at, Freehold_Max_Age="3600")) == [word]
    for wrong in ("x", "-1", "1.5", "0x1"):
        refused = find(shop, word, Freehold_Max_Age=wrong)
        assert refused.status == 400 and "is not a number of seconds" in refused.body["detail"], refused
    with shop.held_still("products"):
        wait_for("it is older", lambda: int(find(shop, word).headers["age"]) >= 3)
        assert found(find(shop, word)) == [word]
        refused = find(shop, word, Freehold_Max_Age="2")
        assert refused.status == 503 and refused.body["type"].endswith("view-outdated"), refused
        assert refused.headers["retry-after"] == "1"
    wait_for("it is younger again", lambda: int(find(shop, word).headers["age"]) < 3)


def under_way(system, service, line):
    return int(re.search(rf"^{re.escape(line)} (\d+)$", system.call(service, "GET", "/metrics").body, re.M).group(1))


def waited(ask, is_under_way):
    """(thread, answers): a request that waits."""
    answers = []
    thread = threading.Thread(target=lambda: answers.append(ask()))
    thread.start()
    wait_for("it waits", is_under_way)
    return thread, answers


def test_a_view_that_dies_while_it_is_waited_for_has_shown_nothing_else(shop):
    for _ in range(3):
        pid = shop.pid("search")
        with shop.held_still("search"):
            word, at = publish(shop)
            calls = 'freehold_gateway_calls_in_flight{service="search"}'
            thread, answers = waited(lambda at=at, word=word: find(shop, word, Freehold_Wait=at),
                                     lambda: under_way(shop, "gateway", calls) == 1)
            os.kill(pid, signal.SIGKILL)
        thread.join()
        assert answers[0].status >= 500 or found(answers[0]) == [word], answers
        wait_for("it is there again", lambda at=at, word=word: find(shop, word, Freehold_Wait=at).status == 200)
        assert found(find(shop, word, Freehold_Wait=at)) == [word]


def test_who_waits_while_the_view_ends_is_told_so(shop):
    word, at = publish(shop)
    find(shop, word, Freehold_Wait=at)
    name, _, position = inside(shop, word, {}).headers["freehold-as-of"].rpartition(",")
    thread, answers = waited(lambda: inside(shop, word, {"Freehold-Wait": f"{name},{int(position) + 1000}"}),
                             lambda: under_way(shop, "search", "freehold_requests_in_flight") >= 2)  # with this one
    shop.command("upgrade", "search", "--state", shop.state)
    thread.join()
    assert answers[0].status == 503 and answers[0].body["type"].endswith("service-stopping"), answers
    assert found(find(shop, word, Freehold_Wait=at)) == [word]
