/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The statements of store/relational/opening.c for MariaDB, whose UPDATE returns nothing.
 *
 * A connection's last mark is removed by the next COMMIT on it (work.c); marks of links that died
 * are removed with their opening. The openings that are gone are read without locks, since a mark
 * that is not committed belongs to nobody yet; then the marks of each are removed by key.
 */

#include <stdio.h>

#include "engine/mariadb/internal.h"
#include "store/relational/opening.h"

#define GONE_MAX 64 /* openings whose marks are removed at once; the rest follow an hour later */
/* Marks of earlier programs, which settle nothing after a day. */
#define FORMER_KEPT_MS "172800000"

struct gone {
    int64_t openings[GONE_MAX];
    int count;
};

static bool take_opening(void *context, const struct sql_row *row)
{
    struct gone *gone = context;
    if (gone->count < GONE_MAX)
        gone->openings[gone->count++] = row->values[0].integer;
    return true;
}

static enum fh_code remove_marks(struct store *store)
{
    struct gone gone = {0};
    enum fh_code code = mariadb_run_alone(store,
                                          "SELECT DISTINCT m.opening FROM fh_mark m"
                                          " LEFT JOIN fh_opening o ON o.opening = m.opening"
                                          " WHERE o.opening IS NULL AND m.never IS NULL",
                                          NULL, 0, take_opening, &gone, ERROR_UNHEEDED);
    for (int i = 0; code == FH_OK && i < gone.count; i++) {
        struct sql_value values[] = {sql_integer(gone.openings[i])};
        code = mariadb_run_alone(store, "DELETE FROM fh_mark WHERE opening = ?1 AND never IS NULL",
                                 values, 1, NULL, NULL, ERROR_UNHEEDED);
    }
    return code;
}

static const char *const removals[] = {
    "DELETE FROM fh_opening WHERE seen < UTC_TIMESTAMP() - INTERVAL 1 DAY",
    "DELETE FROM fh_mark WHERE never < UTC_TIMESTAMP() - INTERVAL 30 DAY",
    "DELETE FROM fh_work WHERE created_ms < UNIX_TIMESTAMP() * 1000 - " FORMER_KEPT_MS, NULL};

static const struct opening_words words = {
    .run = mariadb_run_alone,
    .begin = "INSERT IGNORE INTO fh_opening (opening, process, seen)"
             " VALUES (?1, ?2, UTC_TIMESTAMP())",
    .seen = "UPDATE fh_opening SET seen = UTC_TIMESTAMP() WHERE opening = ?1",
    .look = "SELECT opening FROM fh_opening WHERE opening = ?1",
    .removals = removals,
    .remove = remove_marks,
};

enum fh_code mariadb_opening_new(struct mariadb_store *store, struct fh_error *error)
{
    return opening_new(&store->base, &words, &store->marks, store->base.instance, error);
}

void mariadb_opening_keep(struct mariadb_store *store)
{
    opening_keep(&store->base, &words, &store->marks, store->base.instance);
}
