/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settles a COMMIT that was not answered: see mark.c. To check whether its mark is there is not
 * enough: the request may still lie in the server's socket, and run after the check. So settling
 * writes a row with the same key, over another link, in one request:
 *
 *     INSERT    with the mark's key, if the opening still exists; nothing if the key is taken. It
 *               locks the opening's row, and waits until the transaction in flight has ended
 *     UPDATE    the row that is there now, whoever wrote it
 *     SELECT    who wrote it
 *     COMMIT
 *
 * A committed row can be visible a moment before the server has synced it. The update makes this a
 * change, whose commit syncs everything written before. The link is one of those for units of work,
 * after the unit has given up its own: so it needs none beyond what the server can provide. A link
 * that fails midway is not used again: the server ends what was open on it.
 */

#include <stdio.h>

#include "engine/mariadb/internal.h"

static void take_said(void *context, char **row)
{
    *(enum mark_said *)context = mark_said(row[0]);
}

static enum mark_said ask_server_for_mark(struct mariadb_store *store, const struct mark *mark,
                                          struct fh_error *error)
{
    struct mariadb_connection *connection;
    long long opening = mark->opening, number = mark->number;
    enum mark_said said = MARK_UNKNOWN;
    char sql[768];
    enum fh_code code = mariadb_acquire(store, &store->works, &connection, error);
    if (code != FH_OK)
        return MARK_UNKNOWN;
    snprintf(sql, sizeof sql,
             "INSERT INTO fh_mark (opening, number, never, asked)"
             " SELECT opening, %lld, UTC_TIMESTAMP(), 0 FROM fh_opening WHERE opening = %lld"
             " LOCK IN SHARE MODE ON DUPLICATE KEY UPDATE asked = fh_mark.asked;"
             "UPDATE fh_mark SET asked = asked + 1 WHERE opening = %lld AND number = %lld;"
             "SELECT (SELECT IF(never IS NULL, 'stands', 'never') FROM fh_mark"
             " WHERE opening = %lld AND number = %lld);COMMIT",
             number, opening, opening, number, opening, number);
    code = mariadb_query(connection, sql, take_said, &said, error);
    if (code != FH_OK)
        mariadb_connection_break(connection);
    mariadb_release(&store->works, connection);
    return code == FH_OK ? said : MARK_UNKNOWN;
}

enum fh_code mariadb_settle(struct mariadb_store *store, const struct mark *mark,
                            struct fh_error *error)
{
    struct world *world = store->base.world;
    struct settling settling = {.world = world, .begun_ns = world_monotonic_ns(world)};
    struct fh_error why = {0};
    enum mark_said said;
    if (!mark->opening)
        return settling_none(error);
    while ((said = ask_server_for_mark(store, mark, &why)) == MARK_UNKNOWN)
        settling_wait(&settling, &why);
    return settling_end(&settling, said, error);
}
