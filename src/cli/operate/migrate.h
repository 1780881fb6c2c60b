/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_OPERATE_MIGRATE_H
#define CLI_OPERATE_MIGRATE_H

/* Shows the results of `freehold migrate`. */

#include "system/check/migrations.h"

/*
 * A service, as migrate.c puts it together:
 *
 *   {"service", "engine", "model", "where", "migrations": [migrations_state's], "applied_now",
 *    "adopted_now", "error"}
 *
 * without "migrations" if its model has none. `running`: the system is up.
 */
void migrate_show_plan(const json_t *services, bool running);
void migrate_show_state(const json_t *services);
void migrate_show_done(const json_t *services);

#endif
