# SPDX-License-Identifier: Apache-2.0
"""What a service pays for derived stores that it declares, and does not derive anything for: the same program, built with
and without them (bench/orders), an order and its event a request.

    bench/run BUILD --only unused"""

import contextlib

import bars
from common import ORDER, Service, load, title
from turns import show_figures

BAR = 0.98
WHAT = "order and event with derived stores that are not used, times without"
PAIRS, SECONDS, CONNECTIONS = 11, 2, 64


@bars.part("unused", WHAT)
def measure(build, folder):
    (folder / "unused").mkdir()
    with contextlib.ExitStack() as stack:
        sides = {}
        for name, program in (("without", "bench_orders"), ("with", "bench_orders_deriving")):
            (folder / "unused" / name).mkdir()
            sides[name] = Service(build / "bench" / program, "orders", folder / "unused" / name / "store")
            stack.callback(sides[name].close)
            sides[name].start().ask("POST", "/orders", ORDER)
        rates = {name: [] for name in sides}
        title(f"Order and event, embedded, with derived stores declared and without, {CONNECTIONS} connections, "
              f"{PAIRS} rounds of {SECONDS} s in turn")
        for number in range(PAIRS):
            for name in reversed(sides) if number % 2 else sides:
                rates[name].append(load(sides[name].url + "/orders", CONNECTIONS, SECONDS, "order"))
        ratios = bars.Ratios(rates["with"], rates["without"])
        show_figures("none is declared", rates["without"], "works/s")
        show_figures("two are declared, and not used", rates["with"], "works/s", ratios.told(),
                     bars.at_least(WHAT, ratios, BAR))
