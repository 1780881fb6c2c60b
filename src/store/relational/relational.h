/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_RELATIONAL_H
#define STORE_RELATIONAL_H

/* The relational model: SQL with :names bound from JSON objects, rows as JSON objects. */

#include <jansson.h>

#include "store/relational/sql.h"

#define RELATIONAL_ROWS_MAX 10000
#define RELATIONAL_NAMES_MAX 64
#define RELATIONAL_SQL_MAX ((size_t)1 << 20)

/* Rows as a new array (ret_rows may be NULL: not wanted); more than row_max are FH_UNSUPPORTED.
 * FH_UNSUPPORTED also names a parameter that none of the objects has, and wrong SQL. */
enum fh_code relational_run(struct store_work *work, const char *sql, json_t *const *objects,
                            int count, int row_max, json_t **ret_rows, int64_t *ret_changes,
                            struct fh_error *error);

/* A text with :names as it is compiled, for checking it. */
struct relational_reading {
    char *sql; /* with ?1, ?2 for its names */
    int count;
    char *names[RELATIONAL_NAMES_MAX];
    bool control; /* it would end the transaction, or change how the store works */
    bool lists;   /* a name stands for several values: IN (:names) */
    bool cut_off; /* it is too long, or has too many names */
};
/* `list_format` is the engine's. */
void relational_read(const char *sql, const char *list_format, struct relational_reading *ret);
void relational_reading_release(struct relational_reading *reading);

/* Of a column declared as `type`, which may be NULL: a new reference. NULL: JSON has no such
 * number, the text is not UTF-8, or there is no memory. */
json_t *relational_json(const struct sql_value *value, const char *type);

void relational_cache_free(struct relational_cache *cache); /* a store's; NULL is fine */

#endif
