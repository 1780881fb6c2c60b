# SPDX-License-Identifier: Apache-2.0
"""One service hangs: what that costs all others. Stopped processes are the worst neighbours: they take connections
and never answer."""

import concurrent.futures
import re
import statistics
import time

import pytest

from conftest import ROOT, wait_for
from test_shop import ended, new_product, new_user, place, reads

SHOP = ROOT / "examples" / "shop" / "freehold.yaml"
OTHERS = ("users", "payments", "orders")
CLIENTS = 8
ASKED = 200
QUICK_S = 1  # a hanging part costs 2 s and a hanging route 10 s: whoever waits for one is slower than this


@pytest.fixture(scope="module")
def shop(start):
    return start(SHOP)


def timed(shop, path):
    began = time.monotonic()
    answer = shop.http("GET", path)
    return answer, time.monotonic() - began


def many(shop, paths):
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(lambda path: timed(shop, path), paths))


def are_quick(answers):
    """Most of them: a busy machine may hold up some, a hanging service would hold up each."""
    return statistics.median(seconds for _, seconds in answers) < QUICK_S


def metric(shop, name, service):
    text = shop.call("gateway", "GET", "/metrics").body
    return int(re.search(rf'^{name}{{service="{service}"}} (\d+)$', text, re.M).group(1))


def missing(answer):
    return answer.body.get("missing", [])


def test_one_hanging_service_costs_the_others_nothing(shop):
    user, lamp = new_user(shop), new_product(shop, 50)
    order = ended(shop, place(shop, user, (lamp, 1)))
    path, details = reads(shop, user, lamp, order), f"/api/orders/{order['id']}/details"
    assert missing(shop.http("GET", details)) == []
    with shop.held_still("products"):
        # The others from the first moment on, next to clients that run into the hanging one.
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            stuck = [pool.submit(timed, shop, details) for _ in range(CLIENTS)]
            answers = [timed(shop, path[service]) for service in OTHERS * 20]
            assert [answer for answer, _ in answers if answer.status != 200] == []
            assert are_quick(answers)
            for answer, _ in (one.result() for one in stuck):
                assert answer.status == 200 and "products" in missing(answer)
        assert metric(shop, "freehold_gateway_breaker", "products") > 0
        # From now on answers are partial at once. A probe now and then waits half a second.
        answers = many(shop, [details] * ASKED)
        assert all(answer.status == 200 and "products" in missing(answer) for answer, _ in answers)
        assert are_quick(answers)
        answers = many(shop, [path["products"]] * ASKED)
        assert all(answer.status == 503 and int(answer.headers["retry-after"]) > 0 for answer, _ in answers)
        assert are_quick(answers)
        answers = many(shop, [path[service] for service in OTHERS] * (ASKED // 3))
        assert [answer for answer, _ in answers if answer.status != 200] == []
        assert are_quick(answers)
        assert metric(shop, "freehold_gateway_breaker_refused_total", "products") > ASKED
    # A breaker closes within a second after the service is back.
    wait_for("answers are whole again", lambda: missing(shop.http("GET", details)) == [])
    wait_for("products answers", lambda: shop.http("GET", path["products"]).status == 200)
    wait_for("its breaker is closed", lambda: metric(shop, "freehold_gateway_breaker", "products") == 0)
    assert ended(shop, place(shop, user, (lamp, 1)))["status"] == "CONFIRMED"
