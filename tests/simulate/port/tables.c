/* SPDX-License-Identifier: Apache-2.0 */
/* Where the port's services keep what they do in tables. */

#include "port.h"

const struct port_queries port_queries = {
    .crates = "SELECT id, times FROM crate",
    .heard = "SELECT id, count(*) AS times FROM heard GROUP BY id",
    .counted = "SELECT id, n FROM pier",
    .piers_heard = "SELECT id, n, disorder FROM pier",
    .loads = "SELECT id, loaded, undone FROM load",
    .lifts = "SELECT id, status, ends FROM lift",
    .together = "SELECT count(*) AS n FROM lift a JOIN lift b"
                " ON a.place = b.place AND a.id < b.id",
};
