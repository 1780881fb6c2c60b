/* SPDX-License-Identifier: Apache-2.0 */
/* Where the port's services keep what they do with keys and values: the model's table of them. */

#include "../port.h"

#define NUMBER "CAST(substr(key, instr(key, ':') + 1) AS INTEGER) AS id"
#define FIELD(name) "coalesce(max(CASE part WHEN '" name "' THEN CAST(value AS INTEGER) END), 0)"

const struct port_queries port_queries = {
    .crates = "SELECT " NUMBER ", CAST(value AS INTEGER) AS times FROM kv WHERE key LIKE 'crate:%'",
    .heard = "SELECT " NUMBER ", CAST(value AS INTEGER) AS times FROM kv WHERE key LIKE 'heard:%'",
    .counted =
        "SELECT " NUMBER ", " FIELD("n") " AS n FROM kv WHERE key LIKE 'pier:%' GROUP BY key",
    .piers_heard =
        "SELECT " NUMBER
        ", " FIELD("n") " AS n, " FIELD("disorder") " AS disorder"
                                                    " FROM kv WHERE key LIKE 'pier:%' GROUP BY key",
    .loads = "SELECT " NUMBER ", " FIELD("loaded") " AS loaded, " FIELD(
        "undone") " AS undone"
                  " FROM kv WHERE key LIKE 'load:%' GROUP BY key",
    .lifts = "SELECT " NUMBER ", value ->> 'status' AS status, value ->> 'ends' AS ends"
             " FROM kv WHERE key LIKE 'lift:%'",
    .unlisted =
        "SELECT count(*) AS n FROM (SELECT DISTINCT key, ends_ms FROM kv) k WHERE NOT EXISTS"
        " (SELECT 1 FROM fh_keys l WHERE l.name = k.key AND"
        " (l.score <= k.ends_ms OR k.ends_ms = 0))",
};
