# SPDX-License-Identifier: Apache-2.0
"""The shop with its events on a private broker of each kind, its publishers killed at the relay's points and its
subscribers at theirs, each time with the broker beside them: the books balance all the same. With FREEHOLD_EVERY_BUS
(`make test-buses`) it is killed at all of the shop's points."""

import asyncio

import pytest

from test_points import NAMES, PLACES, POINTS, SEED, Points  # and its path
from buses import rename
from conftest import BUSES, EVERY_BUS, System, named, wait_for

RELAY = sorted(name for name in NAMES if name.startswith("relay."))
# Of the subscriber: before its events and cursor are durable, and after that, before the broker is told of it.
APPLYING = ["cursor.applied", "cursor.durable"]


class BusPoints(Points):
    """By a profile of the shop's file."""

    def __init__(self, folder, profile):
        self.profile = profile
        super().__init__(folder)
        self.by_the_bus()

    def system_of(self, file, folder):
        return System(file, folder / "state", named(self.profile))

    def by_the_bus(self):
        """Users are renamed until an event of it has come to orders by the bus."""
        def again():
            rename(self.system, self.load.users[-1], f"Name {self.renamed}")
            self.renamed += 1
            return next(bus for bus in self.system.state_of("orders")["buses"] if bus["source"] == "users")["carried"]
        wait_for("events come by the bus", again, 300)  # a server may take long to start


@pytest.fixture(scope="module", params=BUSES)
def points(request, tmp_path_factory):
    named(request.param)
    print(f"FREEHOLD_SEED={SEED}")
    running = BusPoints(tmp_path_factory.mktemp("points"), request.param)
    yield running
    running.end()


def test_the_relay_has_points():
    assert RELAY == ["relay.published", "relay.told"]
    assert set(APPLYING) < set(POINTS)


@pytest.mark.parametrize("point", [*RELAY, *(POINTS if EVERY_BUS else APPLYING)])
def test_killed_there_the_books_balance(points, point):
    service = "orders" if point in RELAY else PLACES.get(point) or PLACES[point.split(".")[0]]
    try:
        books = asyncio.run(points.with_shop(lambda: points.kill_at(point, service)))
    except BaseException:
        print(points.system.logs())
        raise
    books.check(points.load)
    points.by_the_bus()
