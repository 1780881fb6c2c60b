/* SPDX-License-Identifier: Apache-2.0 */
/* SQLite for the suites: a store in the case's folder. */

#include "conformance.h"
#include "engine/engines.h"

static enum fh_code open_in(struct harness *harness, enum fh_model model, struct store **ret,
                            struct fh_error *error)
{
    struct store_options options = {
        .service = "conformance", .folder = harness->folder, .model = model};
    return engine_named("sqlite")->store->open(&options, harness->world, ret, error);
}

static const struct conformance_engine sqlite = {
    .name = "sqlite",
    .models = 1u << FH_RELATIONAL | 1u << FH_DOCUMENT | 1u << FH_KEY_VALUE,
    .open = open_in,
    .close = store_close,
    .insert_or_rollback = "INSERT OR ROLLBACK INTO",
    .boolean = "BOOLEAN",
    .json = "JSON",
    .decimals = "d TEXT, w TEXT",
    .signless_zero = 1u << FH_RELATIONAL,
    .text = "TEXT",
    .bytes = "BLOB",
    .counted = "INTEGER PRIMARY KEY AUTOINCREMENT",
    .groups = true,
    .deferrable = true,
};

const struct conformance_engine *const conformance_sqlite[] = {&sqlite, NULL};
