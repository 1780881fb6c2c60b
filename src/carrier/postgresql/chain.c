/* SPDX-License-Identifier: Apache-2.0 */
/* The links of a generation, in the order of their ends: as they are in the index of their key. */

#include <stdio.h>
#include <string.h>

#include "carrier/postgresql/internal.h"

static enum fh_code ask_chain(struct curves_session *session, const struct carried_link *after,
                              int limit)
{
    char sql[CURVES_SCHEMA_SIZE + 192];
    snprintf(sql, sizeof sql,
             "SELECT ends, begins FROM \"%s\".link WHERE (ends, begins) > (%lld, %lld)"
             " ORDER BY ends, begins LIMIT %d",
             session->schema, (long long)after->to, (long long)after->from, limit);
    return curves_run(session, sql);
}

static enum fh_code ask_kept_chain(struct curves_session *session, const struct carried_link *after,
                                   int limit)
{
    char sql[CURVES_SCHEMA_SIZE + 288];
    const char *ids[] = {after->from_id, after->to_id};
    snprintf(sql, sizeof sql,
             "SELECT ends, begins, begins_id, ends_id FROM \"%s\".link"
             " WHERE (ends, begins, begins_id, ends_id) > (%lld, %lld, $1::text, $2::text)"
             " ORDER BY ends, begins, begins_id, ends_id LIMIT %d",
             session->schema, (long long)after->to, (long long)after->from, limit);
    return curves_run_with(session, sql, ids, 2);
}

static bool read_chain_id(const struct curves_session *session, int row, int column,
                          char ret[static ID_SIZE])
{
    const char *id = curves_text(session, row, column);
    size_t length = strlen(id);
    if (length >= ID_SIZE)
        return false;
    memcpy(ret, id, length + 1);
    return true;
}

enum fh_code curves_chain(struct carried_server *base, const struct fh_derived *declared,
                          const struct carried_name *generation, const struct carried_link *after,
                          int limit, void (*visit)(void *context, const struct carried_link *link),
                          void *context, int *ret_count, struct fh_error *error)
{
    struct curves_session session = {0};
    *ret_count = 0;
    enum fh_code code = curves_begin_of(&session, base, declared, generation, error);
    if (code == FH_OK)
        code = (generation->kept ? ask_kept_chain : ask_chain)(&session, after, limit);
    for (int i = 0; code == FH_OK && i < curves_rows(&session); i++) {
        struct carried_link link = {.from = curves_integer(&session, i, 1),
                                    .to = curves_integer(&session, i, 0)};
        if (!read_chain_id(&session, i, 2, link.from_id) ||
            !read_chain_id(&session, i, 3, link.to_id)) {
            code = curves_strange(curves_of(base), error);
            break;
        }
        visit(context, &link);
        ++*ret_count;
    }
    curves_end(&session);
    return code;
}
