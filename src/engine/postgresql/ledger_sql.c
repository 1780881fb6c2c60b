/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger's statements in PostgreSQL's SQL. */

#include "engine/postgresql/ledger.h"
#include "store/relational/ledger_words.h"

#define KEY_LOCK(parameter)                                                                        \
    "pg_advisory_xact_lock(" POSTGRESQL_KEYS ", CAST(" parameter " AS integer))"
#define TEXTS(parameter) "CAST(CAST(" parameter " AS text) AS text[]), "
#define NUMBERS(parameter) "CAST(CAST(" parameter " AS text) AS bigint[]), "
#define LISTED_TEXTS "(SELECT jsonb_array_elements_text(CAST(?1 AS jsonb)))"
#define LISTED_NUMBERS(number)                                                                     \
    "(SELECT CAST(value AS bigint) FROM jsonb_array_elements_text(CAST(" number " AS jsonb)))"

/* fh_fence distinguishes a row that was moved, which is retried, from one with another epoch. A
 * saga that is over stays over: it is reported as having another epoch, too. */
#define ADVANCE(where)                                                                             \
    "WITH moved AS (UPDATE fh_saga SET state = ?4, status = ?5, deadline_ms = ?6,"                 \
    " updated_ms = ?7 WHERE birth = ?1 AND number = ?2 AND epoch = ?3"                             \
    " AND status IN " LEDGER_SAGA_OPEN where " RETURNING 1)"                                       \
    " SELECT fh_fence(count(*), ?1, ?2, CASE WHEN count(*) = 1 THEN ?3 WHEN EXISTS"                \
    " (SELECT FROM fh_saga WHERE birth = ?1 AND number = ?2 AND status IN " LEDGER_SAGA_OVER       \
    ") THEN -1 ELSE ?3 END) FROM moved"

const char *const postgresql_ledger_statements[LEDGER_STATEMENTS] = {
    LEDGER_ON_CONFLICT,
    [LEDGER_OUTBOX_APPEND] =
        "INSERT INTO fh_outbox (event_id, type, version, key, time_ms, data, trace)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    /* The lock is taken before seq is drawn: the insert's row comes from `locked`. */
    [LEDGER_OUTBOX_APPEND_LOCKED] = "WITH locked AS MATERIALIZED (SELECT " KEY_LOCK(
        "?8") ")"
              " INSERT INTO fh_outbox (event_id, type, version, key, time_ms, data, trace)"
              " SELECT ?1, ?2, CAST(?3 AS bigint), ?4, CAST(?5 AS bigint), ?6, ?7 FROM "
              "locked",
    [LEDGER_OUTBOX_APPEND_ALL] =
        "SELECT fh_append(CAST(CAST(?1 AS text) AS integer[]), " TEXTS("?2") TEXTS("?3")
            NUMBERS("?4") TEXTS("?5") NUMBERS("?6") TEXTS("?7")
                TEXTS("?8") "CAST(?9 AS integer) = 1)",
    [LEDGER_COUNTER_SET] = "UPDATE fh_counter SET position = ?1, drawn = -1 WHERE one = 1",
    [LEDGER_KEY_PLACES] = LEDGER_KEY_PLACES_OF("fh_place", LISTED_TEXTS),
    [LEDGER_KEYS_UNSEQUENCED] = LEDGER_KEYS_UNSEQUENCED_OF(LISTED_TEXTS),
    /* A row lock would write the row. */
    [LEDGER_KEY_LOCK] = "SELECT " KEY_LOCK("?1"),
    [LEDGER_CALLER_DELETE] = LEDGER_CALLER_DELETE_OF(LISTED_NUMBERS("?4")),
    [LEDGER_SAGAS_CLOSED] = LEDGER_SAGAS_CLOSED_OF("fh_saga", LISTED_NUMBERS("?3")),
    /* In one order, so that units of work don't deadlock. */
    [LEDGER_DERIVED_TOUCH] =
        "INSERT INTO fh_derived_key (name, key, changes)"
        " SELECT pair ->> 0, pair ->> 1, 1 FROM jsonb_array_elements(CAST(?1 AS jsonb)) AS pair"
        " ORDER BY pair ->> 0, pair ->> 1"
        " ON CONFLICT (name, key) DO UPDATE SET changes = fh_derived_key.changes + 1",
    [LEDGER_SAGA_ADVANCE] = ADVANCE(""),
    [LEDGER_SAGA_ADVANCE_AT] = ADVANCE(" AND ctid = CAST(?8 AS tid)"),
    /* A list of names is no condition of the index for its planner, which then reads all that are
     * due at that moment; were it one, it would search for each name. */
    [LEDGER_TIMERS_TAKE] = "DELETE FROM fh_timer WHERE kind = ?2 AND (due_ms, name) >= (?3, ?4)"
                           " AND (due_ms, name) <= (?5, ?6) AND name || '' IN " LISTED_TEXTS,
    [LEDGER_SEQUENCE] = "SELECT event_id, position FROM fh_sequence(NULL)",
    [LEDGER_PLACED] = "SELECT event_id, position FROM fh_outbox WHERE position IS NOT NULL"
                      " AND event_id = ANY (ARRAY("
                      "SELECT jsonb_array_elements_text(CAST(?1 AS jsonb))))",
    [LEDGER_GATE_BOUND] = "SELECT set_config('lock_timeout', '" LEDGER_GATE_WAIT_S "s', true)",
    [LEDGER_GATE] = "SELECT count(held) FROM pg_advisory_xact_lock(" POSTGRESQL_DRAWING ") AS held",
    [LEDGER_CLOCK] = "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)",
};
