# SPDX-License-Identifier: Apache-2.0
"""The shop's own services that are made of others' events alone: a warehouse (examples/shop/reports) and a view
(examples/shop/views), each filled with all orders there are, in turn with the feed into a service that keeps two numbers
of each event (bench/stock).

    bench/run BUILD --only shop"""

import contextlib
import sqlite3

import bars
from common import HERE, NAMES, Failed, KeptOpen, Service, load, title
from feeds import FILL_S, Feed, Numbered, embedded, ours
from turns import in_turn, show_figures

BAR = 0.7
ORDERS, AT_ONCE = 60_000, 50  # two events each
SHOP = HERE.parent / "examples" / "shop"
WAREHOUSE, VIEW = "the shop's warehouse, times the feed", "the shop's view, times the feed"


class OfShop(Service):
    """`orders` is the only one of its publishers that is there; of the others it has heard nothing."""

    def __init__(self, build, name, folder, orders):
        super().__init__(build / "examples" / "shop" / name, name, folder / "store")
        self.home, self.peers = SHOP, {orders.name: orders.address}

    def check(self):
        with contextlib.closing(sqlite3.connect(self.folder / "store.db")) as store:
            orders, = store.execute("SELECT count(*) FROM orders").fetchone()
            items, = store.execute("SELECT count(*) FROM order_items").fetchone()
        if (orders, items) != (ORDERS, 2 * ORDERS):
            raise Failed(f"{self.name} has {orders:,} orders and {items:,} items of {ORDERS:,} and {2 * ORDERS:,}")


def placed(stack, build, folder):
    """The publisher of the shop's orders, with all of its events."""
    orders = Service(build / "bench" / "bench_placed", "orders", folder / "placed")
    stack.callback(orders.close)
    orders.start()
    client = KeptOpen(orders.address)
    for first in range(1, ORDERS, AT_ONCE):
        client.ask("POST", f"/orders/{first}")
    return orders


def filled(build, places, name, orders):
    """Events a second, from its start until it has applied all."""
    service = OfShop(build, name, places.next(name), orders)
    rate = ours(orders, lambda: service)
    service.check()
    return rate


@bars.part("shop", WAREHOUSE, VIEW)
def measure(build, folder):
    place = folder / "shop_services"
    place.mkdir()
    places = Numbered(place)
    with contextlib.ExitStack() as stack:
        feed = Feed(stack, embedded(build, places, NAMES))
        load(feed.publisher.url + "/orders", 64, FILL_S, "order")
        orders = placed(stack, build, place)
        title(f"The shop's warehouse and view, filled with {orders.state()['position']:,} events of orders; the feed with "
              f"{feed.last():,}, embedded")
        rates = in_turn({"feed": feed.ours, "warehouse": lambda: filled(build, places, "reports", orders),
                         "view": lambda: filled(build, places, "views", orders)})
        show_figures("the feed, applied once", rates["feed"], "events/s")
        for name, what in (("warehouse", WAREHOUSE), ("view", VIEW)):
            ratios = bars.Ratios(rates[name], rates["feed"])
            show_figures(f"into {what.partition(',')[0]}", rates[name], "events/s", f"{ratios.told()} the feed",
                         bars.at_least(what, ratios, BAR))
