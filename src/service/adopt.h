/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_ADOPT_H
#define SERVICE_ADOPT_H

/*
 * A store that another tool has migrated so far: that tool's record is read, and its migrations are
 * recorded as applied, without being run (docs/operate/migrations.md).
 *
 *     "flyway"      flyway_schema_history: the version n there is the migration numbered n here
 *     "liquibase"   databasechangelog: the n-th changeset there is the migration numbered n here
 */

#include <jansson.h>

#include "service/migration.h"

/* Records all migrations up to `version`, in one transaction: all or none. First it checks that the
 * other tool has done them all and nothing after `version`, and that the tables and columns they
 * make exist. FH_INVALID says what is wrong, and then nothing was written. What was adopted before
 * stays as it is, so this can be repeated. On a fiber. */
enum fh_code service_adopt(struct store *store, const char *folder, const char *from,
                           int64_t version, int *ret_adopted, struct fh_error *error);

/* adopt_tables.c: adds to `tables`, an object, what the migration creates, and removes what it
 * drops: {"orders": {"file": "0001_orders.sql", "columns": {"id": "0001_orders.sql"}}}, all names
 * in lower case. It reads the statements that create, alter, rename and drop tables; computed
 * columns are left out. */
void adopt_tables_read(json_t *tables, const struct migration *migration,
                       const struct sql_dialect *dialect);

#endif
