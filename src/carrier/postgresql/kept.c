/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of a server that alone has points. */

#include <stdio.h>

#include "carrier/postgresql/internal.h"

/* Whoever acknowledges what is not durable is no server of ours (engine/postgresql/link.h). */
enum fh_code curves_settles(struct carried_server *base, int64_t *ret_settle_s,
                            int64_t *ret_running_s, struct fh_error *error)
{
    (void)base;
    (void)error;
    *ret_settle_s = 0;
    *ret_running_s = INT64_MAX;
    return FH_OK;
}

enum fh_code curves_count(struct carried_server *base, const struct fh_derived *declared,
                          const struct carried_name *generation, int64_t position,
                          int64_t *ret_count, struct fh_error *error)
{
    struct curves_session session = {0};
    char sql[CURVES_SCHEMA_SIZE + 96];
    enum fh_code code = curves_begin_of(&session, base, declared, generation, error);
    snprintf(sql, sizeof sql, "SELECT count(*) FROM \"%s\".point WHERE fh_position > %lld",
             session.schema, (long long)position);
    if (code == FH_OK)
        code = curves_run(&session, sql);
    *ret_count = code == FH_OK ? curves_integer(&session, 0, 0) : 0;
    curves_end(&session);
    return code;
}
