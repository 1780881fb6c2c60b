/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_ADOPT_H
#define SERVICE_ADOPT_H

/*
 * A store that another tool has migrated so far: its record of that is read, and the migrations
 * that stand in it are written down as applied, without being run (docs/operate/migrations.md).
 *
 *     "flyway"      flyway_schema_history: the version n there is the migration numbered n here
 *     "liquibase"   databasechangelog: the n-th changeset there is the migration numbered n here
 */

#include <jansson.h>

#include "service/migration.h"

/* All migrations up to `version`, in one work: all or none. Before that it is seen that the other
 * tool has done them all and has come to `version`, no further, and that the tables and columns
 * that they make are there. FH_INVALID says what is not as it should be, and then nothing was
 * written. What was adopted before is left as it is, so it can be repeated. On a fiber. */
enum fh_code service_adopt(struct store *store, const char *folder, const char *from,
                           int64_t version, int *ret_adopted, struct fh_error *error);

/* adopt_tables.c: adds to `tables`, an object, what the migration makes and takes away:
 * {"orders": {"file": "0001_orders.sql", "columns": {"id": "0001_orders.sql"}}}, all names in
 * small letters. Read are the statements that make, alter, rename and drop tables; columns whose
 * values are computed are left out. */
void adopt_tables_read(json_t *tables, const struct migration *migration,
                       const struct sql_dialect *dialect);

#endif
