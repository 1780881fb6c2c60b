/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger's statements in SQLite's SQL. */

#include "engine/sqlite/internal.h"
#include "store/relational/ledger_words.h"

#define TEXTS "(SELECT value FROM json_each(?1))"
#define LIST(number) "(SELECT value FROM json_each(" number "))"

const char *const sqlite_ledger_statements[LEDGER_STATEMENTS] = {
    LEDGER_ON_CONFLICT,
    [LEDGER_COUNTER_SET] = "UPDATE fh_counter SET position = ?1 WHERE one = 1",
    [LEDGER_KEY_PLACES] = LEDGER_KEY_PLACES_OF("fh_last_of_key", TEXTS),
    [LEDGER_KEYS_UNSEQUENCED] = LEDGER_KEYS_UNSEQUENCED_OF(TEXTS),
    [LEDGER_CALLER_DELETE] = LEDGER_CALLER_DELETE_OF(LIST("?4")),
    /* Its planner would read all that are over, by the index of their status. */
    [LEDGER_SAGAS_CLOSED] =
        LEDGER_SAGAS_CLOSED_OF("fh_saga INDEXED BY fh_saga_unclosed", LIST("?3")),
    [LEDGER_SAGA_STAY] = "UPDATE fh_saga SET state = ?4, deadline_ms = ?6, updated_ms = ?7"
                         " WHERE birth = ?1 AND number = ?2 AND epoch = ?3 AND status = ?5"
                         " AND " LEDGER_SAGA_IS_OPEN,
};
