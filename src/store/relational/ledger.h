/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_RELATIONAL_LEDGER_H
#define STORE_RELATIONAL_LEDGER_H

/* What the files of the relational ledger share. */

#include "store/ledger.h"
#include "store/relational/sql.h"

#define LEDGER_COUNT(values) ((int)(sizeof(values) / sizeof((values)[0])))

/* Runs a statement that gives no rows. */
static inline enum fh_code ledger_do(struct store_work *work, const char *sql,
                                     const struct sql_value *values, int count,
                                     int64_t *ret_changes, struct fh_error *error)
{
    return sql_run(work, sql, values, count, NULL, NULL, ret_changes, error);
}
/* The first column of the first row as an integer; FH_NOT_FOUND without a row. */
enum fh_code ledger_integer(struct store_work *work, const char *sql,
                            const struct sql_value *values, int count, int64_t *ret,
                            struct fh_error *error);
/* The first column as text into a buffer, "" for NULL; FH_NOT_FOUND (and "") without a row. */
enum fh_code ledger_text(struct store_work *work, const char *sql, const struct sql_value *values,
                         int count, char *ret, size_t size, struct fh_error *error);
/* A column's text, on the arena; NULL for NULL. */
const char *ledger_copy(struct arena *arena, const struct sql_value *value);

#endif
