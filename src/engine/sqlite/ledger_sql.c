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
    [LEDGER_SAGAS_CLOSED] = LEDGER_SAGAS_CLOSED_OF(LIST("?3")),
};
