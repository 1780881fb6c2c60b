/* SPDX-License-Identifier: Apache-2.0 */
/* The statements of store/relational/opening.c for PostgreSQL. */

#include "store/relational/opening.h"
#include "engine/postgresql/internal.h"

/* Keeps marks of earlier programs for two days: those programs trimmed them themselves, and settled
 * marks were dated a day ahead. */
#define FORMER_KEPT_MS "172800000"

static const char *const removals[] = {
    "DELETE FROM fh_opening WHERE seen < now() - interval '1 day'",
    "DELETE FROM fh_mark m WHERE m.never IS NULL AND NOT EXISTS"
    " (SELECT FROM fh_opening o WHERE o.opening = m.opening)",
    "DELETE FROM fh_mark WHERE never < now() - interval '30 days'",
    "DELETE FROM fh_work WHERE created_ms < extract(epoch FROM now()) * 1000 - " FORMER_KEPT_MS,
    NULL};

static const struct opening_words words = {
    .run = postgresql_run_alone,
    .begin = "INSERT INTO fh_opening (opening, process) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
    .seen = "UPDATE fh_opening SET seen = now() WHERE opening = ?1 RETURNING opening",
    .removals = removals,
};

enum fh_code postgresql_opening_new(struct postgresql_store *store, struct fh_error *error)
{
    return opening_new(&store->base, &words, &store->marks, store->application, error);
}

void postgresql_opening_keep(struct postgresql_store *store)
{
    opening_keep(&store->base, &words, &store->marks, store->application);
}
