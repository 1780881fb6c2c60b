# SPDX-License-Identifier: Apache-2.0
"""The shop with its events on a private NATS, its publishers killed at the relay's points, each time with the broker
beside them: the books balance all the same."""

import asyncio
import re

import pytest

from test_points import NAMES, SEED, Points  # and its path
from conftest import System, named

PLACES = {name: "orders" for name in sorted(NAMES) if name.startswith("relay.")}


class NatsPoints(Points):
    """By the profile of the shop's file."""

    def system_of(self, file, folder):
        return System(file, folder / "state", named("nats"))


@pytest.fixture(scope="module")
def points(tmp_path_factory):
    named("nats")
    print(f"FREEHOLD_SEED={SEED}")
    running = NatsPoints(tmp_path_factory.mktemp("points"))
    yield running
    running.end()


def test_the_relay_has_points():
    assert set(PLACES) == {"relay.published", "relay.told"}


@pytest.mark.parametrize("point", sorted(PLACES))
def test_killed_there_the_books_balance(points, point):
    try:
        books = asyncio.run(points.with_shop(lambda: points.kill_at(point, PLACES[point])))
    except BaseException:
        print(points.system.logs())
        raise
    books.check(points.load)
    text = points.system.command("call", "users", "GET", "/metrics", "--state", points.system.state).stdout
    assert int(re.search(r"^freehold_events_carried_total (\d+)", text, re.MULTILINE).group(1)) > 0, text
