/* SPDX-License-Identifier: Apache-2.0 */
/* The links of a generation, in the order of their ends: as they are in the index of their key. */

#include <stdio.h>

#include "carrier/postgresql/internal.h"

enum fh_code curves_chain(struct carried_server *base, const struct fh_derived *declared,
                          const struct carried_name *generation, const struct carried_link *after,
                          int limit, void (*visit)(void *context, const struct carried_link *link),
                          void *context, int *ret_count, struct fh_error *error)
{
    struct curves_session session = {0};
    char sql[CURVES_SCHEMA_SIZE + 192];
    *ret_count = 0;
    enum fh_code code = curves_begin_of(&session, base, declared, generation, error);
    snprintf(sql, sizeof sql,
             "SELECT ends, begins FROM \"%s\".link WHERE (ends, begins) > (%lld, %lld)"
             " ORDER BY ends, begins LIMIT %d",
             session.schema, (long long)after->to, (long long)after->from, limit);
    if (code == FH_OK)
        code = curves_run(&session, sql);
    for (int i = 0; code == FH_OK && i < curves_rows(&session); i++) {
        struct carried_link link = {.from = curves_integer(&session, i, 1),
                                    .to = curves_integer(&session, i, 0)};
        visit(context, &link);
        ++*ret_count;
    }
    curves_end(&session);
    return code;
}
