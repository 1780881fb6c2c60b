# SPDX-License-Identifier: Apache-2.0
"""Stores with millions of rows: what the same number of `POST /orders` would have left, written by bench/store while
the service is stopped. The ledger's rows are those of src/engine/sqlite/ledger_schema.c: positions are dense, each
order's event has a key of its own, whose last position is kept also once the event is trimmed."""

import subprocess
import time

from common import ORDER, Failed

FILL_S_MAX = 3600

NUMBERS = "WITH RECURSIVE numbers (n) AS (SELECT ?1 + 1 UNION ALL SELECT n + 1 FROM numbers WHERE n <= ?2) "
# An order number n + 1 for each number, behind the first one, which the service itself has placed.
ORDERS = ("INSERT INTO orders (id, user_id, product_id, quantity, total, status) " + NUMBERS
          + "SELECT n, 7, 'p-1', 2, 5998, 'PLACED' FROM numbers")
LAST_OF_KEYS = "INSERT OR REPLACE INTO fh_last_of_key (key, position) " + NUMBERS + "SELECT n, n FROM numbers"
COUNTER = "UPDATE fh_counter SET position = ?2 + 1 WHERE ?1 > 0"
# Each like the newest event that there is, with a number of its own.
LIKE_NEWEST = ("""lower(hex(randomblob(18))), type, version, {n}, 0, time_ms,
               replace(data, '"id":' || key || ',', '"id":' || {n} || ','), trace FROM
               (SELECT * FROM fh_outbox ORDER BY position DESC LIMIT 1)""")
EVENT = "INSERT OR IGNORE INTO fh_outbox (position, event_id, type, version, key, prev, time_ms, data, trace) "
EVENTS = EVENT + NUMBERS + "SELECT n, " + LIKE_NEWEST.format(n="n") + ", numbers"
FIRST_EVENT = EVENT + "SELECT 1, " + LIKE_NEWEST.format(n="1")
ALL_TRIMMED = ("DELETE FROM fh_outbox",
               "INSERT OR REPLACE INTO fh_meta VALUES ('trimmed_position', (SELECT position FROM fh_counter)),"
               " ('trimmed_id', lower(hex(randomblob(18))))")
NONE_TRIMMED = ("DELETE FROM fh_meta WHERE name IN ('trimmed_position', 'trimmed_id')",)


def fill(build, service, count, *statements):
    """See bench/store.c."""
    began = time.monotonic()
    done = subprocess.run([build / "bench" / "store", "fill", service.folder, str(count), *statements],
                          capture_output=True, text=True, timeout=FILL_S_MAX)
    if done.returncode:
        raise Failed(f"{service.folder} was not filled: {done.stderr}")
    return time.monotonic() - began


def placed(service):
    """The first order, so that there is one to go by; then it is stopped."""
    service.start().ask("POST", "/orders", ORDER)
    service.stop()
    return service
