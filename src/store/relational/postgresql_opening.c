/* SPDX-License-Identifier: Apache-2.0 */
/*
 * This process's opening of the store, and the removal of those that were not seen for a day: see
 * mark.c. It is done over the sequencer's connection, each statement by itself, where the sequencer
 * is called; which it is twice a minute where nothing happens.
 *
 * An opening's row goes first, and the marks of what has no row behind that: killed in between, the
 * next one removes them. A late or second copy of any of these finds nothing, or removes
 * what may be removed at any time.
 */

#include <stdio.h>

#include "store/relational/postgresql.h"

#define GONE "interval '1 day'"
#define SETTLED_KEPT "interval '30 days'"
/* Marks of programs of before, which were trimmed by those; a settled one was a day ahead. */
#define FORMER_KEPT_MS "172800000"

enum fh_code postgresql_opening_new(struct postgresql_store *store, struct fh_error *error)
{
    int64_t opening = mark_opening_id(store->base.world);
    struct sql_value values[] = {sql_integer(opening), sql_text(store->application)};
    enum fh_code code =
        postgresql_run_alone(&store->base,
                             "INSERT INTO fh_opening (opening, process) VALUES (?1, ?2)"
                             " ON CONFLICT DO NOTHING",
                             values, 2, NULL, NULL, error);
    if (code != FH_OK)
        return code;
    store->marks.opening = opening;
    store->marks.seen_ns = 0;
    return FH_OK;
}

static bool take_seen(void *context, const struct sql_row *row)
{
    (void)row;
    *(bool *)context = true;
    return true;
}

static enum fh_code remove_gone(struct postgresql_store *store)
{
    static const char *const removals[] = {
        "DELETE FROM fh_opening WHERE seen < now() - " GONE,
        "DELETE FROM fh_mark m WHERE m.never IS NULL AND NOT EXISTS"
        " (SELECT FROM fh_opening o WHERE o.opening = m.opening)",
        "DELETE FROM fh_mark WHERE never < now() - " SETTLED_KEPT,
        "DELETE FROM fh_work WHERE created_ms <"
        " extract(epoch FROM now()) * 1000 - " FORMER_KEPT_MS};
    enum fh_code code = FH_OK;
    for (size_t i = 0; code == FH_OK && i < sizeof removals / sizeof removals[0]; i++)
        code = postgresql_run_alone(&store->base, removals[i], NULL, 0, NULL, NULL, NULL);
    return code;
}

void postgresql_opening_keep(struct postgresql_store *store)
{
    if (!marks_are_due(&store->marks, store->base.world))
        return;
    bool seen = false;
    struct sql_value values[] = {sql_integer(store->marks.opening)};
    enum fh_code code = postgresql_run_alone(
        &store->base, "UPDATE fh_opening SET seen = now() WHERE opening = ?1 RETURNING opening",
        values, 1, take_seen, &seen, NULL);
    if (code == FH_OK && !seen)
        code = postgresql_opening_new(store, NULL);
    if (code == FH_OK)
        code = remove_gone(store);
    if (code == FH_OK)
        store->marks.seen_ns = world_monotonic_ns(store->base.world);
}
