/* SPDX-License-Identifier: Apache-2.0 */
/*
 * This process's opening of the store, and the removal of those that were not seen for a day: see
 * mark.c. It is done over the sequencer's link, each statement by itself, where the sequencer is
 * called; which it is twice a minute where nothing happens.
 *
 * A connection's last mark goes in the next work's COMMIT (mariadb_work.c); those of links that
 * died go with the opening. An opening's row goes first, and the marks of what has no row behind
 * that: killed in between, the next one removes them. Which these are is read without locks, as a
 * work's mark that is not committed is nobody's yet; then each is removed by its key. A late or
 * second copy of any of these finds nothing, or removes what may be removed at any time.
 */

#include <stdio.h>

#include "store/relational/mariadb.h"

#define GONE_MAX 64 /* openings whose marks are removed at once; the others an hour later */
/* Marks of programs of before, which settle nothing after a day. */
#define FORMER_KEPT_MS "172800000"

enum fh_code mariadb_opening_new(struct mariadb_store *store, struct fh_error *error)
{
    int64_t opening = mark_opening_id(store->base.world);
    struct sql_value values[] = {sql_integer(opening), sql_text(store->base.instance)};
    enum fh_code code = mariadb_run_alone(&store->base,
                                          "INSERT IGNORE INTO fh_opening (opening, process, seen)"
                                          " VALUES (?1, ?2, UTC_TIMESTAMP())",
                                          values, 2, NULL, NULL, error);
    if (code != FH_OK)
        return code;
    store->marks.opening = opening;
    store->marks.seen_ns = 0;
    return FH_OK;
}

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

static enum fh_code remove_gone(struct mariadb_store *store)
{
    static const char *const removals[] = {
        "DELETE FROM fh_opening WHERE seen < UTC_TIMESTAMP() - INTERVAL 1 DAY",
        "DELETE FROM fh_mark WHERE never < UTC_TIMESTAMP() - INTERVAL 30 DAY",
        "DELETE FROM fh_work WHERE created_ms < UNIX_TIMESTAMP() * 1000 - " FORMER_KEPT_MS};
    struct gone gone = {0};
    enum fh_code code = FH_OK;
    for (size_t i = 0; code == FH_OK && i < sizeof removals / sizeof removals[0]; i++)
        code = mariadb_run_alone(&store->base, removals[i], NULL, 0, NULL, NULL, NULL);
    if (code == FH_OK)
        code = mariadb_run_alone(&store->base,
                                 "SELECT DISTINCT m.opening FROM fh_mark m LEFT JOIN fh_opening o"
                                 " ON o.opening = m.opening"
                                 " WHERE o.opening IS NULL AND m.never IS NULL",
                                 NULL, 0, take_opening, &gone, NULL);
    for (int i = 0; code == FH_OK && i < gone.count; i++) {
        struct sql_value values[] = {sql_integer(gone.openings[i])};
        code = mariadb_run_alone(&store->base,
                                 "DELETE FROM fh_mark WHERE opening = ?1 AND never IS NULL", values,
                                 1, NULL, NULL, NULL);
    }
    return code;
}

void mariadb_opening_keep(struct mariadb_store *store)
{
    if (!marks_are_due(&store->marks, store->base.world))
        return;
    struct gone seen = {0};
    struct sql_value values[] = {sql_integer(store->marks.opening)};
    enum fh_code code = mariadb_run_alone(
        &store->base, "UPDATE fh_opening SET seen = UTC_TIMESTAMP() WHERE opening = ?1", values, 1,
        NULL, NULL, NULL);
    if (code == FH_OK)
        code = mariadb_run_alone(&store->base, "SELECT opening FROM fh_opening WHERE opening = ?1",
                                 values, 1, take_opening, &seen, NULL);
    if (code == FH_OK && !seen.count)
        code = mariadb_opening_new(store, NULL);
    if (code == FH_OK)
        code = remove_gone(store);
    if (code == FH_OK)
        store->marks.seen_ns = world_monotonic_ns(store->base.world);
}
